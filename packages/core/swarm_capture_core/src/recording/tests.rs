//! Plans of a recording's life.

use proptest::prelude::*;

use super::*;

const NOW: HostTime = HostTime(1_790_000_000_000_000_000);
const ID: RecordingId = RecordingId(1);

fn start() -> Request {
    Request::Start { path: "/data/demo.mcap".to_owned(), cameras: 2 }
}

fn idle() -> Recording {
    let mut recording = Recording::default();
    recording.request(Request::Activate);
    recording
}

fn recording() -> Recording {
    let mut recording = idle();
    recording.request(start());
    recording.happened(Happened::Opened { id: ID }, NOW);
    recording
}

fn path() -> String {
    "/data/demo.mcap".to_owned()
}

#[test]
fn a_start_is_answered_when_the_bag_is_open() {
    let mut recording = idle();
    assert_eq!(recording.request(start()), [Step::Open { id: ID, path: path() }]);
    let opened = recording.happened(Happened::Opened { id: ID }, NOW);
    assert_eq!(opened, [Step::Record { id: ID }, Step::Accept { asked: Asked::Start }]);
    assert_eq!(recording.state(), &State::Recording { id: ID, path: path(), since: NOW });
}

#[test]
fn a_bag_that_cannot_be_made_refuses_the_start_and_the_next_one_may_succeed() {
    let mut recording = idle();
    recording.request(start());
    let steps = recording.happened(Happened::NotOpened { id: ID, error: "it exists".to_owned() }, NOW);
    assert_eq!(
        steps,
        [Step::Refuse { asked: Asked::Start, why: Refusal::NotOpened("it exists".to_owned()) }]
    );
    assert_eq!(recording.request(start()), [Step::Open { id: RecordingId(2), path: path() }]);
}

#[test]
fn a_stop_ceases_closes_and_ends_idle() {
    let mut recording = recording();
    let steps = recording.request(Request::Stop);
    assert_eq!(steps, [Step::Cease { id: ID }, Step::Close { id: ID }, Step::Accept { asked: Asked::Stop }]);
    assert_eq!(recording.happened(Happened::Closed { id: ID, error: None }, NOW), []);
    assert_eq!(recording.state(), &State::Idle);
}

#[test]
fn a_stop_before_the_bag_is_open_leaves_an_empty_bag_and_no_recording() {
    let mut recording = idle();
    recording.request(start());
    assert_eq!(recording.request(Request::Stop), [Step::Accept { asked: Asked::Stop }]);
    let steps = recording.happened(Happened::Opened { id: ID }, NOW);
    assert!(steps.ends_with(&[Step::Cease { id: ID }, Step::Close { id: ID }]), "{steps:?}");
    assert!(matches!(recording.state(), State::Stopping { .. }));
}

#[test]
fn a_full_disk_ends_the_recording_and_is_the_reason_that_is_told() {
    let mut recording = recording();
    let why = "the disk is full: 999 bytes are free and 1000 must stay so".to_owned();
    let steps = recording.happened(Happened::DiskFull { id: ID, why: why.clone() }, NOW);
    assert_eq!(steps, [Step::Cease { id: ID }, Step::Close { id: ID }]);
    let steps = recording.happened(Happened::Closed { id: ID, error: None }, NOW);
    let text =
        format!("the recording into '{}' has ended: {why}; delete recordings or name another disk", path());
    assert_eq!(steps, [Step::Warn { text }]);
    assert_eq!(recording.state(), &State::Failed { path: path(), why: Failure::DiskFull(why) });
    assert!(
        matches!(recording.request(start())[..], [Step::Open { .. }]),
        "whether there is room is seen then"
    );
}

#[test]
fn a_disk_that_fails_is_the_cause_even_if_closing_fails_too() {
    let mut recording = recording();
    recording.happened(Happened::DiskFailed { id: ID, error: "EIO".to_owned() }, NOW);
    recording.happened(Happened::Closed { id: ID, error: Some("EIO again".to_owned()) }, NOW);
    assert_eq!(
        recording.state(),
        &State::Failed { path: path(), why: Failure::DiskFailed("EIO".to_owned()) }
    );
}

#[test]
fn a_lost_camera_ends_nothing_and_is_noted_in_the_bag() {
    let mut recording = recording();
    let lost = Happened::CameraLost { camera: "cam1".to_owned(), why: "no answer".to_owned() };
    let text = "camera cam1 is lost: no answer".to_owned();
    assert_eq!(
        recording.happened(lost, NOW),
        [Step::Note { id: ID, text: text.clone() }, Step::Warn { text }]
    );
    assert!(matches!(recording.state(), State::Recording { .. }));
}

