//! `cell calibrate-cameras`: how late each camera's stamps are, from events that all cameras saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail, ensure};
use swarm_bag::msg::{CaptureStatus, FrameTiming, Message as _};
use swarm_bag::{BagReader, Filter};
use swarm_capture_core::calibrate::{
    Biases, Calibrated, HOST, Reference, Sighting, calibrate, flashes, match_flashes,
};

use crate::Outcome;
use crate::output::{Access, create, read, replace};

/// Find how late each camera's stamps are, from a recording in which all cameras see the same flashes.
///
/// From a BAG of swarm_capture: flashes are found in the sizes of the coded frames, without decoding. Flash the light of the whole
/// cell for less than 0.2 s, at irregular times more than a second apart. A flash tells a camera's latency to one frame's period;
/// n flashes to period / sqrt(12 n): at 30 Hz 1 ms after 100 flashes, 0.3 ms after 1000.
///
/// From a CSV file with the lines `event,camera,stamp_ns,resolution_ns`: stamps of whatever was seen and how finely; the stamps
/// are those without any bias. Lines with `host` as camera are the true times of events by the recorder's clock.
///
/// With true times biases are absolute; without, they are relative to the camera with the smallest latency. The result is
/// what swarm_capture reads (`calibration_file`).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A bag (.mcap, .db3, a directory) with /<camera>/timing, or a .csv file.
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// Where the biases go (YAML). Without it they are printed.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace what is there.
    #[arg(long, requires = "out")]
    force: bool,
    /// Serial number of a camera, where the bag's /capture/status does not say it (repeat for several).
    #[arg(long = "serial", value_name = "CAMERA=SERIAL", value_parser = serial)]
    serials: Vec<(String, String)>,
    /// True times of the flashes, one number per line: nanoseconds of the recorder's clock since 1970.
    #[arg(long, value_name = "FILE")]
    host_times: Option<PathBuf>,
    /// Flashes within so many milliseconds are one: more than the latencies of the cameras differ by.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    window: u32,
}

fn serial(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((camera, serial)) if !camera.is_empty() && !serial.is_empty() => {
            Ok((camera.to_owned(), serial.to_owned()))
        }
        _ => Err("expected CAMERA=SERIAL".to_owned()),
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let is_csv = args.input.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let sightings = if is_csv {
        ensure!(args.serials.is_empty(), "--serial is for bags; a .csv file names serial numbers itself");
        ensure!(
            args.host_times.is_none(),
            "--host-times is for bags; a .csv file has lines with '{HOST}' as camera"
        );
        from_csv(&read(&args.input)?).with_context(|| format!("cannot use '{}'", args.input.display()))?
    } else {
        from_bag(args).with_context(|| format!("cannot use '{}'", args.input.display()))?
    };
    let found =
        calibrate(&sightings).with_context(|| format!("cannot calibrate with '{}'", args.input.display()))?;
    print(&found);
    let measured =
        SystemTime::now().duration_since(UNIX_EPOCH).context("this computer's clock is before 1970")?;
    let biases = Biases {
        reference: found.reference,
        source: args.input.display().to_string(),
        measured: measured.as_secs().cast_signed(),
        cameras: found.cameras,
    };
    match &args.out {
        None => print!("{}", biases.to_yaml()),
        Some(path) if args.force => replace(path, &biases.to_yaml())?,
        Some(path) => create(path, &biases.to_yaml(), Access::Everyone)?,
    }
    Ok(Outcome::Done)
}

fn from_csv(text: &str) -> anyhow::Result<Vec<Sighting>> {
    const HEADER: &str = "event,camera,stamp_ns,resolution_ns";
    let mut lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let first = lines.next().map_or("", |(_, line)| line.trim());
    ensure!(first == HEADER, "the first line must be '{HEADER}' and is '{first}'");
    lines.map(|(index, line)| row(line).with_context(|| format!("line {}: '{line}'", index + 1))).collect()
}

fn row(line: &str) -> anyhow::Result<Sighting> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [event, serial, stamp, resolution] = fields[..] else {
        bail!("expected 4 fields, found {}", fields.len())
    };
    let number =
        |field: &str, name| field.parse().with_context(|| format!("{name} '{field}' is no whole number"));
    ensure!(!serial.is_empty(), "the camera is empty");
    Ok(Sighting {
        event: event.parse().with_context(|| format!("event '{event}' is no whole number"))?,
        serial: serial.to_owned(),
        stamp_ns: number(stamp, "stamp_ns")?,
        resolution_ns: number(resolution, "resolution_ns")?,
    })
}

