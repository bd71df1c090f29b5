//! What the gate says: joint and gripper commands for the drivers, permits, and the status for everyone.

use r2r::builtin_interfaces::msg::Time as TimeMsg;
use r2r::std_msgs::msg::{Float64MultiArray, Header};
use r2r::swarm_msgs::msg::{GripperCommand, Permit, RobotSafety, SafetyStatus};
use r2r::{Publisher, WrappedTypesupport};
use swarm_base::{Clock as _, Duration, Time};
use swarm_ros::stamp::{self, RosClock};
use swarm_ros::{NodeShell, ShellError, qos};
use swarm_rt::KernelClock;
use swarm_safety_core::{Config, RobotVerdict, SafetyState, Verdict};

/// A decision that is older is history, and grants no motion: half of the drivers' permit time-out. After a pause of the process or of
/// this thread, what waited in the queue must not move anything.
const OLDEST_GRANT: Duration = Duration::from_millis(10);

/// Time between two status messages when nothing changes: 50 Hz.
const STATUS_PERIOD: Duration = Duration::from_millis(20);

/// What the status says beside the verdict.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Skill id and version whose envelope is loaded, empty if none.
    pub skill: String,
    /// Its artifact, empty if none.
    pub artifact: String,
    pub trace_id: String,
    /// Epoch that the last granted reset began; 0 before the first.
    pub reset_epoch: u64,
    pub real_time: bool,
    pub degraded: bool,
}

/// Time between two messages while nothing changes.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    pub permit: Duration,
    pub command: Duration,
}

/// All publishers of the gate.
#[derive(Debug)]
pub struct Outputs {
    robots: Vec<RobotOutputs>,
    permit: Publisher<Permit>,
    status: Publisher<SafetyStatus>,
    clock: RosClock,
    permit_period: Duration,
    permit_due: Time,
    command_period: Duration,
    command_due: Time,
    status_due: Time,
    sequence: u64,
    sent_scales: Vec<f64>,
    failures: u64,
}

#[derive(Debug)]
struct RobotOutputs {
    name: String,
    joints: Publisher<Float64MultiArray>,
    gripper: Publisher<GripperCommand>,
    dof: usize,
    sent: Vec<f64>,
    gripper_sequence: u64,
}

impl Outputs {
    pub fn create(shell: &mut NodeShell, config: &Config, periods: Periods) -> Result<Self, ShellError> {
        let mut robots = Vec::new();
        for arm in config.arms() {
            let name = arm.name.clone();
            robots.push(RobotOutputs {
                joints: shell.publisher(&format!("/{name}/joint_command"), qos::COMMAND)?,
                gripper: shell.publisher(&format!("/{name}/gripper_command"), qos::COMMAND)?,
                name,
                dof: arm.model.dof(),
                sent: Vec::new(),
                gripper_sequence: 0,
            });
        }
        Ok(Self {
            robots,
            permit: shell.publisher("/safety_monitor/permit", qos::SENSOR)?,
            status: shell.publisher("/safety_monitor", qos::LATCHED_BACKLOG)?,
            clock: shell.clock(),
            permit_period: periods.permit,
            permit_due: Time::ZERO,
            command_period: periods.command,
            command_due: Time::ZERO,
            status_due: Time::ZERO,
            sequence: 0,
            sent_scales: Vec::new(),
            failures: 0,
        })
    }

    /// Messages that the middleware did not take.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Publishes a verdict that was made at `now`, all of it.
    pub fn publish(&mut self, config: &Config, verdict: &Verdict, context: &Context, now: Time) {
        self.grant(verdict, &context.artifact, now);
        self.tell_status(config, verdict, context, now);
    }

    /// What drivers hear of it: commands first, because they are waited for; each at once when it has changed.
    pub fn grant(&mut self, verdict: &Verdict, artifact: &str, now: Time) {
        let failures = &mut self.failures;
        // SR-23
        let fresh = KernelClock.now().since(now) <= OLDEST_GRANT;
        let due = now >= self.command_due;
        if due {
            self.command_due = now + self.command_period;
        }
        if fresh {
            for (robot, told) in self.robots.iter_mut().zip(&verdict.robots) {
                robot.publish(told, verdict.epoch, artifact, due, &self.clock, failures);
            }
        }
        let scales: Vec<f64> =
            verdict.robots.iter().take(self.robots.len()).map(|robot| robot.scale).collect();
        let due = now >= self.permit_due || scales != self.sent_scales;
        if due && (fresh || !verdict.state.moves()) {
            self.permit_due = now + self.permit_period;
            self.send_permit(verdict.epoch, scales, now);
        }
    }

    /// What everyone hears of it.
    pub fn tell_status(&mut self, config: &Config, verdict: &Verdict, context: &Context, now: Time) {
        if verdict.changed || now >= self.status_due {
            self.status_due = now + STATUS_PERIOD;
            let message = status_msg(config, verdict, context, &self.clock);
            send(&self.status, &message, &mut self.failures);
        }
    }

    /// Takes back every leave to move, for the end of the gate's activity.
    pub fn withdraw(&mut self, epoch: u64) {
        self.send_permit(epoch, vec![0.0; self.robots.len()], KernelClock.now());
    }

