//! How late a bare loop wakes, by each way of sleeping, beside `cyclictest` on the same CPU in the same seconds.
//!
//!     cargo run --release -p swarm_rt --example sleep_jitter -- [--cpu N] [--seconds S] [--runs N] [--load] [WAY...]
//!
//! Ways: `futex` (what this crate sleeps on), `nanosleep` (clock_nanosleep, which hears no event), `ppoll` (an eventfd and a
//! timerfd). It needs rt-tests, with `--load` stress-ng, and the right to SCHED_FIFO.

use std::error::Error;
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use swarm_base::{Clock, Duration, Time};
use swarm_rt::latency::Latencies;
use swarm_rt::reference::cyclictest::{Reference, Settings};
use swarm_rt::reference::load::Load;
use swarm_rt::wake::{self, Sleeper, Waker};
use swarm_rt::{KernelClock, ThreadWish, prepare_process, prepare_thread};

const PERIOD: Duration = Duration::from_millis(1);
const PRIORITY: u8 = 80;
/// Phases of the ways; half a period is the reference's.
const PLACES: [Duration; 3] = [Duration(0), Duration(PERIOD.0 / 4), Duration(PERIOD.0 / 4 * 3)];

enum Way {
    Futex { sleeper: Sleeper, _waker: Waker },
    Nanosleep,
    Ppoll { event: OwnedFd, timer: OwnedFd },
}

impl Way {
    fn of(name: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        match name {
            "futex" => {
                let (sleeper, waker) = wake::pair();
                Ok(Self::Futex { sleeper, _waker: waker })
            }
            "nanosleep" => Ok(Self::Nanosleep),
            "ppoll" => Ok(Self::Ppoll {
                event: eventfd(0, EventfdFlags::NONBLOCK)?,
                timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?,
            }),
            other => {
                Err(format!("no way of sleeping is called `{other}`; there are: futex, nanosleep, ppoll")
                    .into())
            }
        }
    }

    fn sleep_until(&mut self, deadline: Time) -> rustix::io::Result<()> {
        let at = Timespec {
            tv_sec: (deadline.0 / 1_000_000_000).cast_signed(),
            tv_nsec: (deadline.0 % 1_000_000_000).cast_signed(),
        };
        match self {
            Self::Futex { sleeper, .. } => {
                sleeper.sleep_until(deadline);
                Ok(())
            }
            Self::Nanosleep => clock_nanosleep_absolute(ClockId::Monotonic, &at),
            Self::Ppoll { event, timer } => {
                let none = Timespec { tv_sec: 0, tv_nsec: 0 };
                let once = Itimerspec { it_interval: none, it_value: at };
                timerfd_settime(&*timer, TimerfdTimerFlags::ABSTIME, &once)?;
                let mut ends = [PollFd::new(event, PollFlags::IN), PollFd::new(timer, PollFlags::IN)];
                poll(&mut ends, None).map(drop)
            }
        }
    }
}

struct Arguments {
    cpu: u16,
    seconds: u64,
    runs: u32,
    load: bool,
    ways: Vec<String>,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments { cpu: 0, seconds: 60, runs: 3, load: false, ways: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} takes a number"));
        match word.as_str() {
            "--cpu" => arguments.cpu = value()?.parse()?,
            "--seconds" => arguments.seconds = value()?.parse()?,
            "--runs" => arguments.runs = value()?.parse()?,
            "--load" => arguments.load = true,
            way => arguments.ways.push(way.to_owned()),
        }
    }
    if arguments.ways.is_empty() {
        arguments.ways = ["futex", "nanosleep", "ppoll"].map(str::to_owned).to_vec();
    }
    Ok(arguments)
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { cpu, seconds, runs, load, ways } = arguments()?;
    for lack in prepare_process() {
        eprintln!("lack: {lack}");
    }
    for run in 0..runs {
        let load = if load { Some(Load::cpu(2, seconds + 2)?) } else { None };
        let phase = Duration(PERIOD.0 / 2);
        let reference =
            Reference::start(&Settings { cpu, priority: PRIORITY, period: PERIOD, phase, seconds })?;
        // All in the same seconds, a quarter of a period apart so that none waits for another. A thread that wakes a CPU from
        // a longer rest wakes later, so the ways change places from run to run.
        let loops: Vec<_> = (run as usize..)
            .zip(ways.clone())
            .map(|(place, way)| {
                let offset = PLACES[place % PLACES.len()];
                thread::spawn(move || wake_late(&way, cpu, offset, seconds))
            })
            .collect();
        for (way, latencies) in ways.iter().zip(loops) {
            let latencies = latencies.join().map_err(|_| "the loop panicked")?;
            println!("{way:<10} {}  {}", run + 1, latencies.map_err(|error| error.to_string())?);
        }
        println!("cyclictest {}  {}", run + 1, reference.finish()?);
        if let Some(load) = load {
            load.finish()?;
        }
    }
    Ok(())
}

/// The loop: sleeps to `n * PERIOD + offset` and records how late it woke.
fn wake_late(
    way: &str,
    cpu: u16,
    offset: Duration,
    seconds: u64,
) -> Result<Latencies, Box<dyn Error + Send + Sync>> {
    let mut way = Way::of(way)?;
    let mut latencies = Latencies::new();
    let wish = ThreadWish { priority: PRIORITY, cpu: Some(cpu), stack_bytes: 64 * 1024 };
    for lack in prepare_thread(&wish) {
        eprintln!("lack: {lack}");
    }
    let mut due = Time((KernelClock.now().0 / 1_000_000_000 + 1) * 1_000_000_000) + offset;
    for _ in 0..seconds * 1_000 {
        way.sleep_until(due)?;
        let now = KernelClock.now();
        latencies.record(now - due);
        while due <= now {
            due = due + PERIOD;
        }
    }
    Ok(latencies)
}
