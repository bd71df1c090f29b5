//! What people see: `/capture/status`, `/diagnostics`, and progress on a terminal.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use swarm_bag::msg::{CameraStatus, CaptureStatus, Header, RecordingLoss, Time};
use swarm_bag::recorder::Status;
use swarm_capture_core::recording::State;
use swarm_capture_core::{ClockState, Codec};
use swarm_ros::diagnostics::{Level, Report};

use crate::now;
use crate::outlets::Outlet;
use crate::studio::{CameraState, Studio, View, clock_state};

/// How often the status is said.
const PERIOD: Duration = Duration::from_millis(500);
/// Over how many of these rates are measured: 2 s.
const RATE_PERIODS: usize = 4;

/// Counts at one moment, to make rates of.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    frames: u64,
    bytes: u64,
}

/// Makes the status again and again.
#[derive(Debug)]
pub struct Reporter {
    studio: Arc<Studio>,
    outlet: Outlet,
    samples: Vec<VecDeque<Sample>>,
    recorded: VecDeque<Sample>,
    bar: Option<ProgressBar>,
}

impl Reporter {
    /// `outlet` is that of `/capture/status`.
    pub fn new(studio: Arc<Studio>, outlet: Outlet) -> Self {
        let bar = (studio.settings.progress && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        let samples = vec![VecDeque::new(); studio.desks.len()];
        Self { studio, outlet, samples, recorded: VecDeque::new(), bar }
    }

    /// Runs until the other end of `ended` is gone.
    pub fn run(mut self, ended: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(PERIOD) {
            self.studio.tick();
            let status = self.status();
            if let Some(bar) = &self.bar {
                bar.set_message(progress(&status));
                bar.tick();
            }
            if let Err(error) = self.studio.outlets.say(self.outlet, now(), &status) {
                tracing::error!("the status cannot be encoded: {error}");
            }
        }
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }

    fn status(&mut self) -> CaptureStatus {
        let studio = Arc::clone(&self.studio);
        let at = Instant::now();
        let cameras = studio.desks.iter().zip(&mut self.samples).map(|(desk, samples)| {
            let view = desk.view().clone();
            let rates = rates(samples, Sample { at, frames: view.counts.received, bytes: view.bytes });
            camera_status(&desk.settings.name, &desk.settings.address, &view, rates)
        });
        let cameras = cameras.collect();
        let recording = studio.outlets.recording();
        let (status, topics) = match recording {
            Some((status, losses)) => (Some(status), losses),
            None => (None, Vec::new()),
        };
        let bytes = status.as_ref().map_or(0, |status| status.bytes);
        let rate = rates(&mut self.recorded, Sample { at, frames: 0, bytes }).1;
        recording_status(&studio.session.state(), status.as_ref(), rate, studio.residual(), cameras, topics)
    }
}

/// Frames and bytes a second over the last samples.
fn rates(samples: &mut VecDeque<Sample>, newest: Sample) -> (f64, f64) {
    samples.push_back(newest);
    if samples.len() > RATE_PERIODS + 1 {
        samples.pop_front();
    }
    let oldest = samples.front().copied().unwrap_or(newest);
    let seconds = (newest.at - oldest.at).as_secs_f64();
    if seconds <= 0.0 {
        return (0.0, 0.0);
    }
    let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
    (rate(newest.frames, oldest.frames), rate(newest.bytes, oldest.bytes))
}

fn camera_status(
    camera: &str,
    address: &str,
    view: &View,
    (frame_rate, bytes_a_second): (f64, f64),
) -> CameraStatus {
    let timing = view.timing;
    CameraStatus {
        camera: camera.to_owned(),
        address: address.to_owned(),
        serial_number: view.serial.clone(),
        state: view.state as u8,
        detail: view.detail.clone(),
        codec: match view.stream.map(|stream| stream.codec) {
            Some(Codec::H264) => "h264",
            Some(Codec::H265) => "h265",
            Some(Codec::Mjpeg) => "mjpeg",
            None => "",
        }
        .to_owned(),
        width: view.stream.map_or(0, |stream| stream.width),
        height: view.stream.map_or(0, |stream| stream.height),
        frame_rate,
        bit_rate: bytes_a_second * 8.0,
        frames: view.counts.received,
        lost_frames: view.counts.lost_frames,
        lost_packets: view.counts.lost_packets,
        reconnects: view.reconnects,
        clock_state: clock_state(timing.as_ref()) as u8,
        clock_offset: timing.and_then(|timing| timing.offset_ns).unwrap_or(0) as f64 / 1e9,
        clock_drift: timing.and_then(|timing| timing.drift_ppm).unwrap_or(0.0),
        residual: timing.and_then(|timing| timing.residual_ns).unwrap_or(0.0) / 1e9,
    }
}

fn recording_status(
    state: &State,
    status: Option<&Status>,
    bytes_a_second: f64,
    residual: Option<f64>,
    cameras: Vec<CameraStatus>,
    topics: Vec<RecordingLoss>,
) -> CaptureStatus {
    let disk_free = status.and_then(|status| status.disk_free);
    let disk_left = match disk_free {
        Some(free) if bytes_a_second > 0.0 => free as f64 / bytes_a_second,
        _ => -1.0,
    };
    CaptureStatus {
        header: Header { stamp: Time::from_nanos(now().0), frame_id: String::new() },
        recording: matches!(state, State::Recording { .. }),
        output_bag: match state {
            State::Idle => String::new(),
            State::Starting { path, .. }
            | State::Recording { path, .. }
            | State::Stopping { path, .. }
            | State::Failed { path, .. } => path.clone(),
        },
        duration: status.map_or(0.0, |status| (status.span.last - status.span.first) as f64 / 1e9),
        bytes: status.map_or(0, |status| status.bytes),
        disk_free: disk_free.unwrap_or(0),
        disk_left,
        sync_residual: residual.unwrap_or(-1.0),
        cameras,
        topics,
    }
}

/// One line: what is recorded, each camera, what was lost, and for how long there is room.
fn progress(status: &CaptureStatus) -> String {
    let mut parts = Vec::new();
    if status.recording {
        parts.push(format!("recording {:.0} s, {:.0} MB", status.duration, status.bytes as f64 / 1e6));
    } else {
        parts.push("not recording".to_owned());
    }
    for camera in &status.cameras {
        parts.push(match camera.state {
            1 => format!("{} {} frames {:.1} Hz", camera.camera, camera.frames, camera.frame_rate),
            2 => format!("{} LOST", camera.camera),
            3 => format!("{} REFUSED", camera.camera),
            _ => format!("{} connecting", camera.camera),
        });
    }
    if status.sync_residual >= 0.0 {
        parts.push(format!("apart {:.1} ms", status.sync_residual * 1e3));
    }
    let lost: u64 =
        status.topics.iter().map(|topic| topic.dropped_queue + topic.dropped_disk + topic.lost_network).sum();
    parts.push(if lost == 0 { "no loss".to_owned() } else { format!("{lost} LOST") });
    if status.disk_left >= 0.0 {
        parts.push(format!("disk for {}", span(status.disk_left)));
    }
    parts.join(" | ")
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s >= 172_800.0 => format!("{:.0} d", s / 86_400.0),
        s if s >= 7_200.0 => format!("{:.0} h", s / 3_600.0),
        s if s >= 120.0 => format!("{:.0} min", s / 60.0),
        s => format!("{s:.0} s"),
    }
}

