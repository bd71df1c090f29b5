//! `ros2 run swarm_skill_runtime check_role_link --role leader --with follower`
//!
//! Plays one role of a run without robots, to see whether roles on different hosts reach one another: started for every role, each on its
//! host, they enter a phase together and go on to report. What changes is printed as a JSON line with the tick (10 ms) in which it did.
//! A link that is cut shows as the runtime's roles would take it: hold, then abort.
//!
//! Exit code: 0 if the phase was entered and the run held together to the end, else 1.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::json;
use swarm_base::{Clock as _, MonotonicClock, Role, Shutdown};
use swarm_ros::arguments::Arguments;
use swarm_ros::{CommandNode, qos};
use swarm_skill_core::{Cooperation, CooperationConfig, Entry, Leave, Link as _, Phase, Receipt, Timing};
use swarm_skill_runtime::role_link::{Inbox, RoleLink, TOPIC};

/// Sees whether roles on different hosts reach one another.
#[derive(Debug, Parser)]
#[command(name = "check_role_link")]
struct Options {
    /// The role that is played here.
    #[arg(long)]
    role: Role,
    /// The other roles; one `--with` for each.
    #[arg(long = "with", required = true)]
    others: Vec<Role>,
    /// Name of the check; the same for all roles.
    #[arg(long, default_value = "link-check")]
    run: String,
    /// Seconds to wait for the other roles before the check begins.
    #[arg(long, default_value_t = 30.0)]
    wait: f64,
    /// Seconds that the check lasts.
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
}

const PHASE: &str = "link";
/// Ticks in which a role says that it is done.
const FAREWELLS: u32 = 20;
const TICK: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    match check(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("check_role_link: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the link held.
fn check(options: &Options) -> anyhow::Result<bool> {
    let stop = Shutdown::new();
    swarm_ros::request_shutdown_on_signals(&stop).context("cannot listen for Ctrl-C")?;
    let mut node = CommandNode::create("check_role_link")?;
    let publisher = node.node.create_publisher(TOPIC, qos::SENSOR_BACKLOG)?;
    let mut heard = node.node.subscribe(TOPIC, qos::SENSOR_BACKLOG)?;
    let inbox = Inbox::new(options.role);
    let mut link = RoleLink::new(publisher, inbox.clone());
    let clock = MonotonicClock::new();
    let mut spin = |until: Instant| {
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            node.node.spin_once(left);
            while let Some(Some(message)) = heard.next().now_or_never() {
                inbox.hear(&message);
            }
        }
    };

    let found = Instant::now() + Duration::try_from_secs_f64(options.wait).context("reading --wait")?;
    while !link.is_heard_by(options.others.len()) && !stop.is_requested() {
        if Instant::now() >= found {
            say(0, options.role, "nobody came", "");
            return Ok(false);
        }
        spin(Instant::now() + TICK);
    }

    let mut roles = options.others.clone();
    roles.push(options.role);
    let config = CooperationConfig {
        run: options.run.as_str().into(),
        epoch: 0,
        me: options.role,
        instance: u64::from(std::process::id()),
        roles,
        phases: vec![Phase::barrier(PHASE)],
        timing: Timing::default(),
    };
    let mut own = Cooperation::new(config, clock.now());
    let ticks = (options.duration / TICK.as_secs_f64()) as u64;
    let (mut leave, mut last_heard, mut entered) = (Leave::Go, 0, false);
    for tick in 1..=ticks {
        if stop.is_requested() {
            break;
        }
        spin(Instant::now() + TICK);
        let now = clock.now();
        while let Some(message) = link.receive() {
            if own.receive(&message, now) == Receipt::Accepted {
                last_heard = tick;
            }
        }
        let judged = own.judge(now);
        if judged != leave {
            let (word, reason) = match &judged {
                Leave::Go => ("go", ""),
                Leave::Hold(reason) => ("hold", reason.as_str()),
                Leave::Abort(reason) => ("abort", reason.as_str()),
            };
            let silent = tick - last_heard;
            println!(
                "{}",
                json!({"tick": tick, "role": options.role, "event": word, "reason": reason, "silent_ticks": silent})
            );
            leave = judged;
        }
        if !entered && leave == Leave::Go && own.enter(PHASE)? == Entry::Acting {
            entered = true;
            say(tick, options.role, "entered", "");
        }
        if let Some(message) = own.outgoing(now) {
            link.send(&message);
        }
        if matches!(leave, Leave::Abort(_)) {
            return Ok(false);
        }
    }
    // The others need not wait for a role that has done its part.
    own.finish();
    own.set_at_rest(true);
    for _ in 0..FAREWELLS {
        if let Some(message) = own.outgoing(clock.now()) {
            link.send(&message);
        }
        spin(Instant::now() + TICK);
    }
    say(ticks, options.role, "done", &format!("{} messages lost", link.lost()));
    Ok(entered && leave == Leave::Go)
}

fn say(tick: u64, role: Role, event: &str, reason: &str) {
    println!("{}", json!({"tick": tick, "role": role, "event": event, "reason": reason}));
}
