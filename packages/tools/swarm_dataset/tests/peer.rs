//! Datasets against readers that nobody here wrote; see `peer.py`.
//!
//! Needs the feature `peer-tests`, and Python with `pyarrow`, `av`, `h5py` and `lerobot-doctor` (`SWARM_TEST_PYTHON` names the
//! interpreter); ffmpeg for what is decoded or coded anew.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use swarm_dataset::plan::Values;
use swarm_dataset::synthetic::{Camera, Recording, START};
use swarm_dataset::{Episodes, Format, Options, PictureStatistics, Pictures, Plan};

use common::{export, four_cameras, make, one_camera, options, plan, stream};

fn peer<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let mut command = Command::new(std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into()));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer.py")).args(arguments);
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Times, numbers and digests of the frames that a decoder shows.
fn shown(video: &Path) -> Vec<(f64, u64, String)> {
    serde_json::from_value(peer(["frames", video.to_str().unwrap()])["frames"].clone()).unwrap()
}

fn video(dataset: &Path, camera: &str, file: usize) -> PathBuf {
    dataset.join(format!("videos/observation.images.{camera}/chunk-000/file-{file:03}.mp4"))
}

/// Numbers of the frames that an episode's slots should show, by the capture times in its columns.
fn expected(plan: &Plan, episode: usize, cameras: &[Camera], camera: usize) -> Vec<u64> {
    let at =
        plan.features.iter().position(|feature| feature.name == "observation.alignment_error_s").unwrap();
    let Values::Float(errors) = &plan.episodes[episode].columns[at] else { panic!("errors are floats") };
    let grid = plan.episodes[episode].grid;
    let about = &cameras[camera];
    errors
        .iter()
        .skip(camera)
        .step_by(cameras.len())
        .enumerate()
        .map(|(slot, error)| {
            let seconds = (grid.time(slot) - START) as f64 / 1e9 + f64::from(*error);
            let number = ((seconds - about.phase) * about.rate).round() as usize + about.joined_at;
            (number % about.stream.len()) as u64
        })
        .collect()
}

/// The doctor's warnings and failures about the dataset's form. What it thinks of arms that hardly move is another matter.
fn complaints(dataset: &Path) -> Vec<String> {
    let checks: Vec<(String, String, Vec<String>)> =
        serde_json::from_value(peer(["doctor", dataset.to_str().unwrap()])).unwrap();
    assert!(checks.len() >= 8, "{checks:?}");
    let messages = checks.into_iter().flat_map(|(check, _, messages)| {
        messages.into_iter().map(move |message| format!("{check}: {message}"))
    });
    let of_contents = [
        "Action Quality: WARN",
        "Data Distribution: WARN",
        "Episode Health: WARN",
        "Anomaly Detection: WARN",
    ];
    messages
        .filter(|message| !message.contains(": PASS "))
        .filter(|message| !of_contents.iter().any(|start| message.starts_with(start)))
        .collect()
}

/// Exports one recording; gives the plan and the dataset.
fn dataset(folder: &Path, recording: &Recording, options: &Options) -> (Plan, PathBuf) {
    let plan = plan(folder, recording, options).unwrap();
    let target = folder.join("dataset");
    export(&plan, &target).unwrap();
    (plan, target)
}

#[test]
fn every_slot_shows_its_frame_at_its_time_bit_for_bit_and_a_doctor_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recording = four_cameras();
    let (plan, dataset) = dataset(folder.path(), &recording, &options());
    for (at, camera) in recording.cameras.iter().enumerate() {
        let numbers = expected(&plan, 0, &recording.cameras, at);
        let frames = shown(&video(&dataset, &camera.name, 0));
        assert_eq!(
            frames.iter().map(|(_, number, _)| *number).collect::<Vec<_>>(),
            numbers,
            "{}",
            camera.name
        );
        for (slot, (time, ..)) in frames.iter().enumerate() {
            assert!((time - slot as f64 / 30.0).abs() < 1e-6, "{}, slot {slot}: {time}", camera.name);
        }
        let queries: Vec<(f64, u64)> =
            serde_json::from_value(peer(["query", dataset.to_str().unwrap(), &camera.name])).unwrap();
        assert!(queries.iter().all(|(distance, _)| *distance < 1e-4));
        let asked: Vec<u64> = numbers.iter().step_by(7).copied().collect();
        assert_eq!(queries.iter().map(|(_, number)| *number).collect::<Vec<_>>(), asked);
    }
    assert_eq!(complaints(&dataset), Vec::<String>::new());
}