/// A camera in `/diagnostics`.
pub fn camera_report(view: &View, pictures_dropped: u64) -> Report {
    let report = match view.state {
        CameraState::Streaming => match clock_state(view.timing.as_ref()) {
            ClockState::Locked if matches!(view.lens, Some(Err(_))) => {
                Report::new(Level::Warn, "streaming, the calibration is for another size")
            }
            ClockState::Locked => Report::ok("streaming"),
            ClockState::Holdover => Report::new(Level::Warn, "streaming, sender reports have stopped"),
            ClockState::ArrivalOnly => Report::new(Level::Warn, "streaming, stamps are times of arrival"),
        },
        CameraState::Connecting => Report::new(Level::Warn, "connecting"),
        CameraState::Lost => Report::new(Level::Error, "lost"),
        CameraState::Refused => Report::new(Level::Error, "cannot be used"),
    };
    let calibration = match &view.lens {
        None => "none".to_owned(),
        Some(Ok(())) => "used".to_owned(),
        Some(Err(wrong)) => wrong.to_string(),
    };
    report
        .with("detail", &view.detail)
        .with("calibration", calibration)
        .with("serial_number", &view.serial)
        .with("frames", view.counts.received)
        .with("lost_frames", view.counts.lost_frames)
        .with("lost_packets", view.counts.lost_packets)
        .with("reconnects", view.reconnects)
        .with("pictures_dropped", pictures_dropped)
}

