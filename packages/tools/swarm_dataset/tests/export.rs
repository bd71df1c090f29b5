//! What an export promises, as far as it can be seen without other programs; `peer.rs` has the rest.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use swarm_bag::WriteOptions;
use swarm_bag::video::VideoMessage;
use swarm_dataset::plan::{Split, Values};
use swarm_dataset::synthetic::{Recording, START};
use swarm_dataset::{Episodes, Options, Plan, Report};

use common::{export, four_cameras, make, one_camera, options, plan};

fn column<'a>(plan: &'a Plan, name: &str) -> (&'a Values, usize) {
    let at =
        plan.features.iter().position(|feature| feature.name == name).unwrap_or_else(|| panic!("no {name}"));
    (&plan.episodes[0].columns[at], plan.features[at].names.len())
}

fn floats<'a>(plan: &'a Plan, name: &str) -> (&'a [f32], usize) {
    match column(plan, name) {
        (Values::Float(values), width) => (values, width),
        _ => panic!("{name} is not of floats"),
    }
}

fn integers<'a>(plan: &'a Plan, name: &str) -> &'a [i64] {
    match column(plan, name) {
        (Values::Integer(values), _) => values,
        _ => panic!("{name} is not of integers"),
    }
}

#[test]
fn each_row_says_when_its_frames_were_captured_and_what_the_arms_did_then() {
    let folder = tempfile::tempdir().unwrap();
    let recording = four_cameras();
    let plan = plan(folder.path(), &recording, &options()).unwrap();
    let grid = plan.episodes[0].grid;
    // Phases are 4 to 25 ms, so that the middle of the first frames is at 14.5 ms.
    assert_eq!(grid.start - START, 14_500_000);
    let (errors, cameras) = floats(&plan, "observation.alignment_error_s");
    assert_eq!(cameras, 4);
    for (row, error) in errors.chunks(4).enumerate() {
        for (error, expected) in error.iter().zip([-0.0045, -0.0105, 0.0025, 0.0105]) {
            assert!((error - expected).abs() < 1e-6, "row {row}: {error} s, expected {expected} s");
        }
    }
    let moments = integers(&plan, "capture.time_ns");
    let (states, width) = floats(&plan, "observation.state");
    assert_eq!((width, states.len()), (14, grid.slots * 14));
    let (actions, action_width) = floats(&plan, "action");
    assert_eq!(action_width, 14);
    for (row, moment) in moments.iter().enumerate() {
        assert!((moment - grid.time(row)).abs() <= 1, "row {row}");
        let seconds = (moment - START) as f64 / 1e9;
        let command = (seconds * 100.0).ceil() / 100.0;
        for joint in 0..12 {
            let state = f64::from(states[row * 14 + joint]);
            assert!((state - Recording::position(joint, seconds)).abs() < 1e-4, "row {row}, joint {joint}");
            let action = f64::from(actions[row * 14 + joint]);
            assert!((action - Recording::velocity(joint, command)).abs() < 1e-6, "row {row}, joint {joint}");
        }
    }
    assert!(integers(&plan, "capture.clock_state").iter().all(|state| *state == 2));
    assert!(integers(&plan, "capture.frame_status").iter().all(|status| *status == 0));
    let report = Report::of(&plan);
    assert!((report.residual[1] - 0.021).abs() < 1e-6, "{report:?}");
    assert_eq!(report.cameras[3].locked, Some(1.0));
}

