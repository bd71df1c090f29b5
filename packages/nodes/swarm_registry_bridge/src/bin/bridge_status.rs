//! `ros2 run swarm_registry_bridge bridge_status`: how this cell stands to its registry, and why.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use futures::{FutureExt as _, StreamExt as _};
use r2r::swarm_msgs::msg::BridgeStatus;
use swarm_ros::arguments::Arguments;
use swarm_ros::{CommandNode, qos};

/// Shows the newest status of the cell's bridge.
#[derive(Debug, Parser)]
#[command(name = "bridge_status")]
struct Options {
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Seconds to wait for the bridge
    #[arg(long, default_value_t = 5.0)]
    timeout: f64,
}

/// In the order of the message's constants.
const STATES: [&str; 7] = ["starting", "in_step", "working", "waiting", "offline", "expired", "refused"];

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bridge_status: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let timeout = Duration::try_from_secs_f64(options.timeout).context("--timeout")?;
    let mut command = CommandNode::create("bridge_status")?;
    let mut statuses = command.node.subscribe::<BridgeStatus>("/registry_bridge/status", qos::LATCHED)?;
    let Some(Some(status)) = command.wait_for(timeout, |_| statuses.next().now_or_never()) else {
        bail!(
            "nothing heard on /registry_bridge/status within {} s: is swarm_registry_bridge running, and does the cell's declaration \
             have a `registry:` block?",
            options.timeout
        );
    };
    if options.json {
        println!("{}", to_json(&status));
    } else {
        print!("{}", to_text(&status));
    }
    Ok(())
}

fn state(status: &BridgeStatus) -> &'static str {
    STATES.get(usize::from(status.state)).unwrap_or(&"unknown")
}

fn to_json(status: &BridgeStatus) -> serde_json::Value {
    serde_json::json!({
        "state": state(status),
        "detail": status.detail,
        "wanted": status.wanted,
        "running": status.running,
        "skill": status.skill,
        "version": status.version,
        "image_version": status.image_version,
        "director_version": status.director_version,
        "cache_bytes": status.cache_bytes,
    })
}

fn to_text(status: &BridgeStatus) -> String {
    let BridgeStatus { detail, skill, version, running, wanted, .. } = status;
    let or_nothing = |text: String| if text.trim().is_empty() { "nothing".to_owned() } else { text };
    format!(
        "{}: {detail}\nruns        {}\nis to run   {}\nbelieves    image {}, director {}\n",
        state(status),
        or_nothing(format!("{skill} {version} {running}")),
        or_nothing(wanted.clone()),
        status.image_version,
        status.director_version,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> BridgeStatus {
        BridgeStatus {
            state: BridgeStatus::WAITING as u8,
            detail: "assembly 1.1.0 waits until nothing moves".to_owned(),
            wanted: "ab".repeat(32),
            ..BridgeStatus::default()
        }
    }

    #[test]
    fn each_state_has_the_name_of_its_constant() {
        let named = |constant: i64| STATES[usize::try_from(constant).unwrap()];
        assert_eq!(named(BridgeStatus::STARTING as i64), "starting");
        assert_eq!(named(BridgeStatus::IN_STEP as i64), "in_step");
        assert_eq!(named(BridgeStatus::WAITING as i64), "waiting");
        assert_eq!(named(BridgeStatus::REFUSED as i64), "refused");
        let unknown = BridgeStatus { state: 200, ..status() };
        assert_eq!(to_json(&unknown)["state"], "unknown");
    }

    #[test]
    fn people_read_why_and_what_runs() {
        let text = to_text(&status());
        assert!(
            text.starts_with("waiting: assembly 1.1.0 waits until nothing moves\nruns        nothing\n"),
            "{text}"
        );
        assert!(text.contains(&format!("is to run   {}\n", "ab".repeat(32))), "{text}");
    }
}