/// The recording in `/diagnostics`.
pub fn recording_report(state: &State, recording: Option<(Status, Vec<RecordingLoss>)>) -> Report {
    let dropped: u64 = recording
        .iter()
        .flat_map(|(_, losses)| losses)
        .map(|loss| loss.dropped_queue + loss.dropped_disk)
        .sum();
    let report = match state {
        State::Failed { why, .. } => Report::new(Level::Error, format!("ended by itself: {why}")),
        State::Recording { .. } if dropped > 0 => {
            Report::new(Level::Error, "the disk is too slow: messages were dropped")
        }
        State::Recording { .. } => Report::ok("recording"),
        State::Starting { .. } => Report::ok("starting"),
        State::Stopping { .. } => Report::ok("finishing"),
        State::Idle => Report::ok("idle"),
    };
    let Some((status, _)) = recording else { return report };
    report
        .with("bag", status.path.display())
        .with("bytes", status.bytes)
        .with("waiting_bytes", status.waiting_bytes)
        .with("dropped", dropped)
        .with("disk_free", status.disk_free.map_or_else(|| "unknown".to_owned(), |free| free.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_two_seconds() {
        let start = Instant::now();
        let mut samples = VecDeque::new();
        let mut last = (0.0, 0.0);
        for half_second in 0..10_u32 {
            let at = start + PERIOD * half_second;
            // 30 Hz and 4 kB a frame, and ten times of that before the window.
            let frames = if half_second < 4 {
                u64::from(half_second) * 150
            } else {
                450 + u64::from(half_second) * 15
            };
            last = rates(&mut samples, Sample { at, frames, bytes: frames * 4_000 });
        }
        assert!((last.0 - 30.0).abs() < 1e-9 && (last.1 - 120_000.0).abs() < 1e-6, "{last:?}");
        assert_eq!(samples.len(), RATE_PERIODS + 1);
    }

    #[test]
    fn progress_says_what_is_wrong_first_of_all_in_capitals() {
        let camera = |name: &str, state: u8| CameraStatus {
            camera: name.into(),
            state,
            frames: 900,
            frame_rate: 29.97,
            ..CameraStatus::default()
        };
        let mut status = CaptureStatus {
            recording: true,
            duration: 30.0,
            bytes: 30_000_000,
            disk_left: 7_300.0,
            sync_residual: 0.0123,
            cameras: vec![camera("cam1", 1), camera("cam2", 2)],
            ..CaptureStatus::default()
        };
        assert_eq!(
            progress(&status),
            "recording 30 s, 30 MB | cam1 900 frames 30.0 Hz | cam2 LOST | apart 12.3 ms | no loss | disk for 2 h"
        );
        status.topics = vec![RecordingLoss { dropped_queue: 3, lost_network: 2, ..RecordingLoss::default() }];
        assert!(progress(&status).contains("5 LOST"), "{}", progress(&status));
    }
}