#[test]
fn frames_that_the_recording_puts_into_one_group_are_shown_in_one_slot() {
    // The second camera is 20 ms behind the first: by time alone its frame is nearest to the next one of the first, 13 ms later.
    let mut recording = four_cameras();
    recording.cameras.truncate(2);
    (recording.cameras[0].phase, recording.cameras[1].phase) = (0.0, 0.020);
    recording.cameras[1].lost = vec![100];
    let offsets = |recording: &Recording| {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path(), recording, &options()).unwrap();
        let (errors, _) = floats(&plan, "observation.alignment_error_s");
        let offsets: Vec<f32> = errors.chunks(2).map(|row| row[1] - row[0]).collect();
        let report = Report::of(&plan);
        (offsets, integers(&plan, "capture.group").to_vec(), report)
    };
    let (by_time, groups, report) = offsets(&recording);
    assert!((by_time[10] + 0.01333).abs() < 1e-4, "{}", by_time[10]);
    assert!(groups.iter().all(|group| *group == -1) && report.grouped == 0.0);

    recording.grouped = true;
    let (by_group, groups, report) = offsets(&recording);
    for (slot, offset) in by_group.iter().enumerate().filter(|(slot, _)| *slot != 100) {
        assert!((offset - 0.020).abs() < 1e-4, "slot {slot}: {offset}");
    }
    assert!(groups.windows(2).all(|pair| pair[1] == pair[0] + 1), "{groups:?}");
    assert_eq!(report.grouped, 1.0);
    assert!((report.residual[0] - 0.020).abs() < 1e-6, "{:?}", report.residual);
}

#[test]
fn lost_frames_are_shown_as_repeats_and_what_builds_upon_them_as_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = one_camera("high");
    recording.cameras[0].lost = vec![40, 41];
    let plan = plan(folder.path(), &recording, &options()).unwrap();
    let status = integers(&plan, "capture.frame_status");
    // Frame 60 is the next key frame.
    let expected = |slot: usize| match slot {
        40 | 41 => 1,
        42..60 => 2,
        _ => 0,
    };
    assert_eq!(status, (0..status.len()).map(expected).collect::<Vec<_>>());
    let (errors, _) = floats(&plan, "observation.alignment_error_s");
    assert!((errors[41] + 2.0 / 30.0).abs() < 1e-6, "a repeated frame is as old as it is: {}", errors[41]);
    let camera = &Report::of(&plan).cameras[0];
    assert_eq!((camera.repeated, camera.damaged), (2, 18));
}

#[test]
fn damage_is_seen_without_timing_by_the_gap_in_the_frame_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = one_camera("baseline");
    recording.cameras[0].lost = vec![40];
    recording.cameras[0].timing = false;
    let plan = plan(folder.path(), &recording, &options()).unwrap();
    let status = integers(&plan, "capture.frame_status");
    assert_eq!(status.iter().filter(|status| **status == 2).count(), 19);
    assert!(integers(&plan, "capture.clock_state").iter().all(|state| *state == -1));
}

#[test]
fn what_builds_upon_a_lost_key_frame_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = one_camera("high");
    recording.cameras[0].lost = vec![60];
    let error = plan(folder.path(), &recording, &options()).unwrap_err().to_string();
    let expected =
        "camera front: it has no frame for more than 200 ms, 2.00 s into the episode (--max-repeat)";
    assert!(error.contains(expected), "{error}");
    let options = Options { max_repeat: std::time::Duration::from_secs(1), ..options() };
    let plan = make(&[folder.path().join("demo_001.mcap")], &options).unwrap();
    let status = integers(&plan, "capture.frame_status");
    let expected: Vec<i64> = (0..status.len()).map(|slot| i64::from((60..90).contains(&slot))).collect();
    assert_eq!(status, expected);
}

#[test]
fn a_stream_that_is_joined_between_key_frames_begins_with_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = one_camera("high");
    recording.cameras[0].joined_at = 10;
    let plan = plan(folder.path(), &recording, &options()).unwrap();
    let episode = &plan.episodes[0];
    assert_eq!(episode.grid.start - START, 666_666_667); // 20 frames later
    assert_eq!(episode.cameras[0].lead, 0);
}

#[test]
fn an_episode_that_begins_between_key_frames_has_a_lead_from_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { episodes: Episodes::Ranges(vec![(1.5, 4.0)]), ..options() };
    let plan = plan(folder.path(), &one_camera("high"), &options).unwrap();
    // The bag begins with the states at START; frame 45 is at 1.5 s, and the key frame before is 30.
    assert_eq!(plan.episodes[0].cameras[0].lead, 15);
    assert_eq!(plan.episodes[0].grid.slots, 76);
}

