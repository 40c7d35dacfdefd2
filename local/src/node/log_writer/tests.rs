use super::*;

fn files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn read(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn lines_have_the_kubelets_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogFiles::create(folder.path(), Limits::default()).unwrap();
    log.write(Stream::Stdout, &[(b"one", false), (b"", false)]);
    log.write(Stream::Stderr, &[(b"tw", true), (b"o", false)]);
    let lines = read(&folder.path().join("0.log"));
    let (times, rest): (Vec<&str>, Vec<&str>) =
        lines.iter().map(|line| line.split_once(' ').unwrap()).unzip();
    assert_eq!(rest, ["stdout F one", "stdout F ", "stderr P tw", "stderr F o"]);
    assert!(
        times.is_sorted_by(|a, b| a < b),
        "times must be unique and increasing: {times:?}"
    );
    assert!(times.iter().all(|time| time.len() == 30 && time.ends_with('Z')));
    assert_eq!(read_output(folder.path()), b"one\n\ntwo\n");
}

#[test]
fn long_lines_are_split_into_parts() {
    let exact = [vec![b'x'; PART_BYTES], b"\n".to_vec()].concat();
    let (found, used) = split_lines(&exact);
    assert_eq!(
        (found, used),
        (vec![(&exact[..PART_BYTES], false)], PART_BYTES + 1)
    );
    let long = [
        vec![b'x'; 2 * PART_BYTES],
        b"y\n".to_vec(),
        vec![b'z'; PART_BYTES],
    ]
    .concat();
    let (found, used) = split_lines(&long);
    assert_eq!(
        found
            .iter()
            .map(|(line, partial)| (line.len(), *partial))
            .collect::<Vec<_>>(),
        [(PART_BYTES, true), (PART_BYTES, true), (1, false)]
    );
    assert_eq!(
        used,
        2 * PART_BYTES + 2,
        "the rest may still become a complete line"
    );

    let folder = tempfile::tempdir().unwrap();
    let log = Mutex::new(LogFiles::create(folder.path(), Limits::default()).unwrap());
    copy_lines(&long[..], Stream::Stdout, &log);
    let lengths: Vec<usize> = read_output(folder.path())
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::len)
        .collect();
    assert_eq!(lengths, [2 * PART_BYTES + 1, PART_BYTES, 0]);
}

#[test]
fn files_rotate_and_the_oldest_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 100, files: 3 };
    let mut log = LogFiles::create(folder.path(), limits).unwrap();
    for number in 0..10 {
        log.write(
            Stream::Stdout,
            &[(format!("line {number} {}", "x".repeat(50)).as_bytes(), false)],
        );
    }
    let names = files(folder.path());
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[0], "0.log");
    assert!(
        names[1..]
            .iter()
            .all(|name| name.len() == "0.log.20261122-101500".len())
    );
    let output = String::from_utf8(read_output(folder.path())).unwrap();
    let numbers: Vec<&str> = output.lines().map(|line| &line[5..6]).collect();
    assert_eq!(numbers, ["6", "7", "8", "9"], "the newest lines, in order");

    for _ in 0..KEPT_STARTS {
        LogFiles::create(folder.path(), limits).unwrap();
    }
    assert_eq!(
        files(folder.path()),
        ["1.log", "2.log", "3.log", "4.log", "5.log"]
    );
}

#[test]
fn lost_lines_are_counted_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogFiles::create(folder.path(), Limits::default()).unwrap();
    log.write(Stream::Stdout, &[(b"before", false)]);
    // The disk is full.
    log.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    log.write(Stream::Stdout, &[(b"lost", false), (b"lost", false)]);
    log.write(Stream::Stdout, &[(b"lost", false)]);
    log.file = open(folder.path(), 0).unwrap();
    log.torn = true;
    log.write(Stream::Stdout, &[(b"after", false)]);
    let lines = read(&folder.path().join("0.log"));
    let rest: Vec<&str> = lines
        .iter()
        .filter_map(|line| Some(line.split_once(' ')?.1))
        .collect();
    assert_eq!(
        rest,
        [
            "stdout F before",
            "stderr F log-writer: 3 lines could not be written",
            "stdout F after"
        ]
    );
}

#[test]
fn a_named_pipe_is_read_until_the_program_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    make_fifo(&path).unwrap();
    make_fifo(&path).unwrap();
    let program_ended = Arc::new(AtomicBool::new(false));
    let fifo = Fifo::open(&path, Arc::clone(&program_ended)).unwrap();
    let log = Arc::new(Mutex::new(
        LogFiles::create(&folder.path().join("log"), Limits::default()).unwrap(),
    ));
    let thread_log = Arc::clone(&log);
    let reader = thread::spawn(move || copy_lines(fifo, Stream::Stdout, &thread_log));
    for text in ["one\n", "two\n"] {
        // Each writer opens the pipe, writes and closes it.
        let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    program_ended.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    assert_eq!(read_output(&folder.path().join("log")), b"one\ntwo\n");
}
