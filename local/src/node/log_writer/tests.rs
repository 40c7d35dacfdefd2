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
fn lines_stand_as_the_kubelet_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), Limits::default()).unwrap();
    log.write(Stream::Stdout, &[(b"one", false), (b"", false)]);
    log.write(Stream::Stderr, &[(b"tw", true), (b"o", false)]);
    let lines = read(&folder.path().join("0.log"));
    let (times, rest): (Vec<&str>, Vec<&str>) =
        lines.iter().map(|line| line.split_once(' ').unwrap()).unzip();
    assert_eq!(rest, ["stdout F one", "stdout F ", "stderr P tw", "stderr F o"]);
    assert!(
        times.is_sorted_by(|a, b| a < b),
        "no two lines have one time: {times:?}"
    );
    assert!(times.iter().all(|time| time.len() == 30 && time.ends_with('Z')));
    assert_eq!(printed(folder.path()), b"one\n\ntwo\n");
}

#[test]
fn long_lines_are_written_in_parts() {
    let exact = [vec![b'x'; PART_BYTES], b"\n".to_vec()].concat();
    let (found, used) = lines(&exact);
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
    let (found, used) = lines(&long);
    assert_eq!(
        found
            .iter()
            .map(|(line, partial)| (line.len(), *partial))
            .collect::<Vec<_>>(),
        [(PART_BYTES, true), (PART_BYTES, true), (1, false)]
    );
    assert_eq!(used, 2 * PART_BYTES + 2, "the rest may be a whole line yet");

    let folder = tempfile::tempdir().unwrap();
    let log = Mutex::new(Log::begin(folder.path(), Limits::default()).unwrap());
    copy(&long[..], Stream::Stdout, &log);
    let lengths: Vec<usize> = printed(folder.path())
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::len)
        .collect();
    assert_eq!(lengths, [2 * PART_BYTES + 1, PART_BYTES, 0]);
}

#[test]
fn files_are_renamed_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 100, files: 3 };
    let mut log = Log::begin(folder.path(), limits).unwrap();
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
    let printed = String::from_utf8(printed(folder.path())).unwrap();
    let numbers: Vec<&str> = printed.lines().map(|line| &line[5..6]).collect();
    assert_eq!(numbers, ["6", "7", "8", "9"], "in order, the newest");

    for _ in 0..STARTS {
        Log::begin(folder.path(), limits).unwrap();
    }
    assert_eq!(
        files(folder.path()),
        ["1.log", "2.log", "3.log", "4.log", "5.log"]
    );
}

#[test]
fn what_cannot_be_written_is_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::begin(folder.path(), Limits::default()).unwrap();
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
fn a_pipe_with_a_name_is_read_until_all_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    make_fifo(&path).unwrap();
    make_fifo(&path).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let fifo = Fifo::open(&path, Arc::clone(&over)).unwrap();
    let log = Arc::new(Mutex::new(
        Log::begin(&folder.path().join("log"), Limits::default()).unwrap(),
    ));
    let copied = Arc::clone(&log);
    let reader = thread::spawn(move || copy(fifo, Stream::Stdout, &copied));
    for text in ["one\n", "two\n"] {
        // A writer that comes, writes, and goes.
        let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    over.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    assert_eq!(printed(&folder.path().join("log")), b"one\ntwo\n");
}
