//! The recorder on a real folder.

use swarm_base::Duration;
use swarm_black_box::{Entry, Record, Replay, junction, records};
use swarm_black_box_file::{Folder, Mode, Options, Recorder};
use swarm_safety_core::Inputs;

use crate::bad_disk::{Trouble, with_bad_disk};
use crate::bench::{Deciding, options, recorder, session, verified};

#[test]
fn a_continuous_recording_is_a_series_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options(Mode::Continuous), Folder(folder.path().into()), &deciding);
    deciding.run(6_000, &mut recorder);
    recorder.finish();
    let files = verified(folder.path());
    assert!(files.len() > 1, "{} files", files.len());
    assert!(files.iter().all(|(_, _, found)| found.is_whole()));
    for pair in files.windows(2) {
        junction(&pair[0].2, &pair[1].2.header, &[]).unwrap();
        assert_eq!(pair[0].2.last_cycle + 1, pair[1].2.first_cycle);
        let first = records(&pair[1].1).unwrap().nth(1).unwrap().1;
        assert!(matches!(first, Record::Snapshot(_)), "a file can be replayed by itself");
    }
    assert_eq!(files.last().unwrap().2.last_cycle, 6_000);
}

#[test]
fn a_further_start_goes_on_where_the_series_ends() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut deciding = Deciding::start(&session());
        let mut recorder = recorder(options(Mode::Continuous), Folder(folder.path().into()), &deciding);
        deciding.run(250, &mut recorder);
        // It is killed: what was sealed is there, and the cycle behind the seal that came with it.
        drop(recorder);
    }
    let files = verified(folder.path());
    assert_eq!(files.iter().map(|(_, _, found)| found.cycles).collect::<Vec<_>>(), [201, 201]);
    junction(&files[0].2, &files[1].2.header, &[]).unwrap();
}

#[test]
fn on_a_stop_the_time_around_it_is_kept_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::OnStop { before: Duration::from_millis(500), after: Duration::from_millis(300) };
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options(mode), Folder(folder.path().into()), &deciding);
    deciding.run(5_000, &mut recorder);
    assert_eq!(verified(folder.path()).len(), 0);
    deciding.stop(&mut recorder);
    deciding.run(2_000, &mut recorder);
    recorder.finish();
    let files = verified(folder.path());
    assert_eq!(files.len(), 1);
    let (name, bytes, found) = &files[0];
    assert_eq!(name, "0000000000_stop.swarmbox");
    assert!(found.is_whole(), "{:?}", found.faults);
    // At least 500 ms before the stop in cycle 5001, from the recorded state in front of that.
    assert!((4_400..=4_501).contains(&found.first_cycle), "{}", found.first_cycle);
    assert_eq!(found.last_cycle, 5_301);
    let first = records(bytes).unwrap().nth(1).unwrap().1;
    assert!(matches!(first, Record::Snapshot(_)));
}

#[test]
fn the_folder_stays_within_its_bound_and_says_what_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let most = 8 << 20;
    let options = Options { max_bytes: most, ..options(Mode::Continuous) };
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options, Folder(folder.path().into()), &deciding);
    deciding.run(200, &mut recorder);
    deciding.stop(&mut recorder);
    for _ in 0..20 {
        deciding.run(1_000, &mut recorder);
        let size: u64 =
            std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= most, "{size} bytes");
    }
    recorder.finish();
    let files = verified(folder.path());
    assert_eq!(files[0].0, "0000000000_stop.swarmbox", "the stop is still there");
    let removed: Vec<u64> = files.iter().flat_map(|(_, _, found)| found.removed.clone()).collect();
    assert!(!removed.is_empty());
    for pair in files.windows(2) {
        junction(&pair[0].2, &pair[1].2.header, &removed).unwrap();
    }
    assert!(junction(&files[0].2, &files[1].2.header, &[]).is_err());
}