#[test]
fn a_snapshot_needs_no_recording_and_disturbs_none() {
    for mut recording in [idle(), recording()] {
        let before = recording.state().clone();
        let steps = recording.request(Request::Snapshot { path: "/data/s.mcap".to_owned(), back_ns: 30 });
        let write = Step::WriteSnapshot { path: "/data/s.mcap".to_owned(), back_ns: 30 };
        assert_eq!(steps, [write, Step::Accept { asked: Asked::Snapshot }]);
        assert_eq!(recording.state(), &before);
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let refused = |mut recording: Recording, request| recording.request(request).pop().unwrap();
    let refuse = |asked, why| Step::Refuse { asked, why };
    assert_eq!(refused(recording(), start()), refuse(Asked::Start, Refusal::Running(path())));
    assert_eq!(refused(idle(), Request::Stop), refuse(Asked::Stop, Refusal::NothingRuns));
    let nothing = Request::Start { path: path(), cameras: 0 };
    assert_eq!(refused(idle(), nothing), refuse(Asked::Start, Refusal::NoCamera));
    let mut finishing = recording();
    finishing.request(Request::Stop);
    assert_eq!(refused(finishing, start()), refuse(Asked::Start, Refusal::Finishing(path())));
    let mut ending = recording();
    ending.request(Request::Shutdown);
    assert_eq!(refused(ending, start()), refuse(Asked::Start, Refusal::Ending));
}

#[test]
fn a_recording_begins_only_while_the_node_is_active_and_ends_with_that() {
    let inactive = [Step::Refuse { asked: Asked::Start, why: Refusal::Inactive }];
    assert_eq!(Recording::default().request(start()), inactive);
    // Also where the node has no camera that could be missing.
    let anything = Request::Start { path: path(), cameras: usize::MAX };
    assert_eq!(Recording::default().request(anything), inactive);

    let mut recording = recording();
    assert_eq!(recording.request(Request::Deactivate), [Step::Cease { id: ID }, Step::Close { id: ID }]);
    assert_eq!(recording.happened(Happened::Closed { id: ID, error: None }, NOW), []);
    assert_eq!(recording.state(), &State::Idle);
    assert_eq!(recording.request(start()), inactive);
    assert_eq!(recording.request(Request::Activate), []);
    assert_eq!(recording.request(start()), [Step::Open { id: RecordingId(2), path: path() }]);

    assert_eq!(recording.request(Request::Deactivate), [], "the bag is being made");
    let steps = recording.happened(Happened::Opened { id: RecordingId(2) }, NOW);
    assert_eq!(steps.last(), Some(&Step::Close { id: RecordingId(2) }));
}

#[test]
fn late_news_of_an_old_recording_change_no_newer_one() {
    let mut recording = recording();
    recording.request(Request::Stop);
    recording.happened(Happened::Closed { id: ID, error: None }, NOW);
    recording.request(start());
    let newer = RecordingId(2);
    recording.happened(Happened::Opened { id: newer }, NOW);
    let before = recording.state().clone();
    assert_eq!(recording.happened(Happened::DiskFailed { id: ID, error: String::new() }, NOW), []);
    assert_eq!(recording.happened(Happened::Closed { id: ID, error: None }, NOW), []);
    assert_eq!(recording.happened(Happened::Opened { id: ID }, NOW), [Step::Close { id: ID }]);
    assert_eq!(recording.state(), &before);
}

#[test]
fn the_node_leaves_when_the_bag_is_finished() {
    assert_eq!(idle().request(Request::Shutdown), [Step::Leave]);
    let mut recording = recording();
    assert_eq!(recording.request(Request::Shutdown), [Step::Cease { id: ID }, Step::Close { id: ID }]);
    assert_eq!(recording.happened(Happened::Closed { id: ID, error: None }, NOW), [Step::Leave]);
    let mut starting = idle();
    starting.request(start());
    assert_eq!(starting.request(Request::Shutdown), []);
    let error = String::new();
    let steps = starting.happened(Happened::NotOpened { id: ID, error }, NOW);
    assert_eq!(steps.last(), Some(&Step::Leave));
}

proptest! {
    /// A bag that was opened is closed once; messages are handed to it only between `Record` and `Cease`; nobody who asked for a
    /// start goes without an answer.
    #[test]
    fn every_bag_is_opened_recorded_ceased_and_closed_in_this_order(
        calls in proptest::collection::vec((0..10_u8, 0..4_u64, any::<bool>()), 0..80),
    ) {
        let mut recording = idle();
        let (mut open, mut records): (Vec<RecordingId>, Option<RecordingId>) = (Vec::new(), None);
        let mut starts = 0_i64;
        for (call, number, flag) in calls {
            let id = RecordingId(number);
            let steps = match call {
                0 | 1 => recording.request(start()),
                2 => recording.request(Request::Stop),
                3 => recording.request(Request::Snapshot { path: path(), back_ns: 1 }),
                4 if flag && number == 3 => recording.request(Request::Shutdown),
                4 | 5 => recording.happened(Happened::DiskFull { id, why: "full".to_owned() }, NOW),
                9 => recording.request(if flag { Request::Activate } else { Request::Deactivate }),
                6 => recording.happened(Happened::DiskFailed { id, error: "EIO".to_owned() }, NOW),
                // What became of a step is told once, and of one that was asked for.
                7 => match open.first() {
                    Some(id) if matches!(recording.state(), State::Starting { id: own, .. } if own == id) => {
                        if flag {
                            recording.happened(Happened::Opened { id: *id }, NOW)
                        } else {
                            let id = open.remove(0);
                            recording.happened(Happened::NotOpened { id, error: String::new() }, NOW)
                        }
                    }
                    _ => Vec::new(),
                },
                _ => match recording.state() {
                    State::Stopping { id, .. } => {
                        let id = *id;
                        recording.happened(Happened::Closed { id, error: None }, NOW)
                    }
                    _ => Vec::new(),
                },
            };
            starts += i64::from(call <= 1);
            for step in steps {
                match step {
                    Step::Open { id, .. } => open.push(id),
                    Step::Record { id } => {
                        prop_assert!(open.contains(&id) && records.is_none());
                        records = Some(id);
                    }
                    Step::Cease { id } => {
                        prop_assert_eq!(records.take(), Some(id));
                    }
                    Step::Close { id } => {
                        prop_assert!(records.is_none());
                        let before = open.len();
                        open.retain(|open| *open != id);
                        prop_assert_eq!(open.len() + 1, before);
                    }
                    Step::Note { id, .. } => prop_assert!(open.contains(&id)),
                    Step::Accept { asked: Asked::Start } | Step::Refuse { asked: Asked::Start, .. } => starts -= 1,
                    _ => {}
                }
            }
            let waits = i64::from(matches!(recording.state(), State::Starting { .. }));
            prop_assert_eq!(starts, waits, "starts without an answer");
        }
    }
}
