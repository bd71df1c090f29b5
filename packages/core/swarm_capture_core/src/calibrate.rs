//! The constant by which each camera's stamps are late, from events that all cameras saw.
//!
//! Model. A flash at time t is first seen by camera i in the frame whose exposure it falls into. That frame's stamp is
//! `t + bias_i + u`, with u anywhere in the camera's frame period p_i, since nothing ties a flash to a shutter. So
//! `stamp - p_i / 2 = t + bias_i + noise`, noise of standard deviation p_i / sqrt(12) and mean zero. One flash tells a bias to
//! a frame; n flashes at irregular times tell it to p_i / sqrt(12 n): at 30 Hz 1 ms after 100 flashes, 0.3 ms after 1000. An event
//! that is known more finely than by frames (a counter of LEDs read from the pictures) gives its own resolution as p.
//!
//! With the times of the flashes by the host clock (rows of the name [`HOST`]) biases are absolute. Without, only differences
//! can be known, and the earliest camera gets zero.
//!
//! File. [`Biases::to_yaml`] writes and [`Biases::parse`] reads:
//!
//! ```yaml
//! schema: 1
//! reference: host        # or: earliest_camera
//! source: flashes.csv
//! measured: 2026-01-31T12:00:00Z
//! cameras:
//!   - serial_number: "ACCC8E012345"
//!     bias: 0.0533221     # s; taken off the camera's stamps
//!     uncertainty: 0.0003 # s; one standard deviation
//!     events: 240
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use swarm_yaml::{Cursor, Mistakes, quoted};

/// In place of a serial number: the true time of the event by the host clock.
pub const HOST: &str = "host";
/// Fewer events say nothing of a camera: their noise cannot be told from a wrong match.
pub const LEAST_EVENTS: usize = 8;

/// One event as one camera saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// Which event; equal for all that saw it.
    pub event: u64,
    /// Serial number of the camera, or [`HOST`].
    pub serial: String,
    /// Stamp of the first frame that shows the event, without any bias taken off, ns.
    pub stamp_ns: i64,
    /// How long after the event that frame can be stamped: the frame's period, ns; zero for [`HOST`].
    pub resolution_ns: i64,
}

/// What biases are relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Host,
    /// The camera with the smallest latency has bias zero.
    EarliestCamera,
}

/// One camera's bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bias {
    pub bias_ns: i64,
    /// Standard deviation.
    pub uncertainty_ns: i64,
    pub events: u64,
}

/// Biases by serial number, and where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Biases {
    pub reference: Reference,
    /// What they were worked out from.
    pub source: String,
    /// Seconds since 1970.
    pub measured: i64,
    pub cameras: BTreeMap<String, Bias>,
}

/// What came out of the events.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    pub reference: Reference,
    pub cameras: BTreeMap<String, Bias>,
    /// Sightings that no bias explains: a missed or a wrongly matched event.
    pub rejected: usize,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrateError {
    #[error(
        "{0} camera saw events; at least two are needed, or one and the events' times as rows of '{HOST}'"
    )]
    NothingToCompare(usize),
    #[error(
        "camera {serial} shares {events} events with the others, at least {LEAST_EVENTS} are needed; flash more often, or look \
         whether it sees the flash"
    )]
    TooFew { serial: String, events: usize },
    #[error("camera {serial} has a resolution of {resolution_ns} ns; it must be more than 0")]
    Resolution { serial: String, resolution_ns: i64 },
    #[error("event {event} was seen twice by {serial}")]
    SeenTwice { event: u64, serial: String },
}