#[test]
fn runs_of_a_skill_are_episodes() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = one_camera("high");
    recording.runs = vec![("first".into(), 1.0, 4.0), ("second".into(), 5.0, 9.0)];
    let options = Options { episodes: Episodes::Runs, validation: 0.0, ..options() };
    let plan = plan(folder.path(), &recording, &options).unwrap();
    let runs: Vec<_> = plan
        .episodes
        .iter()
        .map(|episode| (episode.name.as_str(), episode.grid.slots.div_ceil(10)))
        .collect();
    assert_eq!(runs, [("first", 10), ("second", 13)]);
}

#[test]
fn seed_and_fraction_say_which_episodes_are_for_validation() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("demo.mcap");
    one_camera("high").write(&bag).unwrap();
    let ranges: Vec<(f64, f64)> = (0..8).map(|at| 1.2 * f64::from(at)).map(|at| (at, at + 1.1)).collect();
    let of = |seed: u64, validation: f64| {
        let options = Options { episodes: Episodes::Ranges(ranges.clone()), seed, validation, ..options() };
        let plan = make(std::slice::from_ref(&bag), &options).unwrap();
        let order =
            plan.episodes.iter().map(|episode| (episode.name.clone(), episode.split)).collect::<Vec<_>>();
        assert!(plan.episodes.is_sorted_by_key(|episode| episode.split));
        order
    };
    let first = of(1, 0.25);
    assert_eq!(first.iter().filter(|(_, split)| *split == Split::Validation).count(), 2);
    assert_eq!(first, of(1, 0.25));
    assert!((2..20).any(|seed| of(seed, 0.25) != first), "the seed should matter");
}

#[test]
fn one_more_bag_draws_nothing_anew() {
    let folder = tempfile::tempdir().unwrap();
    let bags: Vec<PathBuf> = (0..9).map(|at| folder.path().join(format!("demo_{at}.mcap"))).collect();
    let mut recording = one_camera("high");
    recording.seconds = 2.0;
    for bag in &bags {
        recording.write(bag).unwrap();
    }
    for seed in 0..5 {
        let validation = |bags: &[PathBuf]| {
            let plan = make(bags, &Options { seed, validation: 0.25, ..options() }).unwrap();
            let chosen = plan.episodes.iter().filter(|episode| episode.split == Split::Validation);
            chosen.map(|episode| plan.bags[episode.bag].path.clone()).collect::<BTreeSet<_>>()
        };
        // Two of either: of those that were for validation, the new bag takes the place of one at most.
        let (before, after) = (validation(&bags[1..]), validation(&bags));
        assert_eq!((before.len(), after.len()), (2, 2));
        assert!(after.difference(&before).all(|bag| *bag == bags[0]), "seed {seed}: {before:?}, {after:?}");
    }
}

#[test]
fn the_three_messages_of_video_and_both_storages_give_the_same_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let mut datasets = Vec::new();
    for (name, message) in [
        ("a.mcap", VideoMessage::CompressedVideo),
        ("a.db3", VideoMessage::CompressedImage),
        ("directory", VideoMessage::FfmpegPacket),
    ] {
        let mut recording = one_camera("high");
        recording.seconds = 3.0;
        recording.cameras[0].message = message;
        let bag = folder.path().join(name);
        recording.write_with(&bag, WriteOptions::default()).unwrap();
        let target = folder.path().join(format!("dataset of {name}"));
        export(&make(&[bag], &options()).unwrap(), &target).unwrap();
        let mut files = bytes(&target);
        files.remove(Path::new("meta/export.json")); // it names the bag
        datasets.push(files);
    }
    assert_eq!(
        datasets[0].keys().collect::<Vec<_>>(),
        [
            "data/chunk-000/file-000.parquet",
            "meta/episodes/chunk-000/file-000.parquet",
            "meta/info.json",
            "meta/stats.json",
            "meta/tasks.parquet",
            "videos/observation.images.front/chunk-000/file-000.mp4",
        ]
        .map(Path::new)
        .iter()
        .collect::<Vec<_>>()
    );
    assert!(datasets[1] == datasets[0] && datasets[2] == datasets[0]);
}