#[test]
fn a_slot_without_a_frame_shows_the_one_before_exactly() {
    for file in ["high", "baseline", "order0"] {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = one_camera(file);
        // One, several, before a key frame, and a key frame, upon which a whole group builds.
        recording.cameras[0].lost = vec![10, 40, 41, 42, 88, 89, 150];
        let options = Options { max_repeat: std::time::Duration::from_secs(1), ..options() };
        let (plan, dataset) = dataset(folder.path(), &recording, &options);
        let frames = shown(&video(&dataset, "front", 0));
        let at = plan.features.iter().position(|feature| feature.name == "capture.frame_status").unwrap();
        let Values::Integer(status) = &plan.episodes[0].columns[at] else { panic!("states are integers") };
        let expected = expected(&plan, 0, &recording.cameras, 0);
        assert_eq!(frames.len(), expected.len(), "{file}");
        assert_eq!(status.iter().filter(|status| **status == 1).count(), 6 + 30);
        for (slot, (time, number, picture)) in frames.iter().enumerate() {
            assert!((time - slot as f64 / 30.0).abs() < 1e-6, "{file}, slot {slot}");
            match status[slot] {
                0 => assert_eq!(*number, expected[slot], "{file}, slot {slot}"),
                1 => assert_eq!(*picture, frames[slot - 1].2, "{file}, slot {slot}"),
                _ => {} // what was lost is missing in it
            }
        }
    }
}

#[test]
fn a_slow_camera_repeats_and_a_fast_one_leaves_out_and_the_times_stay_exact() {
    for (file, rate) in [
        ("high", 29.6),
        ("high", 30.4),
        ("baseline", 29.6),
        ("baseline", 30.4),
        ("order0", 29.6),
        ("order0", 30.4),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = one_camera(file);
        recording.cameras[0].rate = rate;
        let (plan, dataset) = dataset(folder.path(), &recording, &options());
        let frames = shown(&video(&dataset, "front", 0));
        let numbers: Vec<u64> = frames.iter().map(|(_, number, _)| *number).collect();
        assert_eq!(numbers, expected(&plan, 0, &recording.cameras, 0), "{file} at {rate}");
        assert!(
            frames.iter().enumerate().all(|(slot, (time, ..))| (time - slot as f64 / 30.0).abs() < 1e-6),
            "{file} at {rate}"
        );
        let queries: Vec<(f64, u64)> =
            serde_json::from_value(peer(["query", dataset.to_str().unwrap(), "front"])).unwrap();
        let asked: Vec<u64> = numbers.iter().step_by(7).copied().collect();
        assert_eq!(queries.iter().map(|(_, number)| *number).collect::<Vec<_>>(), asked, "{file} at {rate}");
        assert!(queries.iter().all(|(distance, _)| *distance < 1e-4), "{file} at {rate}");
    }
}

#[test]
fn many_episodes_of_several_bags_lie_where_their_rows_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut bags = Vec::new();
    for (at, file) in ["high", "baseline", "high"].into_iter().enumerate() {
        let mut recording = one_camera(file);
        recording.seconds = 4.0;
        recording.cameras[0].joined_at = at * 7;
        bags.push(folder.path().join(format!("demo_{at}.mcap")));
        recording.write(&bags[at]).unwrap();
    }
    let plan = make(&bags, &Options { validation: 0.3, ..options() }).unwrap();
    let target = folder.path().join("dataset");
    export(&plan, &target).unwrap();
    let rows = peer(["rows", target.to_str().unwrap()]);
    let slots: Vec<usize> = plan.episodes.iter().map(|episode| episode.grid.slots).collect();
    let total: usize = slots.iter().sum();
    assert_eq!(rows["index"], json!((0..total).collect::<Vec<_>>()));
    let of_episode: Vec<usize> =
        slots.iter().enumerate().flat_map(|(episode, slots)| vec![episode; *slots]).collect();
    assert_eq!(rows["episode_index"], json!(of_episode));
    assert_eq!(rows["tasks"], json!([{"task_index": 0, "__index_level_0__": "insert the peg"}]));
    assert_eq!(rows["tasks_index"], json!(["__index_level_0__"]));
    assert_eq!(rows["types"]["observation.state"], "fixed_size_list<element: float>[14]");
    assert_eq!(rows["types"]["observation.alignment_error_s"], "float"); // one camera: a plain column
    assert_eq!(rows["features"]["observation.images.front"], json!(["video", [96, 128, 3]]));
    assert_eq!(rows["features"]["action"], json!(["float32", [14]]));
    let queries = peer(["query", target.to_str().unwrap(), "front"]);
    let numbers: Vec<u64> = serde_json::from_value::<Vec<(f64, u64)>>(queries)
        .unwrap()
        .into_iter()
        .map(|(distance, number)| {
            assert!(distance < 1e-4);
            number
        })
        .collect();
    let wanted: Vec<u64> = plan
        .episodes
        .iter()
        .enumerate()
        .flat_map(|(at, episode)| {
            let mut camera = one_camera("high").cameras;
            camera[0].joined_at = episode.bag * 7;
            expected(&plan, at, &camera, 0).into_iter().step_by(7)
        })
        .collect();
    assert_eq!(numbers, wanted);
    assert_eq!(complaints(&target), Vec::<String>::new());
}