/// Works the biases out: least squares over events and cameras, without the sightings that are more than a resolution off.
pub fn calibrate(sightings: &[Sighting]) -> Result<Calibrated, CalibrateError> {
    let mut by_event: BTreeMap<u64, BTreeMap<&str, &Sighting>> = BTreeMap::new();
    for sighting in sightings {
        if sighting.serial != HOST && sighting.resolution_ns <= 0 {
            let (serial, resolution_ns) = (sighting.serial.clone(), sighting.resolution_ns);
            return Err(CalibrateError::Resolution { serial, resolution_ns });
        }
        if by_event.entry(sighting.event).or_default().insert(&sighting.serial, sighting).is_some() {
            return Err(CalibrateError::SeenTwice { event: sighting.event, serial: sighting.serial.clone() });
        }
    }
    // What one camera alone has seen compares nothing.
    by_event.retain(|_, seen| seen.len() > 1);
    let reference = if sightings.iter().any(|sighting| sighting.serial == HOST) {
        Reference::Host
    } else {
        Reference::EarliestCamera
    };
    if reference == Reference::Host {
        by_event.retain(|_, seen| seen.contains_key(HOST));
    }
    let mut counts: BTreeMap<&str, usize> =
        sightings.iter().filter(|s| s.serial != HOST).map(|s| (s.serial.as_str(), 0)).collect();
    if counts.len() + usize::from(reference == Reference::Host) < 2 {
        return Err(CalibrateError::NothingToCompare(counts.len()));
    }
    for serial in by_event.values().flat_map(BTreeMap::keys).filter(|serial| **serial != HOST) {
        *counts.entry(serial).or_default() += 1;
    }
    if let Some((serial, events)) = counts.iter().find(|(_, events)| **events < LEAST_EVENTS) {
        return Err(CalibrateError::TooFew { serial: (*serial).to_owned(), events: *events });
    }
    // Relative to the first stamp, so that f64 holds microseconds exactly.
    let origin = sightings.iter().map(|sighting| sighting.stamp_ns).min().unwrap_or(0);
    let mut rows: Vec<Row<'_>> = by_event
        .values()
        .enumerate()
        .flat_map(|(event, seen)| {
            seen.values().map(move |sighting| Row {
                event,
                serial: &sighting.serial,
                seen: (sighting.stamp_ns - origin) as f64 - sighting.resolution_ns as f64 / 2.0,
                resolution: sighting.resolution_ns as f64,
            })
        })
        .collect();
    let all = rows.len();
    // Medians do not follow a wrong match; means are nearer to the truth once those are gone.
    for middle in [Middle::Median, Middle::Mean] {
        let solution = Solution::of(&rows, by_event.len(), middle);
        // Noise reaches half a resolution; the other half is for the error of what it is measured against.
        rows.retain(|row| row.serial == HOST || solution.residual(row).abs() <= row.resolution);
    }
    let solution = Solution::of(&rows, by_event.len(), Middle::Mean);
    solution.into_calibrated(&rows, reference, all - rows.len())
}

struct Row<'a> {
    event: usize,
    serial: &'a str,
    seen: f64,
    resolution: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Middle {
    Median,
    Mean,
}

struct Solution<'a> {
    biases: BTreeMap<&'a str, f64>,
    times: Vec<f64>,
}

