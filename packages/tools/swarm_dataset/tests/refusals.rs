//! What cannot be exported is refused before anything is written, and says camera, place and what to do.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use swarm_dataset::synthetic::{Camera, Recording};
use swarm_dataset::{Episodes, Options, Report};

use common::{export, four_cameras, make, one_camera, options, plan, stream};

/// Why the one recording cannot be exported: the line of its refusal, without the bag's path.
fn refusal(recording: &Recording, options: &Options) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = plan(folder.path(), recording, options).unwrap_err().to_string();
    let text = error.replace(&format!("{}/", folder.path().display()), "");
    let start = "1 of 1 episodes cannot be exported:\n  demo_001.mcap: ";
    let end = "\nleave them out with --skip-refused";
    text.strip_prefix(start).and_then(|text| text.strip_suffix(end)).map_or(text.clone(), str::to_owned)
}

fn with_camera(change: impl FnOnce(&mut Camera)) -> Recording {
    let mut recording = one_camera("high");
    change(&mut recording.cameras[0]);
    recording
}

#[test]
fn no_bags() {
    let error = make(&[], &options()).unwrap_err();
    assert_eq!(error.to_string(), "no bags: name at least one .mcap, .db3 or rosbag2 directory");
}

#[test]
fn what_is_no_bag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "no bag").unwrap();
    let error = make(std::slice::from_ref(&path), &options()).unwrap_err().to_string();
    let expected =
        "is no bag: expected an SQLite database or an MCAP file, found a file that begins with no bag";
    assert_eq!(error, format!("{} {expected}", path.display()));
}

#[test]
fn no_camera() {
    let mut recording = Recording::new(Vec::new());
    recording.robots.truncate(1);
    assert_eq!(
        refusal(&recording, &options()),
        "it has no camera's topic (CompressedVideo, CompressedImage, FFMPEGPacket): /joint_states, /left/joint_command, \
         /left/gripper_state, /left/gripper_command, /left/wrench"
    );
    let options = Options { cameras: Some(vec!["top".into()]), ..options() };
    assert_eq!(refusal(&one_camera("high"), &options), "it has no camera top; it has front");
}

#[test]
fn unknown_action() {
    let options = Options { actions: Some(vec!["/left/wish".into()]), ..options() };
    let folder = tempfile::tempdir().unwrap();
    let error = plan(folder.path(), &one_camera("high"), &options).unwrap_err().to_string();
    assert_eq!(
        error,
        "no bag has the action /left/wish; topics that can be actions: /left/gripper_command, /left/joint_command, \
         /right/gripper_command, /right/joint_command"
    );
}

#[test]
fn frames_without_parameter_sets() {
    // The stream's second to thirtieth frame: no key frame, so no SPS.
    let recording = with_camera(|camera| {
        camera.joined_at = 1;
        camera.frames = Some(29);
    });
    let expected = "camera front: none of its 29 frames comes with parameter sets (SPS, PPS)";
    assert_eq!(refusal(&recording, &options()), expected);
}

#[test]
fn b_frames() {
    assert_eq!(
        refusal(&one_camera("bframes"), &options()),
        "camera front: frame 2: it is a B-frame, whose order in the stream is not that of its time; set the camera up without"
    );
}

#[test]
fn another_codec() {
    let recording = with_camera(|camera| "h265".clone_into(&mut camera.format));
    assert_eq!(
        refusal(&recording, &options()),
        "camera front: its frames are h265, and only h264 is exported"
    );
    let recording = with_camera(|camera| camera.then = Some((150, stream("high"), "jpeg".to_owned())));
    assert_eq!(
        refusal(&recording, &options()),
        "camera front: frame 150: the codec changes from h264 to jpeg"
    );
}

#[test]
fn another_resolution_within_an_episode() {
    let recording = with_camera(|camera| camera.then = Some((150, stream("small"), "h264".to_owned())));
    assert_eq!(
        refusal(&recording, &options()),
        "camera front: its parameter sets change 5.00 s into the episode, from 128x96 to 64x48 pixels; \
         end the episode before (--range)"
    );
}

#[test]
fn another_rate_than_the_datasets() {
    let recording = with_camera(|camera| camera.rate = 25.0);
    assert_eq!(
        refusal(&recording, &options()),
        "camera front: it has 25.00 frames/s and the dataset 30; frames that stay as they are coded must fit: --fps 25, or --reencode"
    );
}

#[test]
fn a_camera_that_is_silent() {
    let recording = with_camera(|camera| camera.lost = (100..110).collect());
    assert_eq!(
        refusal(&recording, &options()),
        "camera front: it has no frame for more than 200 ms, 3.33 s into the episode (--max-repeat)"
    );
}

#[test]
fn arms_that_are_silent() {
    let mut recording = one_camera("high");
    recording.silence = Some((4.0, 4.5));
    assert_eq!(
        refusal(&recording, &options()),
        "left_joint_0 has no value 4.000 s into the episode: it is silent for 510 ms there (--max-silence)"
    );
    recording.robots.clear();
    assert_eq!(refusal(&recording, &options()), "it has no joint states (/joint_states)");
}

#[test]
fn an_episode_that_is_too_short() {
    let mut recording = one_camera("high");
    recording.seconds = 0.5;
    assert_eq!(
        refusal(&recording, &options()),
        "everything is there for 0.50 s only, and an episode has 1 s at least"
    );
}

