//! `ros2 run swarm_skill_runtime deploy_csa --csa-path X.tar.gz --skill-id cooperative_assembly`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use r2r::swarm_msgs::srv::Deploy;
use swarm_base::ErrorChain;
use swarm_ros::CommandNode;
use swarm_ros::arguments::Arguments;

/// Deploys a signed cooperative skill artifact. It is verified and checked first, and every arm has to be at rest.
#[derive(Debug, Parser)]
#[command(name = "deploy_csa")]
struct Options {
    /// The artifact, on this machine; the runtime has to see the same path.
    #[arg(long)]
    csa_path: PathBuf,
    /// The skill that the artifact is expected to hold; whatever it holds if left out.
    #[arg(long, default_value = "")]
    skill_id: String,
    /// Its signatures; beside the artifact, with `.sig` added, if left out.
    #[arg(long)]
    signature_path: Option<PathBuf>,
    /// Deploy it also if it is older than what is deployed: a rollback to an artifact that this cell may never have had.
    #[arg(long)]
    allow_older: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    /// Seconds to wait for the runtime.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// Seconds to wait for its answer; longer than its parameter `swap_wait_s`.
    #[arg(long, default_value_t = 120.0)]
    answer_timeout: f64,
}

fn main() -> ExitCode {
    let options = Options::parse_from(Arguments::of_process().own);
    match deploy(&options) {
        Ok(answer) => {
            if options.json {
                let text = serde_json::json!({"success": answer.success, "skill": answer.skill, "version": answer.version,
                    "artifact": answer.artifact, "unacceptable": answer.unacceptable, "message": answer.message});
                println!("{text}");
            } else if answer.success {
                println!("{} ({})", answer.message, answer.artifact);
            } else {
                eprintln!("deploy_csa: {} was refused: {}", options.csa_path.display(), answer.message);
            }
            if answer.success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("deploy_csa: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn deploy(options: &Options) -> anyhow::Result<Deploy::Response> {
    // The runtime's working directory is another one.
    let absolute = |path: &PathBuf| std::path::absolute(path).map(|path| path.to_string_lossy().into_owned());
    let request = Deploy::Request {
        csa_path: absolute(&options.csa_path)?,
        signature_path: options.signature_path.as_ref().map(absolute).transpose()?.unwrap_or_default(),
        skill_id: options.skill_id.clone(),
        allow_older: options.allow_older,
    };
    let mut node = CommandNode::create("deploy_csa")?;
    let wait = Duration::try_from_secs_f64(options.timeout)?;
    let answer = Duration::try_from_secs_f64(options.answer_timeout)?;
    node.call::<Deploy::Service>("/skill_runtime/deploy", &request, wait, answer)
        .map_err(|error| anyhow::anyhow!("{}", ErrorChain(&error)))
}