impl<'a> Solution<'a> {
    fn of(rows: &[Row<'a>], events: usize, middle: Middle) -> Self {
        let mut solution =
            Self { biases: rows.iter().map(|row| (row.serial, 0.0)).collect(), times: vec![0.0; events] };
        for _ in 0..200 {
            solution.times = rows
                .iter()
                .fold(vec![(0.0, 0.0); events], |mut sums, row| {
                    // The host's word is worth more than any camera's.
                    let weight =
                        if row.serial == HOST { 1e12 } else { 1.0 / (row.resolution * row.resolution) };
                    sums[row.event].0 += weight * (row.seen - solution.biases[row.serial]);
                    sums[row.event].1 += weight;
                    sums
                })
                .into_iter()
                .map(|(sum, weight)| if weight > 0.0 { sum / weight } else { 0.0 })
                .collect();
            let mut moved = 0.0_f64;
            let serials: Vec<&str> =
                solution.biases.keys().copied().filter(|serial| *serial != HOST).collect();
            for serial in serials {
                let mut off: Vec<f64> = rows
                    .iter()
                    .filter(|row| row.serial == serial)
                    .map(|row| row.seen - solution.times[row.event])
                    .collect();
                if off.is_empty() {
                    continue;
                }
                let bias = match middle {
                    Middle::Median => median(&mut off),
                    Middle::Mean => off.iter().sum::<f64>() / off.len() as f64,
                };
                moved = moved.max((bias - solution.biases[serial]).abs());
                solution.biases.insert(serial, bias);
            }
            if moved < 1.0 {
                break;
            }
        }
        solution
    }

    fn residual(&self, row: &Row<'_>) -> f64 {
        row.seen - self.times[row.event] - self.biases[row.serial]
    }

    fn into_calibrated(
        self,
        rows: &[Row<'_>],
        reference: Reference,
        rejected: usize,
    ) -> Result<Calibrated, CalibrateError> {
        let cameras = self.biases.keys().filter(|serial| **serial != HOST).count();
        let own: Vec<&Row<'_>> = rows.iter().filter(|row| row.serial != HOST).collect();
        let unknown = cameras + if reference == Reference::Host { 0 } else { self.times.len() - 1 };
        // Noise in units of the resolution, and not less than the model says: few rows may agree by chance.
        let squares: f64 = own.iter().map(|row| (self.residual(row) / row.resolution).powi(2)).sum();
        let noise =
            (squares / own.len().saturating_sub(unknown).max(1) as f64).sqrt().max(1.0 / 12.0_f64.sqrt());
        let zero = match reference {
            Reference::Host => 0.0,
            Reference::EarliestCamera => self.biases.values().copied().fold(f64::INFINITY, f64::min),
        };
        let spread = |serial: &str| {
            let mine = own.iter().filter(|row| row.serial == serial);
            let (count, resolution) =
                mine.fold((0, 0.0_f64), |(count, most), row| (count + 1, most.max(row.resolution)));
            (count, noise * resolution / f64::from(count.max(1)).sqrt())
        };
        let earliest = self.biases.iter().find(|(_, bias)| **bias == zero).map(|(serial, _)| *serial);
        let mut result = BTreeMap::new();
        for (serial, bias) in self.biases.iter().filter(|(serial, _)| **serial != HOST) {
            let (events, uncertainty) = spread(serial);
            if (events as usize) < LEAST_EVENTS {
                return Err(CalibrateError::TooFew { serial: (*serial).to_owned(), events: events as usize });
            }
            let of_zero = match (reference, earliest) {
                (Reference::EarliestCamera, Some(earliest)) => spread(earliest).1,
                _ => 0.0,
            };
            let bias = Bias {
                bias_ns: (bias - zero).round() as i64,
                uncertainty_ns: uncertainty.hypot(of_zero).ceil() as i64,
                events: events as u64,
            };
            result.insert((*serial).to_owned(), bias);
        }
        Ok(Calibrated { reference, cameras: result, rejected })
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Frames of one camera in which the picture changed at once, told by the sizes of the coded frames and without decoding:
/// a flash costs bits. `frames` are (stamp in ns, size in bytes, whether it is a key frame) in order.
///
/// A frame counts that is four times the median of the 31 plain frames before. One right at or behind a key frame does not, since a
/// key frame hides the flash and the frame after it would be taken. For a quarter of a second after an event nothing counts: that
/// is the end of the flash. Flashes should be shorter than 0.2 s, further apart than a second, and fill the picture.
pub fn flashes(frames: &[(i64, u32, bool)]) -> Vec<i64> {
    const BEFORE: usize = 31;
    const TIMES: u32 = 4;
    const QUIET_NS: i64 = 250_000_000;
    let mut plain: Vec<u32> = Vec::with_capacity(BEFORE);
    let mut found: Vec<i64> = Vec::new();
    let mut key_before = true;
    let mut quiet_until = i64::MIN;
    for (stamp, size, key) in frames {
        if !key {
            let mut sorted = plain.clone();
            sorted.sort_unstable();
            let known = sorted.len() >= BEFORE / 2;
            let jumped = known && *size >= sorted[sorted.len() / 2].saturating_mul(TIMES);
            if jumped {
                if !key_before && *stamp >= quiet_until {
                    found.push(*stamp);
                }
                quiet_until = quiet_until.max(*stamp + QUIET_NS);
            } else {
                if plain.len() == BEFORE {
                    plain.remove(0);
                }
                plain.push(*size);
            }
        }
        key_before = *key;
    }
    found
}

/// Gives the flashes of several cameras numbers: those within `window_ns` of each other are one event. Where a camera has two in
/// one window nothing is known, and the event is left out.
pub fn match_flashes(by_camera: &BTreeMap<String, (Vec<i64>, i64)>, window_ns: i64) -> Vec<Sighting> {
    let mut all: Vec<(i64, &str, i64)> = by_camera
        .iter()
        .flat_map(|(serial, (stamps, period))| {
            stamps.iter().map(move |stamp| (*stamp, serial.as_str(), *period))
        })
        .collect();
    all.sort_unstable();
    let mut sightings = Vec::new();
    let mut rest = all.as_slice();
    let mut event = 0;
    while let Some((begin, _, _)) = rest.first() {
        let count = rest.iter().take_while(|(stamp, _, _)| stamp - begin <= window_ns).count();
        let (these, others) = rest.split_at(count);
        rest = others;
        let mut serials: Vec<&str> = these.iter().map(|(_, serial, _)| *serial).collect();
        serials.sort_unstable();
        serials.dedup();
        if serials.len() < these.len() {
            continue;
        }
        sightings.extend(these.iter().map(|(stamp_ns, serial, period)| Sighting {
            event,
            serial: (*serial).to_owned(),
            stamp_ns: *stamp_ns,
            resolution_ns: *period,
        }));
        event += 1;
    }
    sightings
}

impl Biases {
    /// The text of a file, see the module.
    pub fn to_yaml(&self) -> String {
        let reference = match self.reference {
            Reference::Host => "host",
            Reference::EarliestCamera => "earliest_camera",
        };
        let mut text = format!(
            "# How late each camera's stamps are, by serial number; `cell calibrate-cameras` wrote it, swarm_capture reads it.\n\
             schema: 1\nreference: {reference}\nsource: {}\nmeasured: {}\ncameras:\n",
            quoted(&self.source),
            swarm_yaml::moment(self.measured),
        );
        for (serial, bias) in &self.cameras {
            let (value, uncertainty) = (bias.bias_ns as f64 * 1e-9, bias.uncertainty_ns as f64 * 1e-9);
            let _ = write!(
                text,
                "  - serial_number: {}\n    bias: {value:.9}\n    uncertainty: {uncertainty:.9}\n    events: {}\n",
                quoted(serial),
                bias.events
            );
        }
        text
    }

    /// Reads a file; all mistakes at once, each with its place.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        swarm_yaml::read(text, read_biases)
    }
}

fn read_biases(root: &Cursor<'_>) -> Option<Biases> {
    let [schema, reference, source, measured, cameras] =
        root.fields(["schema", "reference", "source", "measured", "cameras"])?;
    schema.required("the number of the form, 1", |cursor| cursor.schema(1));
    let references = [("host", Reference::Host), ("earliest_camera", Reference::EarliestCamera)];
    let reference = reference.required("host or earliest_camera", |cursor| cursor.one_of(&references));
    let source = source.required("what the biases were worked out from", Cursor::text);
    let measured = measured.required("when that was", Cursor::moment);
    let list = cameras.required("a list of cameras", |cursor| {
        let cameras = cursor.list("a list of cameras", read_camera)?;
        let mut by_serial = BTreeMap::new();
        for (serial, bias) in cameras {
            if by_serial.insert(serial.clone(), bias).is_some() {
                cursor.note(format!("has camera {} twice", quoted(&serial)));
            }
        }
        Some(by_serial)
    });
    Some(Biases { reference: reference?, source: source?, measured: measured?, cameras: list? })
}

fn read_camera(cursor: &Cursor<'_>) -> Option<(String, Bias)> {
    let [serial, bias, uncertainty, events] =
        cursor.fields(["serial_number", "bias", "uncertainty", "events"])?;
    let serial = serial.required("the camera's serial number", |cursor| {
        cursor.text_that(|text| !text.is_empty(), "a serial number, in quotes")
    });
    let nanos = |seconds: f64| (seconds * 1e9).round() as i64;
    let bias =
        bias.required("how late the camera's stamps are, s", |cursor| cursor.number(-10.0..=10.0, "s"));
    let uncertainty =
        uncertainty.required("standard deviation of the bias, s", |cursor| cursor.number(0.0..=10.0, "s"));
    let events = events.required("from how many events", |cursor| cursor.integer(0..));
    let bias = Bias { bias_ns: nanos(bias?), uncertainty_ns: nanos(uncertainty?), events: events? };
    Some((serial?, bias))
}

#[cfg(test)]
mod tests;