    fn send_permit(&mut self, epoch: u64, speed_scale: Vec<f64>, decided: Time) {
        self.sequence += 1;
        // In this order: a pause between the two makes the stamp older, and not younger.
        let (wall, now) = (self.clock.now(), KernelClock.now());
        let message = Permit {
            header: Header { stamp: stamp_of(&wall, now, decided), ..Header::default() },
            epoch,
            sequence: self.sequence,
            robots: self.robots.iter().map(|robot| robot.name.clone()).collect(),
            speed_scale: speed_scale.clone(),
        };
        self.sent_scales = speed_scale;
        send(&self.permit, &message, &mut self.failures);
    }
}

impl RobotOutputs {
    fn publish(
        &mut self,
        told: &RobotVerdict,
        epoch: u64,
        artifact: &str,
        due: bool,
        clock: &RosClock,
        failures: &mut u64,
    ) {
        let velocity = &told.velocity.as_slice()[..self.dof];
        // The last of a ramp, too, must not wait for a turn.
        if due || velocity != self.sent {
            let message = Float64MultiArray { data: velocity.to_vec(), ..Float64MultiArray::default() };
            send(&self.joints, &message, failures);
            self.sent = message.data;
        }
        if let (true, Some(target)) = (told.gripper_new, told.gripper) {
            self.gripper_sequence += 1;
            let message = GripperCommand {
                header: clock.header(""),
                robot: self.name.clone(),
                width: target.width_m,
                force: target.force_n,
                artifact: artifact.to_owned(),
                epoch,
                sequence: self.gripper_sequence,
            };
            send(&self.gripper, &message, failures);
        }
    }
}

fn status_msg(config: &Config, verdict: &Verdict, context: &Context, clock: &RosClock) -> SafetyStatus {
    let mut message = SafetyStatus {
        header: clock.header("world"),
        state: state_number(verdict.state),
        skill: context.skill.clone(),
        artifact: context.artifact.clone(),
        trace_id: context.trace_id.clone(),
        epoch: verdict.epoch,
        reset_epoch: context.reset_epoch,
        cycle: verdict.cycle,
        cause_cycle: verdict.cause_cycle,
        real_time: context.real_time,
        degraded: context.degraded,
        ..SafetyStatus::default()
    };
    if let Some(cause) = &verdict.cause {
        cause.kind.code().clone_into(&mut message.cause);
        message.detail = cause.detail(config);
        cause.robot_name(config).clone_into(&mut message.robot);
        message.joint = cause.joint_name(config);
        (message.value, message.limit) = (cause.value, cause.limit);
    }
    message.robots = config
        .arms()
        .iter()
        .zip(&verdict.robots)
        .map(|(arm, robot)| {
            let measures = &robot.measures;
            RobotSafety {
                robot: arm.name.clone(),
                speed_scale: robot.scale,
                tcp_speed: measures.tcp_speed_m_s,
                tcp_speed_limit: measures.tcp_speed_limit_m_s,
                elbow_speed: measures.elbow_speed_m_s,
                elbow_speed_limit: measures.elbow_speed_limit_m_s,
                momentum: measures.momentum_kg_m_s,
                momentum_limit: measures.momentum_limit_kg_m_s,
                power: measures.power_w,
                power_limit: measures.power_limit_w,
                self_separation: measures.self_separation_m,
                fixture_separation: measures.fixture_separation_m,
                human_separation: measures.human_separation_m,
                stop_ineffective: robot.stop_ineffective,
                contact_force: measures.contact_force_n,
                contact_force_limit: measures.contact_force_limit_n,
                separation: measures.separation_m,
                separation_limit: measures.separation_limit_m,
                joint_velocity_ratio: measures.joint_velocity_ratio,
                input_age: measures.input_age_s,
            }
        })
        .collect();
    message
}

/// The numbers of `swarm_msgs/msg/SafetyStatus`.
fn state_number(state: SafetyState) -> u8 {
    match state {
        SafetyState::Deny => SafetyStatus::STATE_DENY as u8,
        SafetyState::Ready => SafetyStatus::STATE_READY as u8,
        SafetyState::Run => SafetyStatus::STATE_RUN as u8,
        SafetyState::Slow => SafetyStatus::STATE_SLOW as u8,
        SafetyState::Stop2 => SafetyStatus::STATE_STOP2 as u8,
        SafetyState::Stop1 => SafetyStatus::STATE_STOP1 as u8,
        SafetyState::Estop => SafetyStatus::STATE_ESTOP as u8,
    }
}

/// The stamp of what was decided before `now`, which is `wall` by the clock of stamps: drivers count a permit's 20 ms from its decision.
fn stamp_of(wall: &TimeMsg, now: Time, decided: Time) -> TimeMsg {
    stamp::from_nanos(stamp::to_nanos(wall).saturating_sub(now.since(decided).0))
}

fn send<T: WrappedTypesupport + 'static>(publisher: &Publisher<T>, message: &T, failures: &mut u64) {
    if publisher.publish(message).is_err() {
        *failures += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SR-23
    #[test]
    fn a_permit_has_the_stamp_of_its_decision_however_late_it_is_sent() {
        let wall = stamp::from_nanos(1_795_000_000_000_000_000);
        let decided = Time::from_millis(500);
        let stamp = stamp_of(&wall, decided + Duration::from_millis(9), decided);
        assert_eq!(stamp::to_nanos(&stamp), 1_794_999_999_991_000_000);
        assert_eq!(stamp_of(&wall, decided, decided), wall);
    }
}
