//! Test images: valid headers of the formats, followed by filler bytes.

/// A JPEG of this size in pixels and bytes. `seed` determines the filler.
pub fn jpeg(width: u16, height: u16, bytes: usize, seed: u8) -> Vec<u8> {
    jpeg_with(&[], width, height, bytes, seed)
}

/// A JPEG with a time in its EXIF data.
pub fn jpeg_taken_at(date_time: &str, offset: Option<&str>, seed: u8) -> Vec<u8> {
    let mut app1 = b"\xFF\xE1".to_vec();
    let exif = exif(date_time, offset);
    app1.extend_from_slice(&u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    app1.extend_from_slice(&exif);
    jpeg_with(&app1, 640, 480, 5000, seed)
}

fn jpeg_with(segments: &[u8], width: u16, height: u16, bytes: usize, seed: u8) -> Vec<u8> {
    let mut image = b"\xFF\xD8".to_vec();
    image.extend_from_slice(segments);
    // SOF0: length 17, 8 bits, height, width, 3 components.
    image.extend_from_slice(b"\xFF\xC0\x00\x11\x08");
    image.extend_from_slice(&height.to_be_bytes());
    image.extend_from_slice(&width.to_be_bytes());
    image.extend_from_slice(b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01");
    let mut random = u32::from(seed) + 1;
    while image.len() < bytes {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image.extend_from_slice(&random.to_be_bytes());
    }
    image.truncate(bytes.max(64));
    image
}

/// A PNG header with this size in pixels.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut image = b"\x89PNG\r\n\x1A\n\x00\x00\x00\x0DIHDR".to_vec();
    image.extend_from_slice(&width.to_be_bytes());
    image.extend_from_slice(&height.to_be_bytes());
    image.extend_from_slice(b"\x08\x02\x00\x00\x00\x00\x00\x00\x00");
    image.extend_from_slice(&[7; 400]);
    image
}

/// A TIFF block with an Exif directory of one or two text fields.
fn exif(date_time: &str, offset: Option<&str>) -> Vec<u8> {
    let texts: Vec<(u16, &str)> = [Some((0x9003, date_time)), offset.map(|offset| (0x9011, offset))]
        .into_iter()
        .flatten()
        .collect();
    let mut tiff = b"MM\x00\x2A\x00\x00\x00\x08".to_vec();
    // IFD0 has one entry: the offset of the Exif directory.
    tiff.extend_from_slice(b"\x00\x01\x87\x69\x00\x04\x00\x00\x00\x01\x00\x00\x00\x1A\x00\x00\x00\x00");
    let count = u16::try_from(texts.len()).unwrap();
    tiff.extend_from_slice(&count.to_be_bytes());
    let mut value_offset = 0x1A + 2 + 12 * texts.len() + 4;
    for (tag, text) in &texts {
        tiff.extend_from_slice(&tag.to_be_bytes());
        tiff.extend_from_slice(b"\x00\x02");
        tiff.extend_from_slice(&u32::try_from(text.len() + 1).unwrap().to_be_bytes());
        tiff.extend_from_slice(&u32::try_from(value_offset).unwrap().to_be_bytes());
        value_offset += text.len() + 1;
    }
    tiff.extend_from_slice(&[0; 4]);
    for (_, text) in &texts {
        tiff.extend_from_slice(text.as_bytes());
        tiff.push(0);
    }
    [b"Exif\0\0".to_vec(), tiff].concat()
}
