//! Evidence `export`: bags of four 1080p30 cameras at 8 Mbit/s into a LeRobotDataset v3 without coding anything anew, checked by
//! programs that nobody here wrote.
//!
//! `export [--short] OUTPUT.json`. `SWARM_TEST_PYTHON` names a Python with `av`, `pyarrow`, `numpy`, `h5py` and `lerobot-doctor`. The bags are
//! taken out of the page cache before they are read, and every file of the dataset is on the disk when the clock stops.
//!
//! Beside it: the same with statistics of pictures (where ffmpeg is), and how fast the pictures alone are coded as lerobot's recorder does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use rustix::fs::Advice;
use serde_json::{Value, json};
use swarm_dataset::synthetic::{Camera, Recording, Stream};
use swarm_dataset::{Format, Options, PictureStatistics, Pictures, Plan, export};

const CAMERAS: [&str; 4] = ["front", "left", "right", "wrist"];

/// How much is recorded.
struct Extent {
    bags: usize,
    seconds: f64,
    /// Of the stream that is repeated.
    stream_seconds: f64,
    /// Of the stream that is coded anew beside it.
    anew_seconds: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (extent, output) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--short", output] => {
            (Extent { bags: 2, seconds: 10.0, stream_seconds: 2.0, anew_seconds: 0.5 }, PathBuf::from(output))
        }
        [output] => (
            Extent { bags: 5, seconds: 60.0, stream_seconds: 10.0, anew_seconds: 2.0 },
            PathBuf::from(output),
        ),
        _ => bail!("usage: export [--short] OUTPUT.json"),
    };
    let folder = tempfile::tempdir().context("a folder for the bags")?;
    let coded = folder.path().join("stream.h264");
    peer(&["encode", path(&coded), &extent.stream_seconds.to_string()])?;
    let bags = record(&coded, &extent, folder.path())?;

    let options = Options {
        task: "evidence".to_owned(),
        validation: 0.2,
        picture_statistics: PictureStatistics::ImageNet,
        ..Options::default()
    };
    let dataset = folder.path().join("dataset");
    let (seconds, took) = measure(&bags, &options, &dataset)?;
    println!("{seconds:.1} s of {} bags in {took:.2} s", bags.len());
    let found = peer(&["check", path(&dataset)])?;
    println!("{found}");
    judge(&found, bags.len())?;
    robomimic(&bags, &options, folder.path())?;

    let mut reference = json!({});
    let anew = peer(&["reencode", path(&coded), &extent.anew_seconds.to_string()])?;
    let anew = anew.as_f64().context("the time for coding anew is a number")?;
    reference["x_real_time_lerobot_coding"] = json!(extent.anew_seconds / anew / CAMERAS.len() as f64);
    if Command::new("ffmpeg").arg("-version").output().is_ok() {
        let options = Options { picture_statistics: PictureStatistics::KeyFrames, ..options };
        let (seconds, took) = measure(&bags, &options, &folder.path().join("with statistics"))?;
        reference["x_real_time_with_picture_statistics"] = json!(seconds / took);
    }
    reference["recorded_s"] = json!(seconds);
    reference["bag_bytes"] = json!(size(&bags)?);
    let figures = json!({ "x_real_time": seconds / took, "episodes": bags.len() });
    let text = json!({ "figures": figures, "reference": reference }).to_string();
    std::fs::write(&output, &text).with_context(|| format!("writing {}", output.display()))?;
    println!("{text}");
    Ok(())
}

/// Bags of four cameras, two arms with six joints at 100 Hz, grippers and wrenches.
fn record(coded: &Path, extent: &Extent, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let stream = Stream::from_annex_b(&std::fs::read(coded)?);
    let camera = |(name, phase): (&str, f64)| Camera { phase, ..Camera::new(name, &stream) };
    let cameras = CAMERAS.into_iter().zip([0.001, 0.004, 0.011, 0.016]).map(camera).collect();
    let recording = Recording { seconds: extent.seconds, ..Recording::new(cameras) };
    (0..extent.bags)
        .map(|at| {
            let bag = folder.join(format!("demo_{at:03}.mcap"));
            recording.write(&bag)?;
            Ok(bag)
        })
        .collect()
}

/// Seconds of data, and seconds that it took from the bags' first byte to the dataset's last.
fn measure(bags: &[PathBuf], options: &Options, target: &Path) -> anyhow::Result<(f64, f64)> {
    for bag in bags {
        let file = File::open(bag)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    let started = Instant::now();
    let plan = Plan::make(bags, options, &mut |_, _| {})?;
    export(&plan, target, &mut |_, _| {})?;
    let took = started.elapsed().as_secs_f64();
    let slots: usize = plan.episodes.iter().map(|episode| episode.grid.slots).sum();
    Ok((slots as f64 / f64::from(options.fps), took))
}

fn judge(found: &Value, episodes: usize) -> anyhow::Result<()> {
    ensure!(found["complaints"] == json!([]), "lerobot-doctor complains: {}", found["complaints"]);
    ensure!(
        found["episodes"] == json!(episodes),
        "{} episodes are there, expected {episodes}",
        found["episodes"]
    );
    let number = |name: &str| found[name].as_f64().unwrap_or(-1.0);
    ensure!(number("frames_on_grid") == number("rows"), "frames are not on the grid: {found}");
    ensure!(
        number("found") == number("asked") && number("asked") > 0.0,
        "frames are not found at their time: {found}"
    );
    Ok(())
}

fn robomimic(bags: &[PathBuf], options: &Options, folder: &Path) -> anyhow::Result<()> {
    let options = Options { format: Format::Robomimic, pictures: Pictures::LeftOut, ..options.clone() };
    let file = folder.join("dataset.hdf5");
    measure(bags, &options, &file)?;
    let missing = peer(&["layout", path(&file)])?;
    ensure!(missing == json!([]), "the HDF5 has not robomimic's layout: {missing}");
    Ok(())
}

fn size(bags: &[PathBuf]) -> anyhow::Result<u64> {
    bags.iter().map(|bag| Ok(std::fs::metadata(bag)?.len())).sum()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default() // a temporary folder's name is UTF-8 wherever this runs
}

fn peer(arguments: &[&str]) -> anyhow::Result<Value> {
    let python = std::env::var_os("SWARM_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python)
        .arg("-c")
        .arg(include_str!("export.py"))
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {}", python.display()))?;
    ensure!(
        output.status.success(),
        "{} {}: {}",
        python.display(),
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("what the checker prints")
}
