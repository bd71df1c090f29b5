//! Evidence `capture-sync`: how far the stamps of two cameras are apart whose clocks are wrong and that nobody sets, beside
//! stamps by arrival. Needs Debian's GStreamer, gst-rtsp-server, python3-gi and libfaketime.
//!
//!     sync [--short] OUTPUT.json
//!
//! 1. Two servers of gst-rtsp-server encode a test picture at 30 Hz. The wall clock of one is 2.5 s ahead and 100 ppm fast, of the
//!    other 1.7 s behind and 100 ppm slow; both write down for each frame its RTP time stamp and when it was truly taken.
//! 2. `swarm_rtsp` and `swarm_capture_core` take them in through a proxy that can delay every packet by up to 20 ms.
//! 3. Two sessions. *Held*: 30 s of a quiet machine, then every core busy and 20 ms of jitter. *Cold*: busy and jittery from the
//!    first packet on, so that the clocks must be found in that.
//! 4. For every frame later than 30 s after a session's first: the error of its stamp minus that of the other camera's
//!    nearest frame. Nothing is subtracted; both cameras have the same latency. `p99_us` and `max_us` are of the held session, `cold_`
//!    of the other; `arrival_` is the same with the time of arrival in place of the stamp.

mod live;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use swarm_camera_bed::proxy::{Proxy, Weather};
use swarm_camera_bed::rtsp::{Cameras, Clock, Setup, Stream, Truth, read_truth};
use swarm_capture_check::Arguments;
use swarm_capture_core::ClockState;

use live::Seen;

/// How long a session is, and how long the clocks have of it. The short form shows that all of it runs, not how exact stamps are.
const FULL: (Duration, Duration) = (Duration::from_secs(330), Duration::from_secs(30));
const SHORT: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(7));
const JITTER: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    swarm_capture_check::main("sync", run)
}

fn run(Arguments { short, output }: Arguments) -> Result<()> {
    let (time, settle) = if short { SHORT } else { FULL };
    let folder = tempfile::tempdir().context("cannot make a folder for the truth")?;
    let bench = Bench::start(folder.path(), settle)?;

    let held = bench.session(time, Begins::After(settle))?;
    held.print("held");
    let cold = bench.session(time, Begins::AtOnce)?;
    cold.print("cold");

    let report = json!({
        "figures": {
            "p99_us": held.stamps.p99,
            "max_us": held.stamps.max,
            "arrival_p99_us": held.arrivals.p99,
            "cold_p99_us": cold.stamps.p99,
            "cold_max_us": cold.stamps.max,
            "drift_error_ppm": held.drift_error_ppm.max(cold.drift_error_ppm),
            "frames": held.frames + cold.frames,
        },
        "reference": {
            "arrival_p99_us": held.arrivals.p99,
            "arrival_max_us": held.arrivals.max,
            "cold_arrival_p99_us": cold.arrivals.p99,
        },
        "ratios": { "ratio_arrival": held.arrivals.p99 / held.stamps.p99 },
    });
    let text = serde_json::to_string_pretty(&report).expect("numbers and names");
    std::fs::write(&output, text).with_context(|| format!("cannot write {}", output.display()))
}

/// When load and jitter begin.
#[derive(Clone, Copy)]
enum Begins {
    AtOnce,
    After(Duration),
}

struct Bench {
    cameras: Vec<(Cameras, PathBuf, Clock)>,
    settle: Duration,
}

impl Bench {
    fn start(folder: &Path, settle: Duration) -> Result<Self> {
        let clocks = [Clock { offset_s: 2.5, drift_ppm: 100.0 }, Clock { offset_s: -1.7, drift_ppm: -100.0 }];
        let mut cameras = Vec::new();
        for (index, clock) in clocks.into_iter().enumerate() {
            let truth = folder.join(format!("truth_{index}"));
            let setup = Setup {
                streams: vec![Stream::live("/cam")],
                clock,
                truth: Some(truth.clone()),
                ..Setup::default()
            };
            cameras.push((Cameras::start(setup).context("cannot serve a camera")?, truth, clock));
        }
        Ok(Self { cameras, settle })
    }

