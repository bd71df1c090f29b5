//! What arrived for the robots since the last cycle, between the spin thread and the physics thread.
//!
//! The physics thread may be held up while messages wait here. So each is handed over as old as it is: a permit from its stamp on,
//! by the wall clock, and everything from its arrival on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use r2r::std_msgs::msg::Float64MultiArray;
use r2r::swarm_msgs::msg::{GripperCommand as GripperCommandMsg, Permit as PermitMsg};
use swarm_base::{Duration, Time};
use swarm_mujoco::driver::{Permit, VelocityCommand};
use swarm_mujoco::{Commands, GripperCommand, RobotInbox};
use swarm_ros::stamp::to_nanos;

/// Messages of one kind that one robot keeps for a cycle at most; the oldest go first.
const CAPACITY: usize = 64;

/// When a message arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Time,
    /// The wall clock then, ns.
    pub wall_ns: u64,
}

/// Arrived messages per robot, in the order of the declaration.
#[derive(Debug)]
pub struct Inbox {
    robots: Vec<String>,
    realtime_factor: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    arrived: Vec<Arrived>,
    dropped: u64,
    emergency_stop: bool,
}

/// What one robot keeps for its cycle.
#[derive(Debug, Default)]
struct Arrived {
    permits: Vec<Waiting<Permit>>,
    velocities: Vec<Waiting<VelocityCommand>>,
    gripper: Vec<GripperCommand>,
}

#[derive(Debug)]
struct Waiting<T> {
    message: T,
    arrived: Time,
    /// How old it was then.
    age: Duration,
}

impl<T> Waiting<T> {
    fn age_at(&self, at: Time) -> Duration {
        Duration(self.age.0.saturating_add(at.since(self.arrived).0))
    }
}

impl Inbox {
    /// `realtime_factor`: simulated seconds per second.
    pub fn new(robots: Vec<String>, realtime_factor: f64) -> Self {
        let state = State { arrived: nothing(robots.len()), dropped: 0, emergency_stop: false };
        Self { robots, realtime_factor, state: Mutex::new(state) }
    }

    /// A permit for all robots. One that does not name a robot stands for leave to move at speed zero: it stops at once.
    pub fn permit(&self, message: &PermitMsg, arrival: Arrival) {
        // A stamp that is ahead counts as arrival.
        let age = Duration(arrival.wall_ns.saturating_sub(to_nanos(&message.header.stamp)));
        let mut state = self.lock();
        let State { arrived, dropped, .. } = &mut *state;
        for (name, robot) in self.robots.iter().zip(arrived) {
            let speed_scale = message
                .robots
                .iter()
                .position(|named| named == name)
                .map_or(0.0, |index| message.speed_scale.get(index).copied().unwrap_or(f64::NAN));
            let (epoch, sequence) = (message.epoch, message.sequence);
            let message = Permit { received: Time::ZERO, epoch, sequence, speed_scale };
            push(&mut robot.permits, Waiting { message, arrived: arrival.at, age }, dropped);
        }
    }

