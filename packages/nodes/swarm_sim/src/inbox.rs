//! What arrived for the robots since the last cycle, between the spin thread and the physics thread.

use std::sync::{Mutex, MutexGuard, PoisonError};

use r2r::std_msgs::msg::Float64MultiArray;
use r2r::swarm_msgs::msg::{GripperCommand as GripperCommandMsg, Permit as PermitMsg};
use swarm_base::Time;
use swarm_mujoco::driver::{Permit, VelocityCommand};
use swarm_mujoco::{Commands, GripperCommand, RobotInbox};

/// Messages of one kind that one robot keeps for a cycle at most; the oldest go first.
const CAPACITY: usize = 64;

/// Arrived messages per robot, in the order of the declaration.
#[derive(Debug)]
pub struct Inbox {
    robots: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    arrived: Vec<RobotInbox>,
    dropped: u64,
    emergency_stop: bool,
}

impl Inbox {
    pub fn new(robots: Vec<String>) -> Self {
        let arrived = vec![RobotInbox::default(); robots.len()];
        Self { robots, state: Mutex::new(State { arrived, dropped: 0, emergency_stop: false }) }
    }

    /// A permit for all robots. One that does not name a robot stands for leave to move at speed zero: it stops at once.
    pub fn permit(&self, message: &PermitMsg) {
        let mut state = self.lock();
        let State { arrived, dropped, .. } = &mut *state;
        for (name, robot) in self.robots.iter().zip(arrived) {
            let speed_scale = message
                .robots
                .iter()
                .position(|named| named == name)
                .map_or(0.0, |index| message.speed_scale.get(index).copied().unwrap_or(f64::NAN));
            let (epoch, sequence) = (message.epoch, message.sequence);
            push(&mut robot.permits, Permit { received: Time::ZERO, epoch, sequence, speed_scale }, dropped);
        }
    }

    /// Joint velocities for the robot at `index`.
    pub fn velocities(&self, index: usize, message: Float64MultiArray) {
        let command = VelocityCommand { received: Time::ZERO, velocity_rad_s: message.data };
        let mut state = self.lock();
        let State { arrived, dropped, .. } = &mut *state;
        push(&mut arrived[index].velocities, command, dropped);
    }

    /// A gripper command for the robot at `index`.
    pub fn gripper(&self, index: usize, message: &GripperCommandMsg) {
        let command = GripperCommand { width_m: message.width, force_n: message.force };
        let mut state = self.lock();
        let State { arrived, dropped, .. } = &mut *state;
        push(&mut arrived[index].gripper, command, dropped);
    }

    /// Hears `/emergency_stop`, only to measure how long a stop takes: drivers obey the permit.
    pub fn emergency_stop(&self, stop: bool) {
        self.lock().emergency_stop |= stop;
    }

    /// Whether a stop was heard since the last call.
    pub fn take_emergency_stop(&self) -> bool {
        std::mem::take(&mut self.lock().emergency_stop)
    }

    /// Everything that arrived since the last call, received `now` (simulated time).
    pub fn take(&self, now: Time) -> Commands {
        let empty = vec![RobotInbox::default(); self.robots.len()];
        let mut robots = std::mem::replace(&mut self.lock().arrived, empty);
        for robot in &mut robots {
            robot.permits.iter_mut().for_each(|permit| permit.received = now);
            robot.velocities.iter_mut().for_each(|command| command.received = now);
        }
        Commands { now, robots }
    }

    /// Messages that were pushed out by newer ones before a cycle took them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(messages: &mut Vec<T>, message: T, dropped: &mut u64) {
    if messages.len() == CAPACITY {
        messages.remove(0);
        *dropped += 1;
    }
    messages.push(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Inbox {
        Inbox::new(vec!["left".to_owned(), "right".to_owned()])
    }

    fn permit(robots: &[&str], speed_scale: &[f64]) -> PermitMsg {
        PermitMsg {
            epoch: 3,
            sequence: 7,
            robots: robots.iter().map(|&name| name.to_owned()).collect(),
            speed_scale: speed_scale.to_vec(),
            ..PermitMsg::default()
        }
    }

    fn scales(commands: &Commands) -> Vec<f64> {
        commands.robots.iter().map(|robot| robot.permits[0].speed_scale).collect()
    }

    #[test]
    fn each_robot_gets_its_own_scale() {
        let inbox = inbox();
        inbox.permit(&permit(&["right", "left"], &[0.25, 1.0]));
        let commands = inbox.take(Time(5));
        assert_eq!(scales(&commands), [1.0, 0.25]);
        assert_eq!(commands.robots[0].permits[0].received, Time(5));
    }

    #[test]
    fn a_robot_that_is_not_named_may_not_move() {
        let inbox = inbox();
        inbox.permit(&permit(&["left"], &[1.0]));
        assert_eq!(scales(&inbox.take(Time::ZERO)), [1.0, 0.0]);
    }

    #[test]
    fn a_permit_with_too_few_scales_is_passed_on_as_senseless() {
        let inbox = inbox();
        inbox.permit(&permit(&["left", "right"], &[1.0]));
        assert!(scales(&inbox.take(Time::ZERO))[1].is_nan());
    }

    #[test]
    fn nothing_is_handed_over_twice_and_a_flood_is_bounded_and_counted() {
        let inbox = inbox();
        for n in 0..CAPACITY + 5 {
            inbox.velocities(1, Float64MultiArray { data: vec![n as f64], ..Float64MultiArray::default() });
        }
        let commands = inbox.take(Time::ZERO);
        assert_eq!(commands.robots[1].velocities.len(), CAPACITY);
        assert_eq!(commands.robots[1].velocities[0].velocity_rad_s, [5.0]);
        assert_eq!(inbox.dropped(), 5);
        assert_eq!(inbox.take(Time::ZERO), Commands::none(Time::ZERO, 2));
    }
}
