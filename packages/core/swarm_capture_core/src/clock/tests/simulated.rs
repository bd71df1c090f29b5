//! A camera whose clock is wrong and a network that delays, told by numbers.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::{CameraClock, CameraTime, ClockSettings, FrameHead, HostTime, SenderReport, Stamp};

/// True time at the start of each simulation, ns.
pub(super) const START: i64 = 1_790_000_000_000_000_000;

/// What is wrong with a camera and its network.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) rate_hz: f64,
    /// Of the camera's clock, from which its RTP time stamps come, too.
    pub(super) ppm: f64,
    pub(super) offset_s: f64,
    /// From capture to the first packet on the wire, at least.
    pub(super) latency_s: f64,
    /// Smallest delay of the network, and the mean of what is added exponentially.
    pub(super) base_s: f64,
    pub(super) exponential_s: f64,
    /// Added by a proxy, anything from nothing to this.
    pub(super) jitter_s: f64,
    /// Share of the packets that a busy processor keeps for some milliseconds.
    pub(super) held: f64,
    pub(super) report_s: f64,
    pub(super) first_report_s: f64,
    /// Time stamps are steps of exactly 1/rate, whatever the clock.
    pub(super) nominal: bool,
}

impl World {
    pub(super) fn quiet(seed: u64) -> Self {
        Self {
            seed,
            rate_hz: 30.0,
            ppm: 100.0,
            offset_s: 2.5,
            latency_s: 0.0533,
            base_s: 300e-6,
            exponential_s: 100e-6,
            jitter_s: 0.0,
            held: 0.0,
            report_s: 5.0,
            first_report_s: 1.5,
            nominal: false,
        }
    }

    pub(super) fn busy(seed: u64) -> Self {
        Self { held: 0.3, ..Self::quiet(seed) }
    }

    pub(super) fn jittery(seed: u64) -> Self {
        Self { jitter_s: 20e-3, held: 0.05, ..Self::quiet(seed) }
    }
}

/// What arrives, in the order of arrival.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrived {
    /// And when it was truly captured, s since the start.
    Frame(FrameHead, f64),
    Report(SenderReport),
}

pub(super) fn host(seconds: f64) -> HostTime {
    HostTime(START + (seconds * 1e9).round() as i64)
}

/// A camera that runs; it can be made to do what real ones do.
#[derive(Debug)]
pub(super) struct Camera {
    pub(super) world: World,
    random: StdRng,
    /// RTP time stamp at true time zero.
    pub(super) rtp_origin: u32,
    /// Free to be set by a test.
    pub(super) set_by_s: f64,
    pub(super) reports: bool,
}

impl Camera {
    pub(super) fn new(world: World) -> Self {
        let mut random = StdRng::seed_from_u64(world.seed);
        // Some wrap within the first minute.
        let rtp_origin = if world.seed.is_multiple_of(2) { u32::MAX - 900_000 } else { random.random() };
        Self { world, random, rtp_origin, set_by_s: 0.0, reports: true }
    }

    fn delay(&mut self) -> f64 {
        let exponential = |random: &mut StdRng, mean: f64| -mean * (1.0 - random.random::<f64>()).ln();
        let held = if self.random.random::<f64>() < self.world.held {
            exponential(&mut self.random, 5e-3)
        } else {
            0.0
        };
        self.world.base_s
            + exponential(&mut self.random, self.world.exponential_s)
            + self.random.random::<f64>() * self.world.jitter_s
            + held
    }

    pub(super) fn rtp(&self, true_s: f64) -> u32 {
        let camera_s = if self.world.nominal { true_s } else { true_s * (1.0 + self.world.ppm * 1e-6) };
        self.rtp_origin.wrapping_add((camera_s * 90e3).round() as i64 as u32)
    }

    fn frame(&mut self, true_s: f64) -> (f64, Arrived) {
        let first = true_s + self.world.latency_s + self.delay();
        let key = (true_s * self.world.rate_hz).round() as i64 % 30 == 0;
        let size = if key { 120_000 } else { 20_000 };
        let last = first + f64::from(size) * 8.0 / 100e6;
        let head = FrameHead {
            rtp: self.rtp(true_s),
            first_arrival: host(first),
            arrival: host(last),
            lost_packets: 0,
            key,
            size,
        };
        (first, Arrived::Frame(head, true_s))
    }

    fn report(&mut self, true_s: f64) -> (f64, Arrived) {
        let arrival = true_s + self.delay();
        let camera_s = true_s * (1.0 + self.world.ppm * 1e-6) + self.world.offset_s + self.set_by_s;
        let report = SenderReport {
            camera: CameraTime(START + (camera_s * 1e9).round() as i64),
            rtp: self.rtp(true_s),
            arrival: host(arrival),
        };
        (arrival, Arrived::Report(report))
    }

    /// All that arrives of what is sent between two true times.
    pub(super) fn run(&mut self, from_s: f64, to_s: f64) -> Vec<Arrived> {
        let mut all = Vec::new();
        let first = (from_s * self.world.rate_hz).ceil() as i64;
        for i in first..(to_s * self.world.rate_hz).ceil() as i64 {
            all.push(self.frame(i as f64 / self.world.rate_hz));
        }
        let mut at = self.world.first_report_s;
        while at < to_s {
            if at >= from_s && self.reports {
                all.push(self.report(at));
            }
            at += self.world.report_s;
        }
        // TCP keeps the order of frames: what is late holds up what comes behind.
        let mut newest = HostTime(i64::MIN);
        for (first, arrived) in &mut all {
            if let Arrived::Frame(head, _) = arrived {
                head.first_arrival = head.first_arrival.max(newest);
                head.arrival = head.arrival.max(head.first_arrival);
                newest = head.first_arrival;
                *first = (newest.0 - START) as f64 * 1e-9;
            }
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.into_iter().map(|(_, arrived)| arrived).collect()
    }
}

/// A stamped frame with its truth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamped {
    pub(super) true_s: f64,
    pub(super) stamp: Stamp,
    pub(super) head: FrameHead,
}

impl Stamped {
    /// Stamp minus truth, s; holds the camera's constant latency.
    pub(super) fn error(&self) -> f64 {
        (self.stamp.capture.0 - START) as f64 * 1e-9 - self.true_s
    }
}

/// Everything stamped as it comes.
pub(super) fn follow(clock: &mut CameraClock, arrived: &[Arrived]) -> Vec<Stamped> {
    let mut stamped = Vec::new();
    for arrived in arrived {
        match arrived {
            Arrived::Report(report) => clock.report(report),
            Arrived::Frame(head, true_s) => {
                let placed = clock.place(head);
                stamped.push(Stamped { true_s: *true_s, stamp: clock.stamp(&placed), head: *head });
            }
        }
    }
    stamped
}

pub(super) fn clock() -> CameraClock {
    CameraClock::new(ClockSettings::default())
}

/// The `share` quantile of absolute values.
pub(super) fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().map(f64::abs).collect();
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}