/// Two bags, of which the second is unlike the first: the reason.
fn unlike(first: &Recording, second: &Recording) -> String {
    let folder = tempfile::tempdir().unwrap();
    let bags: Vec<PathBuf> = ["a.mcap", "b.mcap"].map(|name| folder.path().join(name)).into();
    first.write(&bags[0]).unwrap();
    second.write(&bags[1]).unwrap();
    let error = make(&bags, &options()).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn episodes_that_are_unlike_the_first() {
    let first = one_camera("high");
    assert_eq!(
        unlike(&first, &one_camera("small")),
        "1 of 2 episodes cannot be exported:\n  b.mcap: camera front has 64x48 pixels, and 128x96 in a.mcap\n\
         leave them out with --skip-refused"
    );
    let mut second = first.clone();
    second.robots = vec!["left".into(), "third".into()];
    second.joints = 1;
    let mut third = second.clone();
    third.robots.pop();
    assert_eq!(
        unlike(&third, &second),
        "1 of 2 episodes cannot be exported:\n  b.mcap: observation.state is \
         [left_joint_0, third_joint_0, left.gripper, third.gripper], and [left_joint_0, left.gripper] in a.mcap\n\
         leave them out with --skip-refused"
    );
}

#[test]
fn ranges_that_are_none() {
    let outside = Options { episodes: Episodes::Ranges(vec![(2.0, 5.0), (20.0, 30.0)]), ..options() };
    let folder = tempfile::tempdir().unwrap();
    let error = plan(folder.path(), &one_camera("high"), &outside).unwrap_err().to_string();
    assert!(
        error.contains("demo_001.mcap 20..30: the range is not in the bag, which is 10.0 s long"),
        "{error}"
    );
    let backwards = Options { episodes: Episodes::Ranges(vec![(5.0, 2.0)]), ..options() };
    let error = make(&[folder.path().join("demo_001.mcap")], &backwards).unwrap_err().to_string();
    assert_eq!(error, "the range 5..2: expected seconds from the bag's start, rising");
    let runs = Options { episodes: Episodes::Runs, ..options() };
    assert_eq!(refusal(&one_camera("high"), &runs), "no skill ran in it (/skill_runtime/status)");
}

#[test]
fn what_could_be_in_training_and_in_validation() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("demo_001.mcap");
    one_camera("high").write(&bag).unwrap();
    let link = folder.path().join("link.mcap");
    std::os::unix::fs::symlink(&bag, &link).unwrap();
    for again in [&link, &bag] {
        let error = make(&[bag.clone(), again.clone()], &options()).unwrap_err().to_string();
        let expected = format!("{} is the bag {}, or of it: ", again.display(), bag.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    let error = make(&[bag.clone(), folder.path().to_owned()], &options()).unwrap_err().to_string();
    assert!(error.contains("name it once"), "a folder and its file: {error}");

    let overlapping = Options { episodes: Episodes::Ranges(vec![(4.0, 6.0), (2.0, 4.5)]), ..options() };
    let error = make(&[bag], &overlapping).unwrap_err().to_string();
    assert!(error.starts_with("the ranges 2..4.5 and 4..6 overlap: "), "{error}");
}

#[test]
fn what_is_refused_can_be_left_out_and_is_named_then() {
    let folder = tempfile::tempdir().unwrap();
    let bags: Vec<PathBuf> = ["a.mcap", "b.mcap"].map(|name| folder.path().join(name)).into();
    one_camera("high").write(&bags[0]).unwrap();
    one_camera("bframes").write(&bags[1]).unwrap();
    let plan = make(&bags, &Options { skip_refused: true, ..options() }).unwrap();
    assert_eq!((plan.episodes.len(), plan.refused.len()), (1, 1));
    let report = Report::of(&plan).to_json();
    assert!(report["refused"][0]["reason"].as_str().unwrap().contains("B-frame"), "{report}");
}

#[test]
fn a_bag_that_was_cut_is_exported_up_to_the_cut_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole.mcap"), folder.path().join("cut.mcap"));
    let options =
        swarm_bag::WriteOptions { sync_every: std::time::Duration::from_millis(20), ..Default::default() };
    four_cameras().write_with(&whole, options).unwrap();
    let bytes = fs::read(&whole).unwrap();
    fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).unwrap();
    let plan = make(&[cut], &common::options()).unwrap();
    let seconds = plan.episodes[0].grid.slots as f64 / 30.0;
    assert!((2.0..9.0).contains(&seconds), "{seconds} s");
    assert!(plan.bags[0].damage[0].contains("cut off at byte"), "{:?}", plan.bags[0].damage);
    let target = folder.path().join("dataset");
    export(&plan, &target).unwrap();
    let said = fs::read_to_string(target.join("meta/export.json")).unwrap();
    assert!(said.contains("cut off at byte"), "{said}");
}

#[test]
fn an_output_that_exists_or_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path(), &one_camera("high"), &options()).unwrap();
    let there = folder.path().join("there");
    fs::create_dir(&there).unwrap();
    let refused = |path: &Path| export(&plan, path).unwrap_err().to_string();
    assert_eq!(
        refused(&there),
        format!(
            "{} exists; a dataset is never written over another: name a new one, or remove it",
            there.display()
        )
    );
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refused(&file.join("dataset"));
    assert_eq!(error, format!("cannot create {}: File exists (os error 17)", file.display()));
}

#[test]
fn an_export_that_was_begun_otherwise_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path(), &one_camera("high"), &options()).unwrap();
    let left = folder.path().join(".dataset.partial");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("plan"), "another").unwrap();
    let error = export(&plan, &folder.path().join("dataset")).unwrap_err().to_string();
    let expected =
        "holds an export that was begun with other bags or options; finish that one, or remove the folder";
    assert_eq!(error, format!("{} {expected}", left.display()));
}
