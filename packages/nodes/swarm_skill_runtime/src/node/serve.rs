//! The services of a deployment; each waits on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;

use r2r::std_srvs::srv::Trigger;
use r2r::swarm_msgs::srv::{Deploy, RollbackTo};
use swarm_artifact::Intent;
use swarm_ros::{Level, NodeShell, Report};

use super::shared::Shared;
use crate::deployer::{ActiveSkill, MOST_WARNINGS, NotDeployed, Order, warnings};
use crate::sightings::{Dropped, MOST_PARTS};

/// The four services of a deployment.
pub(super) fn serve(shell: &mut NodeShell, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let order = Arc::clone(shared);
    shell.serve_on_thread::<Deploy::Service>("/skill_runtime/deploy", move |request| {
        let wish = Order::Deploy {
            archive: PathBuf::from(request.csa_path),
            signature: PathBuf::from(request.signature_path),
            skill_id: request.skill_id,
            intent: if request.allow_older { Intent::Rollback } else { Intent::Upgrade },
        };
        match order.carry_out(&wish) {
            Ok(active) => Deploy::Response {
                success: true,
                skill: active.skill_id.clone(),
                version: active.version.to_string(),
                artifact: active.artifact.to_string(),
                unacceptable: false,
                message: deployed(&active),
            },
            Err(NotDeployed { message, unacceptable }) => {
                Deploy::Response { unacceptable, message, ..Deploy::Response::default() }
            }
        }
    })?;
    for (service, wish) in [("reload", Order::Reload), ("rollback", Order::Rollback(None))] {
        let order = Arc::clone(shared);
        shell.serve_on_thread::<Trigger::Service>(
            &format!("/skill_runtime/{service}"),
            move |_| match order.carry_out(&wish) {
                Ok(active) => Trigger::Response { success: true, message: deployed(&active) },
                Err(refused) => Trigger::Response { success: false, message: refused.message },
            },
        )?;
    }
    let order = Arc::clone(shared);
    shell.serve_on_thread::<RollbackTo::Service>("/skill_runtime/rollback_to", move |request| {
        let result = semver::Version::parse(&request.version)
            .map_err(|error| format!("'{}' is no version such as 1.0.0: {error}", request.version))
            .and_then(|version| {
                order.carry_out(&Order::Rollback(Some(version))).map_err(|refused| refused.message)
            });
        let (success, message) = match result {
            Ok(active) => (true, deployed(&active)),
            Err(message) => (false, message),
        };
        let version = order.deployer.active().map(|active| active.version.to_string()).unwrap_or_default();
        RollbackTo::Response { success, version, message }
    })?;
    Ok(())
}

fn deployed(active: &ActiveSkill) -> String {
    let beside = active.beside.as_ref().map(|beside| format!("; {beside}")).unwrap_or_default();
    format!("{} is deployed{beside}", active.title())
}

/// Says in `/diagnostics` what is deployed, and what the static check warns of in it.
pub(super) fn report(shell: &NodeShell, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    shell.diagnostics().add("skill", move || match shared.deployer.active() {
        Some(active) => of(&active),
        None => Report::new(Level::Warn, "no skill is deployed"),
    });
}

/// Says in `/diagnostics` how many parts are known, and which sightings are not kept.
pub(super) fn report_parts(shell: &NodeShell, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    shell.diagnostics().add("parts", move || {
        let (known, dropped) = {
            let world = shared.world();
            (world.sightings().latest().len(), world.sightings().dropped())
        };
        let report = match dropped {
            Dropped { refused: 0, misstamped: 0, .. } => Report::ok("every part that was seen is known"),
            Dropped { refused: 0, .. } => Report::new(
                Level::Warn,
                "images on /part_poses are stamped ahead of this computer's clock, or older than the one before; are the clocks in step?",
            ),
            _ => Report::new(
                Level::Warn,
                format!("more parts are reported on /part_poses than the {MOST_PARTS} that are kept, or with names too long"),
            ),
        };
        report
            .with("known", known)
            .with("sightings_refused", dropped.refused)
            .with("sightings_repeated", dropped.repeated)
            .with("sightings_misstamped", dropped.misstamped)
    });
}

fn of(active: &ActiveSkill) -> Report {
    let report = match warnings(&active.skill).count() {
        0 => Report::ok("deployed"),
        1 => Report::new(Level::Warn, "deployed; the check of its trees warns of one thing"),
        many => Report::new(Level::Warn, format!("deployed; the check of its trees warns of {many} things")),
    };
    let report = report.with("skill", active.title()).with("artifact", active.artifact);
    let shown = warnings(&active.skill).take(MOST_WARNINGS).enumerate();
    shown.fold(report, |report, (index, finding)| report.with(format!("warning_{}", index + 1), finding))
}