#[test]
fn an_episode_from_the_middle_of_a_bag_begins_where_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = four_cameras();
    recording.cameras.truncate(2);
    let options =
        Options { episodes: Episodes::Ranges(vec![(1.5, 4.0), (5.2, 7.0)]), validation: 0.0, ..options() };
    let (plan, dataset) = dataset(folder.path(), &recording, &options);
    for (at, camera) in recording.cameras.iter().enumerate() {
        let queries: Vec<(f64, u64)> =
            serde_json::from_value(peer(["query", dataset.to_str().unwrap(), &camera.name])).unwrap();
        assert!(queries.iter().all(|(distance, _)| *distance < 1e-4));
        let wanted: Vec<u64> = (0..2)
            .flat_map(|episode| expected(&plan, episode, &recording.cameras, at).into_iter().step_by(7))
            .collect();
        assert_eq!(queries.iter().map(|(_, number)| *number).collect::<Vec<_>>(), wanted);
    }
    // The doctor counts the frames that only lead to the first slot; it can find nothing else.
    let complaints = complaints(&dataset);
    assert!(complaints.iter().all(|message| message.contains("frames, expected")), "{complaints:?}");
}

#[test]
fn statistics_are_those_that_lerobot_computes() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = four_cameras();
    recording.cameras.truncate(2);
    let options = Options {
        episodes: Episodes::Ranges(vec![(0.0, 4.0), (5.0, 7.0), (7.0, 9.5)]),
        picture_statistics: PictureStatistics::KeyFrames,
        ..options()
    };
    let (_, dataset) = dataset(folder.path(), &recording, &options);
    let found = peer(["stats", dataset.to_str().unwrap()]);
    assert!(found["worst"].as_f64().unwrap() < 1e-6, "{found}");
    let pictures: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_value(found["pictures"].clone()).unwrap();
    assert_eq!(pictures.keys().collect::<Vec<_>>(), ["observation.images.front", "observation.images.left"]);
    for (camera, shapes) in
        serde_json::from_value::<BTreeMap<String, BTreeMap<String, Vec<usize>>>>(found["shapes"].clone())
            .unwrap()
    {
        for (stat, shape) in shapes {
            assert_eq!(shape, if stat == "count" { vec![1] } else { vec![3, 1, 1] }, "{camera} {stat}");
        }
    }
    // The upper lines are black and white, the rest is grey around the middle.
    let mean = pictures["observation.images.front"]["mean"][1][0][0].as_f64().unwrap();
    assert!((0.2..0.7).contains(&mean), "{mean}");
}

#[test]
fn a_stream_of_another_recording_would_not_pass() {
    // The check itself: frames shifted by one are seen.
    let folder = tempfile::tempdir().unwrap();
    let recording = one_camera("high");
    let (plan, dataset) = dataset(folder.path(), &recording, &options());
    let mut shifted = recording.cameras.clone();
    shifted[0].joined_at = 1;
    let numbers: Vec<u64> =
        shown(&video(&dataset, "front", 0)).iter().map(|(_, number, _)| *number).collect();
    assert_ne!(numbers, expected(&plan, 0, &shifted, 0));
    assert_eq!(stream("high").len(), 90);
}

fn coded_anew() -> Options {
    Options { pictures: Pictures::CodedAnew { key_every: 2 }, ..options() }
}

#[test]
fn coding_anew_fits_any_rate_to_the_grid_with_key_frames_that_lie_close() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = one_camera("high");
    recording.cameras[0].rate = 25.0;
    recording.cameras[0].joined_at = 20;
    let options =
        Options { episodes: Episodes::Ranges(vec![(1.0, 3.0), (4.0, 7.0)]), validation: 0.0, ..coded_anew() };
    let (plan, dataset) = dataset(folder.path(), &recording, &options);
    let frames = shown(&video(&dataset, "front", 0));
    let numbers: Vec<u64> = frames.iter().map(|(_, number, _)| *number).collect();
    let wanted: Vec<u64> =
        (0..2).flat_map(|episode| expected(&plan, episode, &recording.cameras, 0)).collect();
    assert_eq!(numbers, wanted);
    assert!(frames.iter().enumerate().all(|(slot, (time, ..))| (time - slot as f64 / 30.0).abs() < 1e-6));
    assert_eq!(complaints(&dataset), Vec::<String>::new());
}

