//! The recorder on disks that are full, dead or slow.

use std::path::Path;
use std::sync::atomic::Ordering;

use swarm_base::{Clock as _, Duration};
use swarm_black_box::junction;
use swarm_black_box_file::{Health, Mode, OnDiskFailure, Options, Recorder};
use swarm_safety_core::Inputs;

use crate::bad_disk::{Trouble, with_bad_disk};
use crate::bench::{Deciding, options, verified};

fn on_failure(policy: OnDiskFailure) -> Options {
    Options { on_disk_failure: policy, ..options(Mode::Continuous) }
}

fn fails(health: &Health, deciding: &Deciding) -> (bool, bool) {
    (health.is_failing(deciding.now.now()), health.must_stop(deciding.now.now()))
}

#[test]
fn a_full_disk_costs_what_does_not_fit_and_nothing_before_or_after_it() {
    for trouble in [Trouble::Full, Trouble::FullAfterHeader, Trouble::Dead] {
        let (folder, mut deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Continue));
        let health = recorder.health();
        deciding.run(500, &mut recorder);
        assert_eq!(fails(&health, &deciding), (false, false));
        state.lock().unwrap().trouble = trouble;
        deciding.run(2_000, &mut recorder);
        assert_eq!(fails(&health, &deciding), (true, false), "{trouble:?}");
        assert!(health.status().trouble.unwrap().contains("cannot"), "{trouble:?}");
        state.lock().unwrap().trouble = Trouble::None;
        // It is tried again after a second.
        deciding.run(2_000, &mut recorder);
        assert_eq!(fails(&health, &deciding), (false, false), "{trouble:?}");
        let lost = health.status().lost_cycles;
        recorder.finish();
        let files = verified(folder.path());
        let known: u64 = files.iter().map(|(_, _, found)| found.cycles).sum();
        // Half of a segment was written when the disk became full: its cycles are counted as lost and readable all the same.
        assert!(lost + known >= 4_500 && lost + known <= 4_600, "{lost} lost, {known} there");
        for (name, _, found) in &files {
            assert!(found.faults.is_empty(), "{name}: {:?}", found.faults);
        }
        assert_eq!(noted(folder.path()), lost, "what is lost is recorded too");
        let junctions = files.windows(2).map(|pair| junction(&pair[0].2, &pair[1].2.header, &[]));
        assert!(junctions.into_iter().all(|found| found.is_ok()));
    }
}

/// Cycles that the files say are lost.
fn noted(folder: &Path) -> u64 {
    verified(folder).iter().map(|(_, _, found)| found.lost).sum()
}

/// Names of all files in the folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_that_cannot_be_begun_leaves_none_that_nobody_can_read() {
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Continue));
    state.lock().unwrap().trouble = Trouble::Full;
    deciding.run(300, &mut recorder);
    let trouble = recorder.health().status().trouble.unwrap();
    assert!(trouble.starts_with("cannot begin a file: "), "{trouble}");
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    state.lock().unwrap().trouble = Trouble::None;
    deciding.run(1_500, &mut recorder);
    let lost = recorder.health().status().lost_cycles;
    recorder.finish();
    assert_eq!(names(folder.path()), ["0000000000.swarmbox"]);
    assert!(lost >= 300 && noted(folder.path()) == lost, "{lost} lost");
}

#[test]
fn what_a_killed_recorder_had_begun_goes_and_the_series_goes_on() {
    let (folder, mut deciding, mut recorder, _) = with_bad_disk(on_failure(OnDiskFailure::Continue));
    let begun = folder.path().join("0000000000.swarmbox.begun");
    std::fs::write(&begun, b"SWARMBB\x03 and half a header").unwrap();
    std::fs::write(folder.path().join("somebody's.begun"), "notes").unwrap();
    deciding.run(300, &mut recorder);
    recorder.finish();
    let mut left = names(folder.path());
    left.sort();
    assert_eq!(left, ["0000000000.swarmbox", "somebody's.begun"]);
}

