//! Topics of the cell into the view. Runs on the spin thread; nothing here waits.

use std::sync::Arc;

use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus};
use r2r::lifecycle_msgs::msg::TransitionEvent;
use r2r::swarm_msgs::msg::{RoleState, RuntimeStatus, SafetyStatus};
use swarm_artifact::ArtifactId;
use swarm_bridge_core::{Deployed, Ended, RunSeen};
use swarm_registry_client::bridge::{RuntimeHeard, SafetyHeard, Shared};
use swarm_ros::stamp::to_nanos;
use swarm_ros::{NodeShell, ShellError, qos};

pub fn listen(shell: &mut NodeShell, shared: &Arc<Shared>) -> Result<(), ShellError> {
    let hears = Arc::clone(shared);
    shell.subscribe::<RuntimeStatus>("/skill_runtime/status", qos::LATCHED, move |status| {
        let now = hears.now().monotonic;
        if hears.view().hear_runtime(now, runtime(&status)) {
            hears.wake();
        }
    })?;
    let hears = Arc::clone(shared);
    shell.subscribe::<SafetyStatus>("/safety_monitor", qos::SENSOR_BACKLOG, move |status| {
        let now = hears.now().monotonic;
        if hears.view().hear_safety(now, safety(&status)) {
            hears.wake();
        }
    })?;
    let hears = Arc::clone(shared);
    shell.subscribe::<TransitionEvent>("/skill_runtime/transition_event", qos::EVENTS, move |event| {
        match event.goal_state.label.as_str() {
            "deactivating" | "shuttingdown" => hears.view().hear_lifecycle(true),
            "activating" => hears.view().hear_lifecycle(false),
            _ => {}
        }
    })?;
    let hears = Arc::clone(shared);
    let own = shell.name().to_owned();
    shell.subscribe::<DiagnosticArray>("/diagnostics", qos::DIAGNOSTICS, move |array| {
        let now = hears.now().monotonic;
        for status in array.status.into_iter().filter(|status| status.hardware_id != own) {
            let error = (status.level == DiagnosticStatus::ERROR as u8).then_some(status.message);
            hears.view().hear_diagnostics(now, status.name, error);
        }
    })
}

fn runtime(status: &RuntimeStatus) -> RuntimeHeard {
    let artifact: Option<ArtifactId> = status.artifact.parse().ok();
    let deployed = artifact.zip(status.version.parse().ok());
    RuntimeHeard {
        deployed: deployed.map(|(artifact, version)| Deployed {
            artifact,
            skill: status.skill.clone(),
            version,
        }),
        last_good: status.last_good.parse().ok(),
        run: RunSeen {
            process: to_nanos(&status.started),
            artifact,
            trace_id: status.trace_id.clone(),
            running: status.running,
            ended: if status.running { Ended::Not } else { ended(&status.roles) },
        },
    }
}

/// How the run is over whose roles a status shows while nothing runs. A role that was told to stop stays as it held.
fn ended(roles: &[RoleState]) -> Ended {
    let all = |states: &[i64]| roles.iter().all(|role| states.contains(&i64::from(role.state)));
    if all(&[RoleState::IDLE as i64, RoleState::JOINING as i64]) {
        Ended::Not
    } else if all(&[RoleState::SUCCEEDED as i64]) {
        Ended::Succeeded
    } else if roles.iter().any(|role| i64::from(role.state) == RoleState::CANCELED as i64) {
        Ended::Canceled
    } else {
        Ended::Failed
    }
}

fn safety(status: &SafetyStatus) -> SafetyHeard {
    let is = |states: &[i64]| states.contains(&i64::from(status.state));
    let stopped = is(&[
        SafetyStatus::STATE_STOP2 as i64,
        SafetyStatus::STATE_STOP1 as i64,
        SafetyStatus::STATE_ESTOP as i64,
    ]);
    SafetyHeard {
        passes_motion: is(&[SafetyStatus::STATE_RUN as i64, SafetyStatus::STATE_SLOW as i64]),
        stopped_by: if stopped { status.cause.clone() } else { String::new() },
        artifact: status.artifact.parse().ok(),
    }
}