/// Every file below a folder, or the file itself, with its bytes.
fn bytes(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Bags whose streams differ, so that each has files of its own in the dataset.
fn many_parts(folder: &Path) -> Vec<PathBuf> {
    ["high", "baseline", "order0", "high"]
        .into_iter()
        .enumerate()
        .map(|(at, file)| {
            let bag = folder.join(format!("demo_{at}.mcap"));
            let mut recording = one_camera(file);
            recording.seconds = 3.0;
            recording.write(&bag).unwrap();
            bag
        })
        .collect()
}

const KILL_AT: &str = "SWARM_DATASET_KILL_AT";
const FOLDER: &str = "SWARM_DATASET_FOLDER";

/// In the process that the test below starts: exports, and kills itself with SIGKILL once so many slots are done.
fn export_until_killed() {
    let (Some(kill_at), Some(folder)) = (std::env::var_os(KILL_AT), std::env::var_os(FOLDER)) else { return };
    let kill_at: u64 = kill_at.to_str().unwrap().parse().unwrap();
    let folder = PathBuf::from(folder);
    let bags: Vec<PathBuf> = (0..4).map(|at| folder.join(format!("demo_{at}.mcap"))).collect();
    let plan = make(&bags, &options()).unwrap();
    swarm_dataset::export(&plan, &folder.join("dataset"), &mut |done, _| {
        if done >= kill_at {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    })
    .unwrap();
}

#[test]
fn killed_at_any_place_and_begun_again_it_gives_the_same_bytes() {
    export_until_killed();
    let folder = tempfile::tempdir().unwrap();
    let bags = many_parts(folder.path());
    let plan = make(&bags, &options()).unwrap();
    let (whole, target) = (folder.path().join("whole"), folder.path().join("dataset"));
    export(&plan, &whole).unwrap();
    let whole = bytes(&whole);
    assert_eq!(whole.keys().filter(|path| path.extension().is_some_and(|ending| ending == "mp4")).count(), 4);
    let slots: usize = plan.episodes.iter().map(|episode| episode.grid.slots).sum();
    for kill_at in [1, slots / 4, slots / 3, slots / 2, slots - 1, slots] {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_at_any_place_and_begun_again_it_gives_the_same_bytes", "--nocapture"])
            .env(KILL_AT, kill_at.to_string())
            .env(FOLDER, folder.path())
            .output()
            .unwrap()
            .status;
        assert!(!status.success(), "it should have been killed at {kill_at} of {slots}");
        assert!(!target.exists(), "nothing has the dataset's name until it is whole");
        export(&plan, &target).unwrap();
        assert!(bytes(&target) == whole, "killed at {kill_at} of {slots}");
        assert!(!folder.path().join(".dataset.partial").exists());
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn what_is_complete_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let bags = many_parts(folder.path());
    let plan = make(&bags, &options()).unwrap();
    let target = folder.path().join("dataset");
    // The last bag goes away before it is needed, and comes back.
    let (last, away) = (&bags[plan.episodes.last().unwrap().bag], folder.path().join("away"));
    fs::rename(last, &away).unwrap();
    export(&plan, &target).unwrap_err();
    assert!(!target.exists());
    fs::rename(&away, last).unwrap();
    let first = &bags[plan.episodes[0].bag];
    fs::rename(first, &away).unwrap();
    export(&plan, &target).unwrap();
    assert!(target.join("meta/info.json").exists());
}

#[test]
fn a_bag_that_changes_under_the_export_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let recording = one_camera("high");
    let plan = plan(folder.path(), &recording, &options()).unwrap();
    let bag = folder.path().join("demo_001.mcap");
    fs::remove_file(&bag).unwrap();
    let mut other = recording;
    other.cameras[0].lost = vec![100];
    other.write(&bag).unwrap();
    let error = export(&plan, &folder.path().join("dataset")).unwrap_err().to_string();
    assert!(error.contains("changed while it was read: /front/video: frame 100, captured at"), "{error}");
}
