//! `cell export`: bags into a dataset for training.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use swarm_dataset::plan::Split;
use swarm_dataset::{Episodes, Format, Options, PictureStatistics, Pictures, Plan, Report, export};

use crate::Outcome;
use crate::output::print_json;

/// Bags into a dataset for training: a LeRobotDataset v3.0 (a folder) or robomimic's HDF5 (a file).
///
/// Frames of all cameras, the arms' states and what they were commanded are brought to an exact grid of --fps. Video goes into a
/// LeRobotDataset bit for bit, unless --reencode asks for key frames that lie closer together, which training reads faster. How
/// far each frame is from its slot goes along in columns (observation.alignment_error_s, capture.*); meta/export.json
/// has a summary, and says where each episode comes from.
///
/// What is missing is refused with a reason, before anything is written: a camera or an arm that is silent for longer than
/// allowed, other joints or resolutions than in the first episode. --skip-refused leaves such episodes out.
///
/// A run that was stopped goes on where it was, when it is begun again with the same bags and options.
///
/// Exit codes: 0 done, 2 could not do it.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // switches of the command line
pub(crate) struct Args {
    /// Bags: .mcap, .db3, or rosbag2 directories.
    #[arg(value_name = "BAG", required = true)]
    bags: Vec<PathBuf>,
    /// The dataset; it must not exist.
    #[arg(long, short, value_name = "PATH", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "lerobot")]
    format: FormatName,
    /// Rate of the dataset, frames per second.
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// What the episodes show, in words: lerobot's task.
    #[arg(long, default_value = "")]
    task: String,
    /// A camera to take, by name; repeat for several [default: all].
    #[arg(long = "camera", value_name = "NAME")]
    cameras: Vec<String>,
    /// A topic to take actions from; repeat for several [default: /<robot>/joint_command and gripper_command, else skill_command].
    #[arg(long = "action", value_name = "TOPIC")]
    actions: Vec<String>,
    /// Each run of a skill is an episode, as /skill_runtime/status tells; else a bag is.
    #[arg(long, conflicts_with = "ranges")]
    runs: bool,
    /// An episode, s from the bag's beginning; repeat for several. For one bag.
    #[arg(long = "range", value_name = "FROM..TO", value_parser = range)]
    ranges: Vec<(f64, f64)>,
    /// Code the video anew, with a key frame at least every so many frames [without a number: 2, as lerobot does].
    #[arg(long, value_name = "FRAMES", num_args = 0..=1, default_missing_value = "2")]
    reencode: Option<u32>,
    /// Size of robomimic's pictures, pixels.
    #[arg(long, value_name = "WxH", default_value = "84x84", value_parser = size)]
    size: (u32, u32),
    /// robomimic without pictures.
    #[arg(long)]
    no_images: bool,
    /// Statistics of pictures: from key frames that ffmpeg decodes, or ImageNet's, which lerobot uses by default anyway.
    #[arg(long, value_enum, default_value = "keyframes")]
    picture_statistics: StatisticsName,
    /// Longest silence of joints and commands, ms.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    max_silence: u64,
    /// Longest time for which a camera's frame is shown once more, ms.
    #[arg(long, value_name = "MS", default_value_t = 200)]
    max_repeat: u64,
    /// Shortest episode, s.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    min_length: f64,
    /// Part of the episodes that is for validation.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    validation: f64,
    /// Which episodes these are.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Leave out what cannot be exported, and say so.
    #[arg(long)]
    skip_refused: bool,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    /// The ffmpeg to use.
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    ffmpeg: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatName {
    Lerobot,
    Robomimic,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum StatisticsName {
    Keyframes,
    Imagenet,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let options = options(args)?;
    let reading = bar("{prefix:>24} [{bar:40}] {percent} % read");
    let plan = Plan::make(&args.bags, &options, &mut |bag, part| {
        reading.set_prefix(short_name(bag));
        reading.set_length(1000);
        reading.set_position((part * 1000.0) as u64);
    });
    reading.finish_and_clear();
    let plan = plan?;
    let report = Report::of(&plan);
    if !args.json {
        show(&plan, &report);
    }
    if let (Some(out), false) = (&args.out, args.dry_run) {
        let writing = bar("{prefix:>24} [{bar:40}] {pos}/{len} rows, {eta} left");
        writing.set_prefix(short_name(out));
        let written = export(&plan, out, &mut |done, of| {
            writing.set_length(of);
            writing.set_position(done);
        });
        writing.finish_and_clear();
        written?;
        if !args.json {
            println!("dataset: {}", out.display());
        }
    }
    if args.json {
        print_json(&report.to_json())?;
    }
    Ok(Outcome::Done)
}

fn options(args: &Args) -> anyhow::Result<Options> {
    let some = |names: &Vec<String>| (!names.is_empty()).then(|| names.clone());
    let (width, height) = args.size;
    let (format, pictures) = match (args.format, args.reencode, args.no_images) {
        (FormatName::Lerobot, None, false) => (Format::Lerobot, Pictures::AsCoded),
        (FormatName::Lerobot, Some(key_every), false) => (Format::Lerobot, Pictures::CodedAnew { key_every }),
        (FormatName::Robomimic, None, false) => (Format::Robomimic, Pictures::Decoded { width, height }),
        (FormatName::Robomimic, None, true) => (Format::Robomimic, Pictures::LeftOut),
        (FormatName::Lerobot, _, true) => bail!("--no-images is for robomimic"),
        (FormatName::Robomimic, Some(_), _) => {
            bail!("--reencode is for lerobot; robomimic's pictures are decoded")
        }
    };
    if !(args.min_length >= 0.0 && args.min_length.is_finite()) {
        bail!("--min-length is {}: expected seconds, 0 or more", args.min_length);
    }
    Ok(Options {
        format,
        fps: args.fps,
        task: args.task.clone(),
        cameras: some(&args.cameras),
        actions: some(&args.actions),
        episodes: match (args.runs, args.ranges.is_empty()) {
            (true, _) => Episodes::Runs,
            (false, true) => Episodes::WholeBag,
            (false, false) => Episodes::Ranges(args.ranges.clone()),
        },
        pictures,
        picture_statistics: match args.picture_statistics {
            StatisticsName::Keyframes => PictureStatistics::KeyFrames,
            StatisticsName::Imagenet => PictureStatistics::ImageNet,
        },
        max_silence: Duration::from_millis(args.max_silence),
        max_repeat: Duration::from_millis(args.max_repeat),
        min_length: Duration::from_secs_f64(args.min_length),
        validation: args.validation,
        seed: args.seed,
        skip_refused: args.skip_refused,
        ffmpeg: args.ffmpeg.clone(),
    })
}

fn show(plan: &Plan, report: &Report) {
    for bag in plan.bags.iter().filter(|bag| !bag.damage.is_empty()) {
        println!("{}: {}; the rest is exported", bag.path.display(), bag.damage.join("; "));
    }
    for refusal in &plan.refused {
        let bag = plan.bags[refusal.bag].path.display();
        println!("left out: {bag} {}: {}", refusal.episode, refusal.reason);
    }
    let validation = report.episodes - report.train;
    println!(
        "{} episodes, {} rows, {:.1} s; seed {}: {} for training, {validation} for validation",
        report.episodes, report.slots, report.seconds, plan.options.seed, report.train
    );
    for episode in plan.episodes.iter().filter(|episode| episode.split == Split::Validation) {
        println!("  validation: {} {}", plan.bags[episode.bag].path.display(), episode.name);
    }
    for feature in &plan.features {
        println!("  {} [{}]", feature.name, feature.names.len());
    }
    for camera in &report.cameras {
        let locked = camera
            .locked
            .map_or("clock not known".to_owned(), |part| format!("clock locked {:.1} %", part * 100.0));
        println!(
            "  {}: capture off its slot by {:.2} ms (99 %: {:.2}, most: {:.2}), {} repeats, {} damaged, {locked}",
            camera.camera,
            camera.p50 * 1e3,
            camera.p99 * 1e3,
            camera.max * 1e3,
            camera.repeated,
            camera.damaged
        );
    }
    let [p50, p99, max] = report.residual.map(|value| value * 1e3);
    println!("  between the cameras: {p50:.2} ms (99 %: {p99:.2}, most: {max:.2})");
}

fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1).with_style(style)
}

fn short_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn range(text: &str) -> anyhow::Result<(f64, f64)> {
    let (from, to) = text.split_once("..").context("expected FROM..TO, as 12.5..30")?;
    let seconds =
        |part: &str| part.trim().parse::<f64>().with_context(|| format!("'{part}' is no number of seconds"));
    Ok((seconds(from)?, seconds(to)?))
}

fn size(text: &str) -> anyhow::Result<(u32, u32)> {
    let (width, height) = text.split_once('x').context("expected WxH, as 84x84")?;
    let pixels = |part: &str| part.parse::<u32>().with_context(|| format!("'{part}' is no number of pixels"));
    Ok((pixels(width)?, pixels(height)?))
}
