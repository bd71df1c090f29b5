//! The smallest complete node: one parameter, one queue, one publisher, one service, a worker thread that acts while active.
//!
//! It doubles what it hears on `~/in` (std_msgs/Float64) by the parameter `factor` and publishes it on `~/out`; `~/fail_next`
//! (std_srvs/SetBool) makes the next activation fail, so that the life cycle's unhappy path can be watched with `ros2 lifecycle`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use r2r::std_msgs::msg::Float64;
use r2r::std_srvs::srv::SetBool;
use swarm_base::ErrorChain;
use swarm_ros::{Managed, NodeShell, ParameterSpec, ShellError, TransitionError, qos};

struct Doubler {
    fail_next: Arc<AtomicBool>,
}

impl Managed for Doubler {
    fn on_activate(&mut self) -> Result<(), TransitionError> {
        if self.fail_next.swap(false, Ordering::SeqCst) {
            return Err(TransitionError::failed("asked to fail"));
        }
        tracing::info!("doubling");
        Ok(())
    }
}

fn run() -> Result<(), ShellError> {
    let mut shell = NodeShell::create("minimal_node")?;
    let factor = shell.declare(
        ParameterSpec::<f64>::new("factor", 2.0)
            .describe("What each number is multiplied by")
            .range(-10.0..=10.0),
    );
    shell.declare(ParameterSpec::<String>::new("unit", "metre").describe("Unit of the numbers").read_only());
    shell.declare(
        ParameterSpec::<i64>::new("even", 2)
            .describe("An even number")
            .range(0..=100)
            .validate("even", |n| if n % 2 == 0 { Ok(()) } else { Err(format!("{n} is odd")) }),
    );
    shell.check_parameters()?;

    let numbers = shell.subscribe_queued::<Float64>("~/in", qos::EVENTS, 4, |_| None)?;
    let doubled = shell.publisher::<Float64>("~/out", qos::EVENTS)?;
    let fail_next = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&fail_next);
    shell.serve::<SetBool::Service>("~/fail_next", move |request| {
        set.store(request.data, Ordering::SeqCst);
        SetBool::Response { success: true, message: String::new() }
    })?;

    let (state, shutdown) = (shell.lifecycle(), shell.shutdown());
    let worker = std::thread::spawn(move || {
        while !shutdown.is_requested() {
            if let Some(number) = numbers.pop_timeout(Duration::from_millis(50))
                && state.is_active()
                && let Err(error) = doubled.publish(&Float64 { data: number.data * factor.get() })
            {
                tracing::warn!("cannot publish: {error}");
            }
        }
    });
    let result = shell.spin_managed(Doubler { fail_next });
    // The worker ends within one wait of the shutdown request; a panic in it has been printed.
    let _ = worker.join();
    result
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("minimal_node: {}", ErrorChain(&error));
            ExitCode::FAILURE
        }
    }
}
