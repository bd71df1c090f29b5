//! `ros2 run swarm_skill_runtime execute_skill --skill-id cooperative_assembly --role leader`
//!
//! One goal, its progress, its result. Ctrl-C cancels the goal and waits for the arms to stand; a second Ctrl-C
//! leaves without waiting.
//!
//! With `--preview` nothing moves: it says what the skill would do from here.
//!
//! Exit codes: 0 succeeded, or the preview keeps every limit; 1 aborted, not possible, or the preview is refused; 2 canceled.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Parser;
use futures::FutureExt as _;
use futures::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use r2r::swarm_msgs::action::ExecuteSkill;
use swarm_base::{Role, Shutdown};
use swarm_ros::CommandNode;
use swarm_ros::arguments::Arguments;
use swarm_run_log::RoleState;

const ACTION: &str = "/skill_runtime/execute";

/// Runs one role of the deployed skill, or all of them.
#[derive(Debug, Parser)]
#[command(name = "execute_skill")]
struct Options {
    /// The deployed skill.
    #[arg(long)]
    skill_id: String,
    /// leader, follower or spotter; all roles if left out. The run starts when every role has been asked for.
    #[arg(long)]
    role: Option<Role>,
    /// Name of the run in logs and bags; one is made if left out.
    #[arg(long, default_value = "")]
    trace_id: String,
    /// Seconds to wait for the other roles; the runtime's own if left out.
    #[arg(long, default_value_t = 0.0)]
    join_timeout: f64,
    /// Move nothing: run the trees of all roles on a kinematic twin of the cell, from where the arms are and with the parts that
    /// have been seen; print how long that takes, the space that each arm sweeps, and how near it comes to every limit.
    #[arg(long, conflicts_with = "role")]
    preview: bool,
    /// Print feedback and result as JSON, one object per line.
    #[arg(long)]
    json: bool,
    /// Seconds to wait for the runtime.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
}

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    match execute(&options) {
        Ok(result) => {
            show_result(&options, &result);
            ExitCode::from(result.outcome)
        }
        Err(error) => {
            eprintln!("execute_skill: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(options: &Options) -> anyhow::Result<ExecuteSkill::Result> {
    let interrupted = Shutdown::new();
    swarm_ros::request_shutdown_on_signals(&interrupted).context("cannot listen for Ctrl-C")?;
    let mut node = CommandNode::create("execute_skill")?;
    let client = node.node.create_action_client::<ExecuteSkill::Action>(ACTION)?;
    let wait = Duration::try_from_secs_f64(options.timeout)?;
    let mut there = Box::pin(r2r::Node::is_available(&client)?);
    if node.wait_for(wait, |_| there.as_mut().now_or_never()).is_none() {
        bail!(
            "no node offers the action {ACTION} (waited {} s); is the skill runtime running?",
            options.timeout
        );
    }
    let goal = ExecuteSkill::Goal {
        skill_id: options.skill_id.clone(),
        role: options.role.map(|role| role.to_string()).unwrap_or_default(),
        trace_id: options.trace_id.clone(),
        join_timeout: options.join_timeout,
        preview: options.preview,
    };
    let mut accepted = Box::pin(client.send_goal_request(goal)?);
    let (goal, result, mut feedback) = node
        .wait_for(wait, |_| accepted.as_mut().now_or_never())
        .ok_or_else(|| anyhow!("the runtime has not answered the goal within {} s", options.timeout))?
        .context("the runtime refused the goal")?;

    let mut result = Box::pin(result);
    let mut display = Display::new(options);
    let mut cancel = None;
    loop {
        node.node.spin_once(Duration::from_millis(5));
        while let Some(Some(news)) = feedback.next().now_or_never() {
            display.show(&news);
        }
        if let Some(ended) = result.as_mut().now_or_never() {
            display.finish();
            let (_, ended) = ended.context("the result was lost")?;
            return Ok(ended);
        }
        if interrupted.is_requested() && cancel.is_none() {
            display.say("canceling; waiting for the arms to stand (Ctrl-C again to leave)");
            cancel = Some(goal.cancel().context("the goal cannot be canceled")?);
        }
    }
}

fn show_result(options: &Options, result: &ExecuteSkill::Result) {
    let outcome = ["succeeded", "aborted", "canceled"].get(usize::from(result.outcome)).unwrap_or(&"unknown");
    if options.json {
        println!("{}", result_as_json(options, result, outcome));
        return;
    }
    if options.preview {
        show_preview(result);
    }
    let run = if result.trace_id.is_empty() { String::new() } else { format!(" (run {})", result.trace_id) };
    let what = if options.preview { "the preview " } else { "" };
    if result.message.is_empty() {
        println!("{what}{outcome} after {:.1} s{run}", result.duration);
    } else {
        println!("{what}{outcome} after {:.1} s: {}{run}", result.duration, result.message);
    }
}

fn show_preview(result: &ExecuteSkill::Result) {
    println!("swept space (upper bound)");
    for arm in &result.swept {
        let (min, max) = (&arm.min, &arm.max);
        println!(
            "  {:9} {:12} {:6.3} m3, x {:.2} to {:.2}, y {:.2} to {:.2}, z {:.2} to {:.2} m",
            arm.role, arm.robot, arm.volume, min.x, max.x, min.y, max.y, min.z, max.z
        );
    }
    let leases: Vec<String> =
        result.leases.iter().map(|lease| format!("{} ({})", lease.resource, lease.role)).collect();
    println!("leases: {}", if leases.is_empty() { "none".into() } else { leases.join(", ") });
    println!("worst margins");
    for margin in &result.margins {
        let against =
            if margin.against.is_empty() { String::new() } else { format!(" ({})", margin.against) };
        println!(
            "  {:+9.3} {:5} {} of {}{against} at {:.2} s, role {}, phase {}, node {}",
            margin.margin,
            margin.unit,
            margin.limit,
            margin.robot,
            margin.at,
            margin.role,
            margin.phase,
            margin.node
        );
    }
}

fn result_as_json(options: &Options, result: &ExecuteSkill::Result, outcome: &str) -> serde_json::Value {
    let mut line = serde_json::json!({"event": "result", "outcome": outcome, "message": result.message,
        "trace_id": result.trace_id, "duration_s": result.duration});
    if options.preview {
        let swept = result.swept.iter().map(|arm| {
            let corner = |point: &r2r::geometry_msgs::msg::Point| [point.x, point.y, point.z];
            serde_json::json!({"role": arm.role, "robot": arm.robot, "volume_m3": arm.volume, "voxel_m": arm.voxel,
                "min_m": corner(&arm.min), "max_m": corner(&arm.max)})
        });
        let leases = result
            .leases
            .iter()
            .map(|lease| serde_json::json!({"role": lease.role, "resource": lease.resource}));
        let margins = result.margins.iter().map(|margin| {
            serde_json::json!({"limit": margin.limit, "unit": margin.unit, "robot": margin.robot,
                "with": margin.against, "value": margin.value, "allowed": margin.allowed, "margin": margin.margin,
                "at_s": margin.at, "role": margin.role, "phase": margin.phase, "node": margin.node})
        });
        line["arms"] = swept.collect();
        line["leases"] = leases.collect();
        line["margins"] = margins.collect();
    }
    line
}

/// Progress as a bar on a terminal, as lines elsewhere, as JSON where asked for.
struct Display {
    json: bool,
    bar: ProgressBar,
    last: String,
}

impl Display {
    fn new(options: &Options) -> Self {
        let bar = if options.json { ProgressBar::hidden() } else { ProgressBar::new(1_000) };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} % {elapsed} {msg}") {
            bar.set_style(style);
        }
        Self { json: options.json, bar, last: String::new() }
    }

    fn show(&mut self, news: &ExecuteSkill::Feedback) {
        if self.json {
            let roles: Vec<_> = news
                .roles
                .iter()
                .map(|role| {
                    let state = RoleState::from_constant(role.state).unwrap_or_default();
                    serde_json::json!({"role": role.role, "robot": role.robot, "phase": role.phase,
                        "progress": role.progress, "state": state.as_str(), "message": role.message})
                })
                .collect();
            println!(
                "{}",
                serde_json::json!({"event": "feedback", "role": news.role, "phase": news.phase,
                    "progress": news.progress, "roles": roles})
            );
            return;
        }
        let holds = news.roles.iter().find(|role| !role.message.is_empty());
        let text = match holds {
            Some(role) => format!("{}: {} {}", news.phase, role.role, role.message),
            None => news.phase.clone(),
        };
        self.bar.set_position((news.progress * 1_000.0) as u64);
        self.bar.set_message(text.clone());
        if self.bar.is_hidden() && text != self.last {
            println!("{:>3.0} % {text}", news.progress * 100.0);
        }
        self.last = text;
    }

    fn say(&self, text: &str) {
        if self.json {
            eprintln!("{text}");
        } else {
            self.bar.suspend(|| println!("{text}"));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
