//! The gate's services. Each runs on its own thread and waits there for the deciding thread's answer.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use r2r::swarm_msgs::srv::{LoadEnvelope, ResetSafety};
use swarm_ros::{LifecycleState, NodeShell, ShellError};
use swarm_safety_core::ResetRequest;

use crate::board::Board;
use crate::exchange::{Exchange, require_active};
use crate::intake::Intake;

/// Longest wait for the deciding thread; a cycle is some milliseconds. Longer than a reset holds (`heard`).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// `/safety_monitor/reset`.
pub fn serve_reset(
    shell: &mut NodeShell,
    board: Arc<Board>,
    intake: Arc<Intake>,
    lifecycle: LifecycleState,
) -> Result<(), ShellError> {
    shell.serve_on_thread::<ResetSafety::Service>("/safety_monitor/reset", move |request| {
        tracing::info!(by = request.reset_by, epoch = request.epoch, "reset asked for");
        let answer = require_active(&lifecycle).and_then(|()| {
            let (reply, answer) = mpsc::channel();
            board.await_reset(reply);
            intake.reset(ResetRequest { epoch: request.epoch });
            wait(&answer)
        });
        let (epoch, outcome) = answer.unwrap_or_else(|message| (board.status().epoch, Err(message)));
        match outcome {
            Ok(_) => ResetSafety::Response { success: true, epoch, message: String::new() },
            Err(message) => ResetSafety::Response { success: false, epoch, message },
        }
    })
}

/// `/safety_monitor/load_envelope`.
pub fn serve_load_envelope(
    shell: &mut NodeShell,
    board: Arc<Board>,
    mut exchange: Exchange,
) -> Result<(), ShellError> {
    shell.serve_on_thread::<LoadEnvelope::Service>("/safety_monitor/load_envelope", move |request| {
        let outcome = exchange.load(&request.artifact).and_then(|answer| wait(&answer));
        match outcome {
            Ok(epoch) => LoadEnvelope::Response { success: true, epoch, message: String::new() },
            Err(message) => {
                tracing::warn!(artifact = request.artifact, "envelope not loaded: {message}");
                LoadEnvelope::Response { success: false, epoch: board.status().epoch, message }
            }
        }
    })
}

fn wait<T>(answer: &Receiver<T>) -> Result<T, String> {
    let missing =
        "the deciding thread gives no answer: is the node active (ros2 lifecycle get /safety_monitor)?";
    answer.recv_timeout(ANSWER_TIMEOUT).map_err(|_| missing.to_owned())
}
