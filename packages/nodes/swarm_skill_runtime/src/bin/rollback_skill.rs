//! `ros2 run swarm_skill_runtime rollback_skill [--to-version 1.0.0]`

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use r2r::std_srvs::srv::Trigger;
use r2r::swarm_msgs::srv::RollbackTo;
use swarm_base::ErrorChain;
use swarm_ros::arguments::Arguments;
use swarm_ros::{CallError, CommandNode};

/// Goes back to the last good version of the deployed skill, or to the one named.
#[derive(Debug, Parser)]
#[command(name = "rollback_skill")]
struct Options {
    /// A version that was good here before, such as 1.0.0.
    #[arg(long)]
    to_version: Option<String>,
    /// Seconds to wait for the runtime.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// Seconds to wait for its answer; longer than its parameter `swap_wait_s`.
    #[arg(long, default_value_t = 120.0)]
    answer_timeout: f64,
}

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    match roll_back(&options) {
        Ok((true, message)) => {
            println!("{message}");
            ExitCode::SUCCESS
        }
        Ok((false, message)) => {
            eprintln!("rollback_skill: refused: {message}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("rollback_skill: {}", ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}

fn roll_back(options: &Options) -> Result<(bool, String), CallError> {
    let mut node = CommandNode::create("rollback_skill")?;
    let seconds = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 7_200.0));
    let (wait, answer) = (seconds(options.timeout), seconds(options.answer_timeout));
    match &options.to_version {
        None => node
            .call::<Trigger::Service>("/skill_runtime/rollback", &Trigger::Request {}, wait, answer)
            .map(|response| (response.success, response.message)),
        Some(version) => {
            let request = RollbackTo::Request { version: version.clone() };
            node.call::<RollbackTo::Service>("/skill_runtime/rollback_to", &request, wait, answer)
                .map(|response| (response.success, response.message))
        }
    }
}
