/* Reads the header and all pixels of a JPEG with libjpeg-turbo. Fails if any
 * pixel is missing.
 *
 * libjpeg continues after a warning and fills missing pixels with grey.
 * TurboJPEG's interface, which the encoder uses, reports only a file's first
 * warning. This reader decides by the kind of each warning.
 */

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* Webcams leave a few bytes before a marker. More than that are image data that
 * does not fit the picture. */
#define MAX_STRAY_BYTES 32

/* libjpeg counts bytes that it has read ahead as stray at each restart, and
 * reports the sum. */
#define MAX_STRAY_BYTES_PER_RESTART 8

/* `Header` in jpeg.rs has the same fields. */
struct irmgard_jpeg_header {
  uint64_t coefficient_bytes; /* in memory until the last of several scans; 0 for one scan */
  uint64_t profile_bytes;
  int precision;
  int components;
  int has_adobe_marker;
};

struct reader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  int max_scans;
  /* One bit for each component whose scan has started. */
  unsigned components_seen;
  char *message;
  jmp_buf failed;
};

static struct reader *reader_of(j_common_ptr jpeg)
{
  return (struct reader *)jpeg->client_data;
}

static void fail_as(struct reader *reader, const char *why)
{
  snprintf(reader->message, JMSG_LENGTH_MAX, "%s", why);
  longjmp(reader->failed, 1);
}

/* Fails with libjpeg's message. */
static void fail(j_common_ptr jpeg)
{
  struct reader *reader = reader_of(jpeg);
  jpeg->err->format_message(jpeg, reader->message);
  longjmp(reader->failed, 1);
}

static long max_stray_bytes(const struct jpeg_decompress_struct *jpeg)
{
  long restarts = 0;
  if (jpeg->restart_interval > 0)
    restarts = (long)jpeg->MCUs_per_row * jpeg->MCU_rows_in_scan / jpeg->restart_interval;
  return MAX_STRAY_BYTES + MAX_STRAY_BYTES_PER_RESTART * restarts;
}

/* Whether all pixels are present despite the warning. */
static int is_harmless(struct reader *reader)
{
  switch (reader->errors.msg_code) {
  case JWRN_ADOBE_XFORM:    /* the number of components is sufficient */
  case JWRN_BOGUS_ICC:      /* like a picture without a profile */
  case JWRN_JFIF_MAJOR:     /* the version changes nothing */
  case JWRN_NOT_SEQUENTIAL: /* Ss, Se, Ah, Al mean nothing in a sequential scan */
    return 1;
  case JWRN_EXTRANEOUS_DATA:
    /* Before the first scan there is no image data that could be lost. */
    return reader->jpeg.input_scan_number == 0 ||
           reader->errors.msg_parm.i[0] <= max_stray_bytes(&reader->jpeg);
  case JWRN_JPEG_EOF:
    /* If a Huffman code is cut off, JWRN_HIT_MARKER follows. An arithmetic
     * decoder replaces missing data with zeros without a warning. */
    return !reader->jpeg.arith_code;
  default:
    return 0;
  }
}

static void emit_message(j_common_ptr jpeg, int level)
{
  if (level < 0 && !is_harmless(reader_of(jpeg)))
    fail(jpeg);
}

/* Called for each row of blocks. */
static void monitor_progress(j_common_ptr jpeg)
{
  struct reader *reader = reader_of(jpeg);
  int i;
  for (i = 0; i < reader->jpeg.comps_in_scan; i++)
    reader->components_seen |= 1u << reader->jpeg.cur_comp_info[i]->component_index;
  if (reader->jpeg.input_scan_number > reader->max_scans)
    fail_as(reader, "more scans than any camera writes");
}

/* libjpeg sets components and coefficients without a scan to zero. */
static void check_scans(struct reader *reader)
{
  int component, k;
  if (reader->components_seen != (1u << reader->jpeg.num_components) - 1)
    fail_as(reader, "a colour component is missing");
  if (!reader->jpeg.progressive_mode)
    return;
  for (component = 0; component < reader->jpeg.num_components; component++)
    for (k = 0; k < DCTSIZE2; k++)
      if (reader->jpeg.coef_bits[component][k] != 0)
        fail_as(reader, "a scan of the progressive JPEG is missing");
}