    /// Joint velocities for the robot at `index`.
    pub fn velocities(&self, index: usize, message: Float64MultiArray, arrived: Time) {
        let message = VelocityCommand { received: Time::ZERO, velocity_rad_s: message.data };
        let command = Waiting { message, arrived, age: Duration::ZERO };
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

    /// Everything that arrived since the last call, `at` this moment of the clock that arrivals are told by. It is received as long
    /// before `now` (simulated time) as it is old, or at zero if it is older than simulated time.
    pub fn take(&self, now: Time, at: Time) -> Commands {
        let arrived = std::mem::replace(&mut self.lock().arrived, nothing(self.robots.len()));
        let received = |age: Duration| {
            let simulated = Duration::from_secs_f64(age.as_secs_f64() * self.realtime_factor);
            Time(now.0.saturating_sub(simulated.0))
        };
        let permit =
            |waiting: Waiting<Permit>| Permit { received: received(waiting.age_at(at)), ..waiting.message };
        let command = |waiting: Waiting<VelocityCommand>| VelocityCommand {
            received: received(waiting.age_at(at)),
            ..waiting.message
        };
        let handed_over = |robot: Arrived| RobotInbox {
            permits: robot.permits.into_iter().map(permit).collect(),
            velocities: robot.velocities.into_iter().map(command).collect(),
            gripper: robot.gripper,
        };
        Commands { now, robots: arrived.into_iter().map(handed_over).collect() }
    }

    /// Messages that were pushed out by newer ones before a cycle took them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nothing(robots: usize) -> Vec<Arrived> {
    std::iter::repeat_with(Arrived::default).take(robots).collect()
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
    use r2r::std_msgs::msg::Header;
    use swarm_mujoco::driver::{Drive, Driver, DriverLimits, StopCause};
    use swarm_ros::stamp::from_nanos;

    use super::*;

    const WALL_NS: u64 = 1_795_000_000_000_000_000;
    /// Simulated time of the cycle that takes what waits.
    const NOW: Time = Time::from_millis(60_000);

    fn inbox() -> Inbox {
        Inbox::new(vec!["left".to_owned(), "right".to_owned()], 1.0)
    }

    /// A permit that was sent at the wall clock's `WALL_NS`.
    fn permit(robots: &[&str], speed_scale: &[f64]) -> PermitMsg {
        PermitMsg {
            header: Header { stamp: from_nanos(WALL_NS), ..Header::default() },
            epoch: 3,
            sequence: 7,
            robots: robots.iter().map(|&name| name.to_owned()).collect(),
            speed_scale: speed_scale.to_vec(),
        }
    }

    fn velocity(value: f64) -> Float64MultiArray {
        Float64MultiArray { data: vec![value], ..Float64MultiArray::default() }
    }

    /// Arrival at zero, so long after `WALL_NS`.
    fn after(under_way: Duration) -> Arrival {
        Arrival { at: Time::ZERO, wall_ns: WALL_NS + under_way.0 }
    }

    const AT_ONCE: Duration = Duration::ZERO;

    fn scales(commands: &Commands) -> Vec<f64> {
        commands.robots.iter().map(|robot| robot.permits[0].speed_scale).collect()
    }

    /// What the driver of the arm on the left does with what is handed over.
    fn drive(commands: &Commands) -> Drive {
        let mut driver = Driver::new(DriverLimits {
            permit_timeout: Duration::from_millis(20),
            command_timeout: Duration::from_millis(100),
            velocity_rad_s: vec![1.0],
            acceleration_rad_s2: 20.0,
            deceleration_rad_s2: 10.0,
        });
        let left = &commands.robots[0];
        driver.cycle(commands.now, &left.permits, &left.velocities);
        driver.drive()
    }

    #[test]
    fn each_robot_gets_its_own_scale() {
        let inbox = inbox();
        inbox.permit(&permit(&["right", "left"], &[0.25, 1.0]), after(AT_ONCE));
        let commands = inbox.take(NOW, Time::ZERO);
        assert_eq!(scales(&commands), [1.0, 0.25]);
        assert_eq!(commands.robots[0].permits[0].received, NOW);
    }

    #[test]
    fn a_robot_that_is_not_named_may_not_move() {
        let inbox = inbox();
        inbox.permit(&permit(&["left"], &[1.0]), after(AT_ONCE));
        assert_eq!(scales(&inbox.take(NOW, Time::ZERO)), [1.0, 0.0]);
    }

    #[test]
    fn a_permit_with_too_few_scales_is_passed_on_as_senseless() {
        let inbox = inbox();
        inbox.permit(&permit(&["left", "right"], &[1.0]), after(AT_ONCE));
        assert!(scales(&inbox.take(NOW, Time::ZERO))[1].is_nan());
    }

    #[test]
    fn nothing_is_handed_over_twice_and_a_flood_is_bounded_and_counted() {
        let inbox = inbox();
        for n in 0..CAPACITY + 5 {
            inbox.velocities(1, velocity(n as f64), Time::ZERO);
        }
        let commands = inbox.take(NOW, Time::ZERO);
        assert_eq!(commands.robots[1].velocities.len(), CAPACITY);
        assert_eq!(commands.robots[1].velocities[0].velocity_rad_s, [5.0]);
        assert_eq!(inbox.dropped(), 5);
        assert_eq!(inbox.take(NOW, Time::ZERO), Commands::none(NOW, 2));
    }

    /// A permit that was so long under way, and a command; both wait for their cycle.
    fn taken_after(realtime_factor: f64, under_way: Duration, waited: Duration) -> Commands {
        let inbox = Inbox::new(vec!["left".to_owned()], realtime_factor);
        inbox.permit(&permit(&["left"], &[1.0]), after(under_way));
        inbox.velocities(0, velocity(0.5), Time::ZERO);
        inbox.take(NOW, Time::ZERO + waited)
    }

    #[test]
    fn what_waited_while_the_physics_was_held_up_moves_nothing_afterwards() {
        let commands = taken_after(1.0, AT_ONCE, Duration::from_millis(5_000));
        let left = &commands.robots[0];
        let back = Time::from_millis(55_000);
        assert_eq!((left.permits[0].received, left.velocities[0].received), (back, back));
        assert_eq!(drive(&commands), Drive::Stopping(StopCause::PermitOld));
    }

    #[test]
    fn a_permit_is_as_old_as_its_stamp_and_its_wait_say() {
        let millis = Duration::from_millis;
        assert_eq!(drive(&taken_after(1.0, millis(12), millis(8))), Drive::Following);
        assert_eq!(drive(&taken_after(1.0, millis(12), millis(9))), Drive::Stopping(StopCause::PermitOld));
        // One without a stamp is older than simulated time.
        let inbox = Inbox::new(vec!["left".to_owned()], 1.0);
        inbox.permit(&PermitMsg { header: Header::default(), ..permit(&["left"], &[1.0]) }, after(AT_ONCE));
        let commands = inbox.take(NOW, Time::ZERO);
        assert_eq!(commands.robots[0].permits[0].received, Time::ZERO);
    }

    #[test]
    fn age_is_counted_in_simulated_time() {
        let millis = Duration::from_millis;
        assert_eq!(drive(&taken_after(0.1, millis(100), millis(100))), Drive::Following);
        assert_eq!(drive(&taken_after(0.1, millis(100), millis(101))), Drive::Stopping(StopCause::PermitOld));
    }
}