#[test]
fn to_make_room_no_file_is_read_whole_and_what_it_knew_is_known_all_the_same() {
    let options = Options { max_file_bytes: 4 << 20, max_bytes: 16 << 20, ..options(Mode::Continuous) };
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(options);
    deciding.stop(&mut recorder);
    while !folder.path().join("0000000007.swarmbox").exists() {
        deciding.run(1_000, &mut recorder);
    }
    recorder.finish();
    let read = state.lock().unwrap().longest_read;
    assert!(0 < read && read <= 2 << 20, "{read} bytes");
    let files = verified(folder.path());
    assert_eq!(files[0].0, "0000000000_stop.swarmbox");
    // To begin a file one or two are removed; of the others it knows from these.
    let removed: Vec<u64> = files.iter().flat_map(|(_, _, found)| found.removed.clone()).collect();
    assert!(removed.len() > 2, "{removed:?}");
    junction(&files[0].2, &files[1].2.header, &removed).unwrap();
}

/// Else a recorder that is killed in between leaves a gap as somebody does who takes a file away.
#[test]
fn a_removal_is_on_the_disk_before_the_file_goes() {
    let options = Options { max_bytes: 8 << 20, ..options(Mode::Continuous) };
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(options);
    // The first file has a stop and stays, so that those behind it leave gaps.
    deciding.stop(&mut recorder);
    deciding.run(16_000, &mut recorder);
    recorder.finish();
    let removals = &state.lock().unwrap().removals;
    assert!(removals.len() > 2 && removals.iter().all(|(_, noted)| *noted), "{removals:?}");
    assert_eq!(verified(folder.path())[0].0, "0000000000_stop.swarmbox");
}

#[test]
fn a_file_that_cannot_be_removed_costs_no_cycle_and_is_said() {
    let options = Options { max_bytes: 8 << 20, ..options(Mode::Continuous) };
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(options);
    state.lock().unwrap().trouble = Trouble::KeepsFiles;
    while state.lock().unwrap().removals.is_empty() {
        deciding.run(100, &mut recorder);
    }
    deciding.run(500, &mut recorder);
    let status = recorder.health().status();
    let trouble = status.trouble.unwrap();
    assert!(trouble.starts_with("cannot remove 0000000000.swarmbox to make room: "), "{trouble}");
    assert_eq!(status.lost_cycles, 0);
    state.lock().unwrap().trouble = Trouble::None;
    deciding.run(4_000, &mut recorder);
    recorder.finish();
    let files = verified(folder.path());
    assert_ne!(files[0].0, "0000000000.swarmbox", "it goes when that can be done");
    assert!(files.iter().all(|(_, _, found)| found.lost == 0));
}

#[test]
fn cycles_that_did_not_fit_the_queue_are_recorded_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut deciding = Deciding::start(&session());
    let mut recorder = recorder(options(Mode::Continuous), Folder(folder.path().into()), &deciding);
    deciding.run(150, &mut recorder);
    deciding.run_with(42, &Inputs::default(), &mut drop);
    // With a state right behind the gap every cycle that was recorded can be derived again.
    recorder.take(Entry::Snapshot(deciding.state));
    deciding.run(150, &mut recorder);
    assert_eq!(recorder.health().status().lost_cycles, 42);
    recorder.finish();
    let files = verified(folder.path());
    let (_, bytes, found) = &files[0];
    assert_eq!((found.lost, found.cycles), (42, 300));
    assert!(found.is_whole(), "{:?}", found.faults);
    let mut replay = Replay::begin(found.header.clone()).unwrap();
    for (_, record) in records(bytes).unwrap() {
        replay.take(&record).unwrap();
    }
    assert_eq!((replay.found().exact, replay.found().without_state), (300, 0));
}

#[test]
fn options_that_contradict_each_other_are_all_named() {
    let deciding = Deciding::start(&session());
    let options = Options {
        max_bytes: 1 << 20,
        max_file_bytes: 1000,
        segment: Duration::ZERO,
        ..options(Mode::Continuous)
    };
    let made = Recorder::new(options, session(), Box::new(Folder("/nowhere".into())), Box::new(deciding.now));
    let problems = made.unwrap_err().0;
    assert_eq!(problems.len(), 2, "{problems:?}");
}