static uint64_t coefficient_bytes(j_decompress_ptr jpeg)
{
  uint64_t blocks = 0;
  int i;
  if (!jpeg_has_multiple_scans(jpeg))
    return 0;
  for (i = 0; i < jpeg->num_components; i++)
    blocks += (uint64_t)(jpeg->comp_info[i].width_in_blocks + jpeg->comp_info[i].h_samp_factor) *
              (jpeg->comp_info[i].height_in_blocks + jpeg->comp_info[i].v_samp_factor);
  return blocks * sizeof(JBLOCK);
}

static void read_header(struct reader *reader, const unsigned char *data, unsigned long length,
                        struct irmgard_jpeg_header *header, unsigned char *profile)
{
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  JOCTET *icc;
  unsigned int icc_length;

  jpeg_create_decompress(jpeg);
  jpeg_mem_src(jpeg, data, length);
  jpeg_save_markers(jpeg, JPEG_APP0 + 2, 0xFFFF);
  jpeg_read_header(jpeg, TRUE);
  header->coefficient_bytes = coefficient_bytes(jpeg);
  header->precision = jpeg->data_precision;
  header->components = jpeg->num_components;
  header->has_adobe_marker = jpeg->saw_Adobe_marker;
  if (jpeg_read_icc_profile(jpeg, &icc, &icc_length)) {
    memcpy(profile, icc, icc_length);
    header->profile_bytes = icc_length;
    free(icc);
  }
}

static void read_pixels(struct reader *reader, const unsigned char *data, unsigned long length,
                        unsigned int width, unsigned int height, int channels, unsigned char *pixels)
{
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  const size_t stride = (size_t)width * (size_t)channels;

  jpeg_create_decompress(jpeg);
  jpeg_mem_src(jpeg, data, length);
  jpeg_read_header(jpeg, TRUE);
  jpeg->out_color_space = channels == 4 ? JCS_CMYK : JCS_RGB;
  jpeg->progress = &reader->progress;
  jpeg_start_decompress(jpeg);
  if (jpeg->output_width != width || jpeg->output_height != height || jpeg->output_components != channels)
    fail_as(reader, "two headers have different sizes");
  if (jpeg_has_multiple_scans(jpeg))
    check_scans(reader);
  while (jpeg->output_scanline < height) {
    JSAMPROW row = pixels + stride * jpeg->output_scanline;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
}

static void prepare(struct reader *reader, char *message)
{
  memset(reader, 0, sizeof *reader);
  reader->jpeg.err = jpeg_std_error(&reader->errors);
  reader->errors.error_exit = fail;
  reader->errors.emit_message = emit_message;
  reader->jpeg.client_data = reader;
  reader->message = message;
}

/* Reads the header, and the colour profile into `profile`, which has room for
 * `length` bytes. Returns 0, or 1 with the reason in `message`, which has room
 * for 200 bytes. */
int irmgard_read_jpeg_header(const unsigned char *data, unsigned long length, struct irmgard_jpeg_header *header,
                             unsigned char *profile, char *message)
{
  struct reader reader;
  int failed;

  prepare(&reader, message);
  failed = setjmp(reader.failed);
  if (!failed)
    read_header(&reader, data, length, header, profile);
  jpeg_destroy_decompress(&reader.jpeg);
  return failed;
}

/* Reads the picture into `pixels`, `width * height * channels` bytes: RGB, or
 * CMYK where there are 4 channels. Returns 0, or 1 with the reason in
 * `message`, which has room for 200 bytes. */
int irmgard_read_jpeg(const unsigned char *data, unsigned long length, unsigned int width, unsigned int height,
                      int channels, int max_scans, unsigned char *pixels, char *message)
{
  struct reader reader;
  int failed;

  prepare(&reader, message);
  reader.progress.progress_monitor = monitor_progress;
  reader.max_scans = max_scans;
  failed = setjmp(reader.failed);
  if (!failed)
    read_pixels(&reader, data, length, width, height, channels, pixels);
  jpeg_destroy_decompress(&reader.jpeg);
  return failed;
}
