//! What a shell says in `/diagnostics`.

use swarm_driver_core::means::Standing;
use swarm_driver_core::{Doing, Driver, Effect};
use swarm_ros::diagnostics::{Level, Report};

use swarm_base::Time;

/// The report of one robot; `joints` are named as in `/joint_states`.
pub fn report(driver: &Driver, joints: &[String], now: Time) -> Report {
    let doing = match driver.doing() {
        Doing::Following => "follows".to_owned(),
        Doing::Standing(cause) => format!("stands: {}", cause.code()),
    };
    let failed = driver.means().wishes().iter().any(|wish| matches!(wish.standing, Standing::Failed(_)));
    let (effect, seen) = match driver.effect(now) {
        Effect::NotJudged => (Level::Ok, "not judged".to_owned()),
        Effect::Stands => (Level::Ok, "stands".to_owned()),
        Effect::Unseen => {
            (Level::Warn, "told to stand, and no fresh /joint_states say what it does".to_owned())
        }
        Effect::Moves { joint, speed_rad_s } => {
            let joint = joints.get(joint).map_or("?", String::as_str);
            (Level::Error, format!("told to stand, and {joint} moves with {speed_rad_s:.3} rad/s"))
        }
    };
    let level = effect.max(if failed { Level::Warn } else { Level::Ok });
    let message = match level {
        Level::Ok => doing.clone(),
        _ if effect == Level::Error => seen.clone(),
        _ if failed => "the arm's driver does not do what was asked of it".to_owned(),
        _ => seen.clone(),
    };
    let (permits, commands) = driver.refused();
    let mut report = Report::new(level, message)
        .with("doing", doing)
        .with("arm", seen)
        .with("permits_refused", permits)
        .with("commands_refused", commands);
    for wish in driver.means().wishes() {
        let standing = match &wish.standing {
            Standing::Open => "asked",
            Standing::Done => "done",
            Standing::Failed(why) => why,
        };
        report = report.with(format!("{:?}", wish.act), standing);
    }
    report
}