#[test]
fn robomimic_has_its_layout_and_every_picture_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut recording = four_cameras();
    recording.cameras.truncate(2);
    recording.seconds = 6.0;
    let options = Options {
        format: Format::Robomimic,
        pictures: Pictures::Decoded { width: 128, height: 96 },
        episodes: Episodes::Ranges(vec![(0.0, 2.0), (2.5, 5.5)]),
        validation: 0.5,
        ..options()
    };
    let (plan, file) = dataset(folder.path(), &recording, &options);
    let found = peer(["hdf5", file.to_str().unwrap()]);
    let slots: Vec<usize> = plan.episodes.iter().map(|episode| episode.grid.slots).collect();
    assert_eq!(found["data"]["attributes"]["total"], json!(slots.iter().sum::<usize>()));
    let about: Value =
        serde_json::from_str(found["data"]["attributes"]["env_args"].as_str().unwrap()).unwrap();
    assert!(about["env_name"].is_string() && about["type"].is_u64() && about["env_kwargs"].is_object());
    assert_eq!(
        (&found["mask/train"]["values"], &found["mask/valid"]["values"]),
        (&json!(["demo_0"]), &json!(["demo_1"]))
    );
    for (at, slots) in slots.into_iter().enumerate() {
        let demo = |name: &str| &found[format!("data/demo_{at}{name}")];
        assert_eq!(demo("")["attributes"]["num_samples"], json!(slots));
        for (name, shape, dtype) in [
            ("/actions", json!([slots, 14]), "float32"),
            ("/states", json!([slots, 14]), "float32"),
            ("/rewards", json!([slots]), "float32"),
            ("/dones", json!([slots]), "int64"),
            ("/obs/state", json!([slots, 14]), "float32"),
            ("/next_obs/state", json!([slots, 14]), "float32"),
            ("/obs/wrench", json!([slots, 12]), "float32"),
            ("/obs/front_image", json!([slots, 96, 128, 3]), "uint8"),
            ("/next_obs/left_image", json!([slots, 96, 128, 3]), "uint8"),
            ("/capture/alignment_error_s", json!([slots, 2]), "float32"),
            ("/capture/frame_status", json!([slots, 2]), "int64"),
        ] {
            assert_eq!((&demo(name)["shape"], &demo(name)["dtype"]), (&shape, &json!(dtype)), "{name}");
        }
        let dones: Vec<u8> = serde_json::from_value(demo("/dones")["values"].clone()).unwrap();
        assert_eq!((dones.iter().sum::<u8>(), dones[slots - 1]), (1, 1));
        for (camera, about) in recording.cameras.iter().enumerate() {
            let numbers = expected(&plan, at, &recording.cameras, camera);
            assert_eq!(demo(&format!("/obs/{}_image", about.name))["numbers"], json!(numbers));
            let next: Vec<u64> = numbers[1..].iter().chain(numbers.last()).copied().collect();
            assert_eq!(demo(&format!("/next_obs/{}_image", about.name))["numbers"], json!(next));
        }
    }
}

#[test]
fn robomimic_without_pictures_needs_no_other_program() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        format: Format::Robomimic,
        pictures: Pictures::LeftOut,
        ffmpeg: "/no/such/program".into(),
        ..options()
    };
    let (_, file) = dataset(folder.path(), &one_camera("high"), &options);
    let found = peer(["hdf5", file.to_str().unwrap()]);
    assert!(
        found.get("data/demo_0/obs/state").is_some() && found.get("data/demo_0/obs/front_image").is_none()
    );
}

#[test]
fn decoding_that_was_killed_goes_on_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        format: Format::Robomimic,
        pictures: Pictures::Decoded { width: 64, height: 48 },
        episodes: Episodes::Ranges(vec![(0.0, 2.0), (2.5, 5.5), (6.0, 8.0)]),
        ..options()
    };
    let (plan, whole) = dataset(folder.path(), &one_camera("high"), &options);
    let (bag, away) = (folder.path().join("demo_001.mcap"), folder.path().join("away"));
    let again = folder.path().join("again");
    // The bag goes away once the first episode is done.
    let gone = swarm_dataset::export(&plan, &again, &mut |_, _| {
        if bag.exists() {
            std::fs::rename(&bag, &away).unwrap();
        }
    });
    gone.unwrap_err();
    assert!(!again.exists());
    std::fs::rename(&away, &bag).unwrap();
    export(&plan, &again).unwrap();
    assert!(std::fs::read(&again).unwrap() == std::fs::read(&whole).unwrap());
}

#[test]
fn without_ffmpeg_an_export_that_needs_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        picture_statistics: PictureStatistics::KeyFrames,
        ffmpeg: "/no/such/program".into(),
        ..options()
    };
    let plan = plan(folder.path(), &one_camera("high"), &options).unwrap();
    let error = export(&plan, &folder.path().join("dataset")).unwrap_err().to_string();
    assert_eq!(
        error,
        "ffmpeg: cannot start /no/such/program: No such file or directory (os error 2); install it, or do without decoded \
         pictures: --picture-statistics imagenet for LeRobot, --no-images for robomimic"
    );
}