    fn session(&self, time: Duration, begins: Begins) -> Result<Session> {
        let proxies: Vec<Proxy> = (7..)
            .zip(&self.cameras)
            .map(|(seed, (cameras, _, _))| Proxy::start(cameras.address(), None, seed))
            .collect::<Result<_, _>>()
            .context("cannot start a proxy")?;
        let urls: Vec<String> =
            proxies.iter().map(|proxy| format!("rtsp://{}/cam", proxy.address())).collect();
        let worsen = || {
            for proxy in &proxies {
                proxy.set(Weather { jitter: JITTER, ..Weather::default() });
            }
            Load::start()
        };
        let seen = match begins {
            Begins::AtOnce => {
                let _load = worsen();
                live::follow(&urls, time)?
            }
            Begins::After(quiet) => thread::scope(|scope| {
                let worse = scope.spawn(|| {
                    thread::sleep(quiet);
                    let _load = worsen();
                    thread::sleep(time.saturating_sub(quiet));
                });
                let seen = live::follow(&urls, time);
                worse.join().map_err(|_| anyhow::anyhow!("the thread that makes load has panicked"))?;
                seen
            })?,
        };
        let truths: Vec<HashMap<u32, i64>> = self
            .cameras
            .iter()
            .map(|(_, path, _)| {
                Ok(read_truth(path)?
                    .into_iter()
                    .map(|Truth { rtp, captured_ns, .. }| (rtp, captured_ns))
                    .collect())
            })
            .collect::<Result<_>>()
            .context("cannot read the truth")?;
        let clocks: Vec<Clock> = self.cameras.iter().map(|(_, _, clock)| *clock).collect();
        Session::judge(&seen, &truths, &clocks, self.settle)
    }
}

/// Threads that keep every core busy until they are dropped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // it does nothing that could panic
        }
    }
}

/// Absolute differences, us.
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    fn of(differences_ns: impl Iterator<Item = i64>) -> Self {
        let mut all: Vec<f64> = differences_ns.map(|ns| ns.abs() as f64 / 1e3).collect();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

struct Session {
    frames: usize,
    stamps: Spread,
    arrivals: Spread,
    drift_error_ppm: f64,
    latencies_ms: Vec<f64>,
}

/// One frame: when it was taken, and how wrong stamp and arrival are.
struct Judged {
    taken: i64,
    stamp: i64,
    arrival: i64,
}

impl Session {
    fn judge(
        seen: &[Seen],
        truths: &[HashMap<u32, i64>],
        clocks: &[Clock],
        settle: Duration,
    ) -> Result<Self> {
        let mut judged: Vec<Vec<Judged>> = Vec::new();
        let mut drift_error_ppm = 0.0_f64;
        let mut latencies_ms = Vec::new();
        for (((seen, truth), clock), number) in seen.iter().zip(truths).zip(clocks).zip(1..) {
            let first = seen.frames.first().with_context(|| format!("camera {number} sent no frame"))?;
            let late = first.capture.0 + settle.as_nanos() as i64;
            let frames: Vec<_> = seen.frames.iter().filter(|frame| frame.capture.0 > late).collect();
            let last =
                frames.last().with_context(|| format!("camera {number} sent no frame after {settle:?}"))?;
            ensure!(
                frames.iter().all(|frame| frame.timing.state == ClockState::Locked && frame.timing.base == 0),
                "camera {number} was not locked in one time base: {:?}",
                seen.events
            );
            let drift = last.timing.drift_ppm.with_context(|| format!("camera {number} has no drift"))?;
            drift_error_ppm = drift_error_ppm.max((drift - clock.drift_ppm).abs());
            let known: Vec<Judged> = frames
                .iter()
                .filter_map(|frame| {
                    let taken = *truth.get(&frame.head.rtp)?;
                    Some(Judged {
                        taken,
                        stamp: frame.capture.0 - taken,
                        arrival: frame.head.arrival.0 - taken,
                    })
                })
                .collect();
            // The truth of the last frame or two is not written yet.
            ensure!(
                known.len() + 10 > frames.len(),
                "{} of {} frames have a truth",
                known.len(),
                frames.len()
            );
            latencies_ms
                .push(known.iter().map(|frame| frame.stamp).sum::<i64>() as f64 / known.len() as f64 / 1e6);
            judged.push(known);
        }
        let [one, other] = &judged[..] else { bail!("{} cameras and not 2", judged.len()) };
        let pairs: Vec<(&Judged, &Judged)> = one
            .iter()
            .filter_map(|frame| {
                let next = other.partition_point(|other| other.taken < frame.taken);
                let near = other[next.saturating_sub(1)..(next + 1).min(other.len())].iter();
                near.min_by_key(|other| (other.taken - frame.taken).abs()).map(|other| (frame, other))
            })
            .filter(|(frame, other)| (frame.taken - other.taken).abs() < 50_000_000)
            .collect();
        ensure!(!pairs.is_empty(), "the cameras had no frame at the same time");
        Ok(Self {
            frames: pairs.len(),
            stamps: Spread::of(pairs.iter().map(|(a, b)| a.stamp - b.stamp)),
            arrivals: Spread::of(pairs.iter().map(|(a, b)| a.arrival - b.arrival)),
            drift_error_ppm,
            latencies_ms,
        })
    }

    fn print(&self, name: &str) {
        println!(
            "{name}: {} frames; stamps p50 {:.0} us, p99 {:.0} us, max {:.0} us; arrival p50 {:.0} us, p99 {:.0} us; \
             drift off by {:.1} ppm; stamps late by {:.3?} ms",
            self.frames,
            self.stamps.p50,
            self.stamps.p99,
            self.stamps.max,
            self.arrivals.p50,
            self.arrivals.p99,
            self.drift_error_ppm,
            self.latencies_ms
        );
    }
}
