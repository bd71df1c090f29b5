use std::sync::mpsc::{Sender, channel};

use super::*;

fn read(folder: &Path, path: &str) -> String {
    let path = folder.join(path);
    String::from_utf8(fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

/// Records a run of one stream.
fn record(folder: &RunFolder, name: &str, bytes: &[u8]) -> io::Result<()> {
    folder.begin(name).stream("leader").write_all(bytes)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn each_run_is_a_folder_with_a_file_for_each_stream() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("made/as/needed");
    let runs = RunFolder::start(folder.clone(), Options::default()).unwrap();
    let health = runs.health();
    for _ in 0..2 {
        let run = runs.begin("t1");
        let (mut leader, mut follower) = (run.stream("leader"), run.stream("follower"));
        leader.write_all(b"one ").unwrap();
        follower.write_all(b"two").unwrap();
        leader.write_all(b"three").unwrap();
    }
    drop(runs);
    for run in ["t1", "t1-2"] {
        assert_eq!(read(&folder, &format!("{run}/leader.run")), "one three");
        assert_eq!(read(&folder, &format!("{run}/follower.run")), "two");
    }
    let expected = Status { run: Some(folder.join("t1-2")), bytes: 24, ..Status::default() };
    assert_eq!(health.status(), expected);
}

/// Whoever kills the process now takes no more than what is still in the queue.
#[test]
fn what_the_thread_has_taken_is_in_the_file_while_the_run_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let sync = Sync { every: std::time::Duration::from_hours(1) };
    let runs = RunFolder::start(root.path().to_owned(), Options { sync, ..Options::default() }).unwrap();
    let health = runs.health();
    let mut stream = runs.begin("t1").stream("leader");
    for tick in 1..=3 {
        stream.write_all(b"tick").unwrap();
        while health.status().bytes < 4 * tick {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(read(root.path(), "t1/leader.run"), "tick".repeat(tick as usize));
    }
}

/// Whoever asks for a run names it.
#[test]
fn no_name_of_a_run_leaves_the_folder() {
    for (run, expected) in [
        ("demo-1a.2_b", "demo-1a.2_b"),
        ("../../etc", "_._.._etc"),
        ("/etc/passwd", "_etc_passwd"),
        ("..", "_."),
        (".", "_"),
        ("", "run"),
        ("ä b\0\n", "__b__"),
    ] {
        assert_eq!(folder_name(run), expected, "{run:?}");
    }
    assert_eq!(folder_name(&"x".repeat(5_000)).len(), MAX_NAME);
}

#[test]
fn the_oldest_runs_make_room_and_the_present_one_is_never_deleted() {
    let root = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 100, ..Options::default() };
    let runs = RunFolder::start(root.path().to_owned(), options).unwrap();
    for run in ["a", "b", "c"] {
        record(&runs, run, &[b'.'; 30]).unwrap();
    }
    let run = runs.begin("d");
    let mut stream = run.stream("leader");
    for _ in 0..9 {
        stream.write_all(&[b'.'; 10]).unwrap();
    }
    let health = runs.health();
    drop((runs, stream, run));
    assert_eq!(names(root.path()), ["d"]);
    assert_eq!(read(root.path(), "d/leader.run").len(), 90);
    let status = health.status();
    assert_eq!((status.deleted, status.bytes, status.given_up), (3, 90, 0), "{status:?}");
}

#[test]
fn a_run_that_is_larger_than_the_bound_is_given_up_and_the_next_is_recorded() {
    let root = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 100, ..Options::default() };
    let runs = RunFolder::start(root.path().to_owned(), options).unwrap();
    let _ = record(&runs, "large", &[b'.'; 101]);
    record(&runs, "small", &[b'.'; 60]).unwrap();
    let health = runs.health();
    drop(runs);
    assert_eq!(read(root.path(), "small/leader.run").len(), 60);
    let status = health.status();
    assert_eq!((status.given_up, status.trouble), (1, None));
}

/// Opens what lies behind the names of a real device that is always full.
fn full(_: &Path) -> io::Result<Out> {
    Ok(Box::new(File::options().write(true).open("/dev/full")?))
}

#[test]
fn a_full_disk_costs_the_recording_and_is_said() {
    let root = tempfile::tempdir().unwrap();
    let runs = RunFolder::start_with(root.path().to_owned(), Options::default(), full).unwrap();
    let (health, run) = (runs.health(), runs.begin("t1"));
    let mut stream = run.stream("leader");
    stream.write_all(b"x").unwrap();
    // As soon as the disk has answered, the stream does.
    while health.status().trouble.is_none() {
        std::thread::yield_now();
    }
    let error = stream.write_all(b"x").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let path = root.path().join("t1/leader.run");
    let expected = format!(
        "run t1 is not recorded: cannot write to {}: No space left on device (os error 28)",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(health.status().trouble, Some(expected));
    drop(runs);
    assert_eq!(health.status().given_up, 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_said_for_every_run() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a_file");
    fs::write(&file, "no folder").unwrap();
    let runs = RunFolder::start(file.join("runs"), Options::default()).unwrap();
    let health = runs.health();
    for run in ["t1", "t2"] {
        let _ = record(&runs, run, b"x");
    }
    drop(runs);
    let status = health.status();
    assert_eq!(status.given_up, 2);
    let trouble = status.trouble.unwrap();
    assert!(trouble.starts_with("run t2 is not recorded: cannot make the folder /"), "{trouble}");
    assert!(trouble.ends_with("/a_file/runs: Not a directory (os error 20)"), "{trouble}");
}

/// A disk that answers when it is told to.
struct Stuck {
    arrived: Sender<()>,
    go_on: Arc<Mutex<Receiver<()>>>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.arrived.send(());
        // Ends when the test lets go of the other end.
        let _ = self.go_on.lock().unwrap().recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nobody_waits_for_a_disk_that_is_stuck() {
    let root = tempfile::tempdir().unwrap();
    let ((arrived, arrives), (release, go_on)) = (channel(), channel::<()>());
    let go_on = Arc::new(Mutex::new(go_on));
    let make =
        move |_: &Path| Ok(Box::new(Stuck { arrived: arrived.clone(), go_on: Arc::clone(&go_on) }) as Out);
    let options = Options { behind: 8, ..Options::default() };
    let runs = RunFolder::start_with(root.path().to_owned(), options, make).unwrap();
    let run = runs.begin("t1");
    let mut stream = run.stream("leader");
    stream.write_all(b"x").unwrap();
    arrives.recv().unwrap();
    for _ in 0..8 {
        stream.write_all(b"x").unwrap();
    }
    // The thread still waits for the disk; this one does not wait for it.
    let error = stream.write_all(b"x").unwrap_err();
    assert_eq!(error.to_string(), "run t1 is not recorded: the disk does not keep up, and its queue is full");
    // Nor does the next run, which finds no room to begin.
    assert!(record(&runs, "t2", b"x").is_err());
    assert_eq!(runs.health().status().given_up, 2);
    drop(release);
}