#[test]
fn the_cell_stops_for_a_dead_disk_if_it_is_configured_to() {
    let (_folder, mut deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    let health = recorder.health();
    deciding.run(300, &mut recorder);
    assert_eq!(fails(&health, &deciding), (false, false));
    state.lock().unwrap().trouble = Trouble::Dead;
    deciding.run(300, &mut recorder);
    assert_eq!(fails(&health, &deciding), (true, true));
}

#[test]
fn a_dead_disk_is_found_before_anything_has_to_be_written_and_so_is_its_return() {
    let (folder, deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    let health = recorder.health();
    state.lock().unwrap().trouble = Trouble::Dead;
    recorder.look_after_disk();
    assert_eq!(fails(&health, &deciding), (true, true));
    assert_eq!(health.status().trouble.unwrap(), "cannot write to the folder: the disk is gone");
    state.lock().unwrap().trouble = Trouble::None;
    recorder.look_after_disk();
    assert_eq!(fails(&health, &deciding), (true, true), "not again at once");
    deciding.now.0.fetch_add(1_000_000_000, Ordering::Relaxed);
    recorder.look_after_disk();
    assert_eq!(fails(&health, &deciding), (false, false));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the probe leaves nothing behind");
}

#[test]
fn a_disk_that_does_not_come_back_counts_as_failing_while_it_is_waited_for() {
    let (_folder, mut deciding, recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    let health = recorder.health();
    let mut recorder = recorder;
    state.lock().unwrap().watched = Some(health.clone());
    for (millis, failing) in [(900, false), (1_100, true)] {
        state.lock().unwrap().trouble = Trouble::Slow(Duration::from_millis(millis));
        deciding.run(300, &mut recorder);
        let seen = std::mem::take(&mut state.lock().unwrap().seen);
        assert!(!seen.is_empty() && seen.iter().all(|seen| *seen == failing), "{millis} ms: {seen:?}");
        // It came back in the end, and nothing was lost.
        assert_eq!((fails(&health, &deciding), health.status().lost_cycles), ((false, false), 0));
    }
}

#[test]
fn a_disk_that_hangs_while_a_file_gets_the_name_of_one_with_a_stop_counts_as_failing() {
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    deciding.run(300, &mut recorder);
    {
        let mut state = state.lock().unwrap();
        state.watched = Some(recorder.health());
        state.trouble = Trouble::SlowToRename(Duration::from_millis(1_100));
    }
    deciding.stop(&mut recorder);
    assert_eq!(state.lock().unwrap().seen, [true]);
    assert_eq!(names(folder.path()), ["0000000000_stop.swarmbox"]);
}

/// The clock is past the stop by then, the cycles are not. A file that is full in the meantime changes nothing.
#[test]
fn a_recorder_that_is_behind_waits_for_the_disk_at_what_lies_around_the_stop() {
    for max_file_bytes in [2 << 20, 16 << 20] {
        let options = Options { max_file_bytes, max_bytes: 64 << 20, ..on_failure(OnDiskFailure::Continue) };
        let (folder, mut deciding, mut recorder, state) = with_bad_disk(options);
        let mut queue = Vec::new();
        deciding.run_with(500, &Inputs::default(), &mut |entry| queue.push(entry));
        let mut stop = Inputs::default();
        stop.hear_emergency_stop(true);
        deciding.run_with(1, &stop, &mut |entry| queue.push(entry));
        deciding.run_with(3_000, &Inputs::default(), &mut |entry| queue.push(entry));
        for entry in queue {
            recorder.take(entry);
        }
        // Begin and end of each file but the end of the last, and the segments up to a second behind the stop.
        let files = u32::try_from(names(folder.path()).len()).unwrap();
        let segments = state.lock().unwrap().synced - (2 * files - 1);
        assert!((10..=11).contains(&segments), "{segments} of {files} files");
    }
}

/// On such a disk only the probe writes.
fn idle() -> Options {
    let mode = Mode::OnStop { before: Duration::from_millis(500), after: Duration::from_millis(300) };
    Options { on_disk_failure: OnDiskFailure::Stop, ..options(mode) }
}

#[test]
fn a_stop_whose_file_fails_at_its_begin_is_in_the_next_one_up_to_what_was_being_written() {
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(idle());
    let health = recorder.health();
    deciding.run(5_000, &mut recorder);
    state.lock().unwrap().trouble = Trouble::FullAfterHeader;
    deciding.stop(&mut recorder);
    assert!(health.must_stop(deciding.now.now()));
    state.lock().unwrap().trouble = Trouble::None;
    deciding.run(2_000, &mut recorder);
    let lost = health.status().lost_cycles;
    recorder.finish();
    // A segment has 100 cycles.
    assert!((1..=101).contains(&lost), "{lost} lost");
    assert_eq!(noted(folder.path()), lost);
    let files = verified(folder.path());
    let (_, _, last) = files.last().unwrap();
    assert!(last.is_whole(), "{:?}", last.faults);
    assert!((4_500..=4_602).contains(&last.first_cycle), "{}", last.first_cycle);
    assert_eq!(last.last_cycle, 5_301);
}

#[test]
fn a_stop_whose_file_cannot_be_begun_at_once_is_recorded_whole_and_nothing_is_missing_since_the_one_before() {
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(idle());
    let health = recorder.health();
    deciding.run(1_000, &mut recorder);
    deciding.stop(&mut recorder);
    deciding.run_released(3_999, &mut recorder);
    state.lock().unwrap().trouble = Trouble::Dead;
    deciding.stop(&mut recorder);
    assert!(health.must_stop(deciding.now.now()));
    state.lock().unwrap().trouble = Trouble::None;
    deciding.run(2_000, &mut recorder);
    assert_eq!(health.status().lost_cycles, 0);
    recorder.finish();
    let files = verified(folder.path());
    assert_eq!((files.len(), noted(folder.path())), (2, 0));
    assert!(files.iter().all(|(_, _, found)| found.is_whole()));
    let (_, _, second) = &files[1];
    assert!((4_400..=4_501).contains(&second.first_cycle), "{}", second.first_cycle);
    assert_eq!(second.last_cycle, 5_301);
}

#[test]
fn a_stop_that_memory_cannot_hold_until_the_disk_is_back_is_noted_by_the_next_recording() {
    let options = Options { max_ring_entries: 400, ..idle() };
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(options);
    let health = recorder.health();
    deciding.run(1_000, &mut recorder);
    state.lock().unwrap().trouble = Trouble::Dead;
    deciding.stop(&mut recorder);
    deciding.run(3_000, &mut recorder);
    state.lock().unwrap().trouble = Trouble::None;
    let lost = health.status().lost_cycles;
    // The memory's 400 entries before it, and 300 ms.
    assert!((600..=701).contains(&lost), "{lost} lost");
    deciding.run_released(2_000, &mut recorder);
    deciding.stop(&mut recorder);
    deciding.run(2_000, &mut recorder);
    assert_eq!(health.status().lost_cycles, lost);
    recorder.finish();
    assert_eq!((verified(folder.path()).len(), noted(folder.path())), (1, lost));
}

#[test]
fn a_stop_that_waits_for_the_disk_is_tried_once_more_when_the_program_ends() {
    let (folder, mut deciding, mut recorder, state) = with_bad_disk(idle());
    deciding.run(1_000, &mut recorder);
    state.lock().unwrap().trouble = Trouble::Dead;
    deciding.stop(&mut recorder);
    state.lock().unwrap().trouble = Trouble::None;
    deciding.run(100, &mut recorder);
    recorder.finish();
    let files = verified(folder.path());
    assert_eq!(files.len(), 1);
    assert_eq!((files[0].2.last_cycle, files[0].2.lost), (1_101, 0));
}

/// Cycles as the recording thread sees them: it looks after the disk in between.
fn run_and_look(deciding: &mut Deciding, recorder: &mut Recorder, millis: u64) {
    for _ in 0..millis / 10 {
        deciding.run(10, recorder);
        recorder.look_after_disk();
    }
}

// SR-22
#[test]
fn a_disk_that_dies_or_fills_up_is_found_before_the_next_stop_needs_it() {
    for trouble in [Trouble::Dead, Trouble::Full] {
        let (folder, mut deciding, mut recorder, state) = with_bad_disk(idle());
        let health = recorder.health();
        run_and_look(&mut deciding, &mut recorder, 2_000);
        assert_eq!(fails(&health, &deciding), (false, false));
        state.lock().unwrap().trouble = trouble;
        run_and_look(&mut deciding, &mut recorder, 10_000);
        assert_eq!(fails(&health, &deciding), (true, true), "{trouble:?}");
        assert!(health.status().trouble.unwrap().starts_with("cannot write to the folder: "), "{trouble:?}");
        state.lock().unwrap().trouble = Trouble::None;
        run_and_look(&mut deciding, &mut recorder, 1_100);
        assert_eq!(fails(&health, &deciding), (false, false), "{trouble:?}");
        deciding.stop(&mut recorder);
        recorder.finish();
        assert_eq!(verified(folder.path()).len(), 1, "the stop is recorded on the mended disk");
    }
}

#[test]
fn a_disk_that_hangs_is_found_while_nothing_has_to_be_written() {
    let (_folder, mut deciding, mut recorder, state) = with_bad_disk(idle());
    run_and_look(&mut deciding, &mut recorder, 100);
    state.lock().unwrap().watched = Some(recorder.health());
    state.lock().unwrap().trouble = Trouble::Slow(Duration::from_millis(1_100));
    run_and_look(&mut deciding, &mut recorder, 10_000);
    assert_eq!(state.lock().unwrap().seen, [true], "it fails while the probe hangs");
}

#[test]
fn a_disk_that_works_is_probed_every_ten_seconds_and_not_while_it_is_written() {
    let (_folder, mut deciding, mut recorder, state) = with_bad_disk(idle());
    run_and_look(&mut deciding, &mut recorder, 25_000);
    assert_eq!(state.lock().unwrap().probes, 3);
    let (_folder, mut deciding, mut recorder, state) = with_bad_disk(options(Mode::Continuous));
    run_and_look(&mut deciding, &mut recorder, 25_000);
    assert_eq!(state.lock().unwrap().probes, 0);
}

// SR-22
#[test]
fn a_single_failure_is_seen_for_a_second() {
    let (_folder, mut deciding, mut recorder, state) = with_bad_disk(on_failure(OnDiskFailure::Stop));
    let health = recorder.health();
    deciding.run(150, &mut recorder);
    state.lock().unwrap().trouble = Trouble::Full;
    while !health.must_stop(deciding.now.now()) {
        deciding.run(1, &mut recorder);
    }
    state.lock().unwrap().trouble = Trouble::None;
    run_and_look(&mut deciding, &mut recorder, 990);
    assert_eq!(fails(&health, &deciding), (true, true), "the deciding thread has had time to see it");
    run_and_look(&mut deciding, &mut recorder, 100);
    assert_eq!(fails(&health, &deciding), (false, false));
}