/// Frames of each camera: stamp without bias (ns), size, whether it is a key frame.
type Frames = BTreeMap<String, Vec<(i64, u32, bool)>>;

fn from_bag(args: &Args) -> anyhow::Result<Vec<Sighting>> {
    let (cameras, mut serials) = frames(&args.input)?;
    ensure!(
        !cameras.is_empty(),
        "it has no topic of type {}, as swarm_capture records for each camera",
        FrameTiming::TYPE
    );
    for (camera, serial) in &args.serials {
        ensure!(
            cameras.contains_key(camera),
            "--serial names camera '{camera}', and the bag has {}",
            names(&cameras)
        );
        serials.insert(camera.clone(), serial.clone());
    }
    let mut seen = BTreeMap::new();
    for (camera, frames) in &cameras {
        let serial = serials.get(camera).filter(|serial| !serial.is_empty()).with_context(|| {
            format!("the serial number of camera '{camera}' is not in the bag; say it with --serial {camera}=SERIAL")
        })?;
        let found = flashes(frames);
        eprintln!("{camera} ({serial}): {} frames by reports, {} flashes", frames.len(), found.len());
        let period =
            period(frames).with_context(|| format!("camera '{camera}' has fewer than two frames"))?;
        ensure!(
            seen.insert(serial.clone(), (found, period)).is_none(),
            "two cameras have serial number '{serial}'; say the right ones with --serial"
        );
    }
    if let Some(path) = &args.host_times {
        let times = read(path)?
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                line.trim().parse().with_context(|| format!("'{line}' in '{}' is no time", path.display()))
            })
            .collect::<anyhow::Result<Vec<i64>>>()?;
        seen.insert(HOST.to_owned(), (times, 0));
    }
    Ok(match_flashes(&seen, i64::from(args.window) * 1_000_000))
}

fn frames(path: &Path) -> anyhow::Result<(Frames, BTreeMap<String, String>)> {
    let mut bag = BagReader::open(path)?;
    let wanted = [FrameTiming::TYPE, CaptureStatus::TYPE];
    let topics: Vec<_> =
        bag.topics().iter().map(|topic| (topic.name.clone(), topic.type_name.clone())).collect();
    let names = topics.iter().filter(|(_, type_name)| wanted.contains(&type_name.as_str()));
    bag.rewind(&Filter { topics: Some(names.map(|(name, _)| name.clone()).collect()), ..Filter::default() });
    let (mut cameras, mut serials) = (Frames::new(), BTreeMap::new());
    while let Some(message) = bag.next() {
        let (name, type_name) = &topics[message.topic];
        if type_name == CaptureStatus::TYPE {
            let status: CaptureStatus = bag.decode(&message)?;
            serials.extend(status.cameras.into_iter().map(|camera| (camera.camera, camera.serial_number)));
            continue;
        }
        let timing: FrameTiming = bag.decode(&message)?;
        let camera = name.trim_matches('/').trim_end_matches("/timing").to_owned();
        let frames = cameras.entry(camera).or_default();
        // Stamps by arrival alone would calibrate the network.
        if timing.clock_state > 0 {
            let unbiased = timing.header.stamp.nanos() + (timing.bias * 1e9).round() as i64;
            frames.push((unbiased, timing.size, timing.key_frame));
        }
    }
    Ok((cameras, serials))
}

fn names(cameras: &Frames) -> String {
    cameras.keys().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// Usual time between two frames, ns.
fn period(frames: &[(i64, u32, bool)]) -> anyhow::Result<i64> {
    let mut steps: Vec<i64> = frames.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    steps.sort_unstable();
    steps
        .get(steps.len() / 2)
        .copied()
        .filter(|step| *step > 0)
        .ok_or_else(|| anyhow!("no time between frames"))
}

/// A table on standard error, a line per camera.
fn print(found: &Calibrated) {
    let against = match found.reference {
        Reference::Host => "late by the recorder's clock",
        Reference::EarliestCamera => "later than the earliest camera",
    };
    let width = found.cameras.keys().map(String::len).max().unwrap_or(0).max("serial number".len());
    eprintln!("{:<width$}  {against}, ms  +- ms  events", "serial number");
    let column = against.len() + 4;
    for (serial, bias) in &found.cameras {
        let (value, uncertainty) = (bias.bias_ns as f64 * 1e-6, bias.uncertainty_ns as f64 * 1e-6);
        eprintln!("{serial:<width$}  {value:>column$.3}  {uncertainty:>5.3}  {:>6}", bias.events);
    }
    if found.rejected > 0 {
        eprintln!("{} sightings fit no bias and were left out", found.rejected);
    }
}
