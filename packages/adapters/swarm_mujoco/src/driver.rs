//! What runs in a robot's controller: follows joint velocities while it is permitted to, and else brakes to a stand.
//!
//! Each cycle
//! 1. takes the permits that arrived. One whose epoch or sequence went back is refused and stops the arm until a newer one comes;
//!    a repeated one doesn't count as fresh.
//! 2. takes the commands that arrived. One with a wrong length or a value that is no finite number is refused and stops the arm
//!    until a good one comes.
//! 3. decides: follow, or stop and why ([`StopCause`]).
//! 4. ramps the reference velocity towards the decision, with the deceleration of a stop or the acceleration of normal motion.
//!
//! Time is an argument; the arm itself is elsewhere.

use swarm_base::{Duration, Time};

/// Leave to move, as it arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Permit {
    pub received: Time,
    pub epoch: u64,
    pub sequence: u64,
    /// 0..1 of each joint's highest speed; 0 = stand still. The gate has scaled the command already: this is only a bound.
    pub speed_scale: f64,
}

/// Joint velocities, rad/s, in the order of the arm's joints, as they arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct VelocityCommand {
    pub received: Time,
    pub velocity_rad_s: Vec<f64>,
}

/// Why the reference is braked or stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// No permit since start, or since the last one was forgotten.
    NoPermit,
    /// The last permit is older than its time-out.
    PermitOld,
    /// The permit says: stand still.
    PermitZero,
    /// Epoch or sequence of a permit went back.
    PermitBackwards,
    /// No command since start.
    NoCommand,
    /// The last command is older than its time-out.
    CommandOld,
    /// The last command was not understood.
    CommandRefused,
}

/// What the driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    Following,
    Stopping(StopCause),
}

/// Limits of one arm's driver.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverLimits {
    pub permit_timeout: Duration,
    pub command_timeout: Duration,
    /// Highest speed per joint, from the URDF.
    pub velocity_rad_s: Vec<f64>,
    /// While following.
    pub acceleration_rad_s2: f64,
    /// While stopping.
    pub deceleration_rad_s2: f64,
}

/// A driver stands this long without any permit before it accepts one that starts anew (a monitor that was restarted).
pub const FORGET_PERMIT_AFTER: Duration = Duration::from_millis(500);

/// One arm's driver.
#[derive(Clone, Debug)]
pub struct Driver {
    limits: DriverLimits,
    permit: Option<Permit>,
    permit_went_back: bool,
    command: Option<VelocityCommand>,
    command_refused: bool,
    reference_rad_s: Vec<f64>,
    drive: Drive,
    counters: DriverCounters,
}

/// Counted since the driver's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverCounters {
    pub permits_refused: u64,
    pub commands_refused: u64,
    /// Stops that began, whatever their cause.
    pub stops: u64,
    /// Cycles since the current stop began; 0 while following.
    pub cycles_since_stop: u64,
    /// Cycles from the beginning of the latest stop to a reference of zero on all joints; absent while it is still braking.
    pub cycles_to_stand: Option<u64>,
}

impl Driver {
    pub fn new(limits: DriverLimits) -> Self {
        let joints = limits.velocity_rad_s.len();
        Self {
            limits,
            permit: None,
            permit_went_back: false,
            command: None,
            command_refused: false,
            reference_rad_s: vec![0.0; joints],
            drive: Drive::Stopping(StopCause::NoPermit),
            counters: DriverCounters::default(),
        }
    }

    /// Takes what arrived since the last cycle, in order of arrival, and decides.
    pub fn cycle(&mut self, now: Time, permits: &[Permit], commands: &[VelocityCommand]) {
        for &permit in permits {
            self.take_permit(permit);
        }
        for command in commands {
            self.take_command(command);
        }
        let before = self.drive;
        self.drive = self.decide(now);
        match (before, self.drive) {
            (Drive::Following, Drive::Stopping(_)) => {
                self.counters.stops += 1;
                self.counters.cycles_since_stop = 1;
                self.counters.cycles_to_stand = None;
            }
            (_, Drive::Stopping(_)) => self.counters.cycles_since_stop += 1,
            (_, Drive::Following) => self.counters.cycles_since_stop = 0,
        }
        if self.stands() && self.drive != Drive::Following {
            self.counters.cycles_to_stand.get_or_insert(self.counters.cycles_since_stop);
            let silent = self.permit.is_some_and(|p| now.since(p.received) > FORGET_PERMIT_AFTER);
            if silent {
                self.permit = None;
                self.permit_went_back = false;
            }
        }
    }

    /// Moves the reference on by `dt_s` and returns it, rad/s.
    pub fn advance(&mut self, dt_s: f64) -> &[f64] {
        let (scale, acceleration) = match (self.drive, self.permit) {
            (Drive::Following, Some(permit)) => (permit.speed_scale, self.limits.acceleration_rad_s2),
            _ => (0.0, self.limits.deceleration_rad_s2),
        };
        let change = acceleration * dt_s;
        for (joint, reference) in self.reference_rad_s.iter_mut().enumerate() {
            let bound = scale * self.limits.velocity_rad_s[joint];
            let wish = match (&self.command, self.drive) {
                (Some(command), Drive::Following) => command.velocity_rad_s[joint].clamp(-bound, bound),
                _ => 0.0,
            };
            *reference += (wish - *reference).clamp(-change, change);
        }
        &self.reference_rad_s
    }

    pub fn drive(&self) -> Drive {
        self.drive
    }

    pub fn counters(&self) -> DriverCounters {
        self.counters
    }

    /// Reference velocity, rad/s.
    pub fn reference_rad_s(&self) -> &[f64] {
        &self.reference_rad_s
    }

    /// Whether the reference is zero on all joints.
    pub fn stands(&self) -> bool {
        self.reference_rad_s.iter().all(|&v| v == 0.0)
    }

    fn take_permit(&mut self, permit: Permit) {
        let age = |p: Permit| (p.epoch, p.sequence);
        let order = self.permit.map(|last| age(permit).cmp(&age(last)));
        match order {
            _ if !(0.0..=1.0).contains(&permit.speed_scale) => self.counters.permits_refused += 1,
            Some(std::cmp::Ordering::Less) => {
                self.counters.permits_refused += 1;
                self.permit_went_back = true;
            }
            Some(std::cmp::Ordering::Equal) => self.counters.permits_refused += 1,
            Some(std::cmp::Ordering::Greater) | None => {
                self.permit = Some(permit);
                self.permit_went_back = false;
            }
        }
    }

    fn take_command(&mut self, command: &VelocityCommand) {
        let understood = command.velocity_rad_s.len() == self.limits.velocity_rad_s.len()
            && command.velocity_rad_s.iter().all(|v| v.is_finite());
        self.command_refused = !understood;
        if understood {
            self.command = Some(command.clone());
        } else {
            self.counters.commands_refused += 1;
        }
    }

    /// Whether the permit lets anything of this robot move now, the gripper included.
    pub fn permit_at(&self, now: Time) -> Result<(), StopCause> {
        let permit = self.permit.ok_or(StopCause::NoPermit)?;
        if self.permit_went_back {
            Err(StopCause::PermitBackwards)
        } else if now.since(permit.received) > self.limits.permit_timeout {
            Err(StopCause::PermitOld)
        } else if permit.speed_scale == 0.0 {
            Err(StopCause::PermitZero)
        } else {
            Ok(())
        }
    }

    /// Longest time that a command waits, and counts.
    pub fn command_timeout(&self) -> Duration {
        self.limits.command_timeout
    }

    fn decide(&self, now: Time) -> Drive {
        if let Err(cause) = self.permit_at(now) {
            return Drive::Stopping(cause);
        }
        if self.command_refused {
            return Drive::Stopping(StopCause::CommandRefused);
        }
        match &self.command {
            None => Drive::Stopping(StopCause::NoCommand),
            Some(c) if now.since(c.received) > self.limits.command_timeout => {
                Drive::Stopping(StopCause::CommandOld)
            }
            Some(_) => Drive::Following,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DT_S: f64 = 0.002;

    struct Bench {
        driver: Driver,
        now: Time,
        sequence: u64,
    }

    impl Bench {
        fn new() -> Self {
            let limits = DriverLimits {
                permit_timeout: Duration::from_millis(20),
                command_timeout: Duration::from_millis(100),
                velocity_rad_s: vec![3.0, 2.0],
                acceleration_rad_s2: 20.0,
                deceleration_rad_s2: 10.0,
            };
            Self { driver: Driver::new(limits), now: Time::from_millis(1000), sequence: 0 }
        }

        fn permit(&mut self) -> Permit {
            self.sequence += 1;
            Permit { received: self.now, epoch: 1, sequence: self.sequence, speed_scale: 1.0 }
        }

        fn cycle(&mut self, permits: &[Permit], commands: &[[f64; 2]]) -> Drive {
            let commands: Vec<_> = commands
                .iter()
                .map(|v| VelocityCommand { received: self.now, velocity_rad_s: v.to_vec() })
                .collect();
            self.driver.cycle(self.now, permits, &commands);
            self.driver.advance(DT_S);
            self.now = self.now + Duration::from_millis(2);
            self.driver.drive()
        }

        /// Permitted and commanded for `cycles`.
        fn run(&mut self, cycles: u32, velocity: [f64; 2]) -> Drive {
            for _ in 0..cycles {
                let permit = self.permit();
                self.cycle(&[permit], &[velocity]);
            }
            self.driver.drive()
        }
    }

    #[test]
    fn it_stands_without_permit_or_command() {
        let mut bench = Bench::new();
        assert_eq!(bench.cycle(&[], &[[1.0, 1.0]]), Drive::Stopping(StopCause::NoPermit));
        let mut bench = Bench::new();
        let permit = bench.permit();
        assert_eq!(bench.cycle(&[permit], &[]), Drive::Stopping(StopCause::NoCommand));
        assert!(bench.driver.stands());
    }

    #[test]
    fn it_follows_a_command_up_to_the_joints_highest_speed() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(100, [1.0, 9.0]), Drive::Following);
        assert_eq!(bench.driver.reference_rad_s(), [1.0, 2.0]);
    }

    /// Permits at 0, silence after: 20 ms are allowed, the reference then falls by 10 rad/s² to zero and stays there.
    #[test]
    fn an_old_permit_brakes_to_a_stand() {
        let mut bench = Bench::new();
        bench.run(100, [1.0, -0.5]);
        let mut drives = Vec::new();
        for _ in 0..70 {
            drives.push(bench.cycle(&[], &[[1.0, -0.5]]));
        }
        // The last permit was received 2 ms before the first of these cycles: ages 2, 4, .. 20 ms pass.
        let followed = drives.iter().filter(|drive| **drive == Drive::Following).count();
        assert_eq!(followed, 10);
        assert_eq!(drives[69], Drive::Stopping(StopCause::PermitOld));
        assert!(bench.driver.stands());
        // 1 rad/s at 10 rad/s² are 0.1 s = 50 cycles of 2 ms, seen standing in the next.
        assert_eq!(bench.driver.counters().cycles_to_stand, Some(51));
    }

    #[test]
    fn a_permit_that_goes_back_stops_until_a_newer_one() {
        let mut bench = Bench::new();
        bench.run(10, [1.0, 0.0]);
        let newest = bench.permit();
        let old = Permit { sequence: newest.sequence - 2, ..newest };
        assert_eq!(bench.cycle(&[newest, old], &[]), Drive::Stopping(StopCause::PermitBackwards));
        let old_epoch = Permit { epoch: 0, sequence: 99, ..newest };
        assert_eq!(bench.cycle(&[old_epoch], &[]), Drive::Stopping(StopCause::PermitBackwards));
        assert_eq!(bench.run(1, [1.0, 0.0]), Drive::Following);
    }

    #[test]
    fn a_repeated_permit_is_not_fresh() {
        let mut bench = Bench::new();
        bench.run(10, [1.0, 0.0]);
        let permit = bench.permit();
        let mut last = Drive::Following;
        for _ in 0..12 {
            let again = Permit { received: bench.now, ..permit };
            last = bench.cycle(&[again], &[[1.0, 0.0]]);
        }
        assert_eq!(last, Drive::Stopping(StopCause::PermitOld));
    }

    #[test]
    fn after_standing_in_silence_a_restarted_monitor_is_heard() {
        let mut bench = Bench::new();
        bench.run(100, [1.0, 0.0]);
        for _ in 0..300 {
            bench.cycle(&[], &[]);
        }
        assert_eq!(bench.driver.drive(), Drive::Stopping(StopCause::NoPermit));
        bench.sequence = 0;
        assert_eq!(bench.run(1, [1.0, 0.0]), Drive::Following);
    }

    #[test]
    fn a_command_that_is_no_number_is_refused_and_stops() {
        let mut bench = Bench::new();
        bench.run(100, [1.0, 1.0]);
        for bad in [f64::NAN, f64::INFINITY] {
            let permit = bench.permit();
            assert_eq!(bench.cycle(&[permit], &[[bad, 0.0]]), Drive::Stopping(StopCause::CommandRefused));
            assert!(bench.driver.reference_rad_s().iter().all(|v| v.is_finite() && *v < 1.0));
            assert_eq!(bench.run(50, [1.0, 1.0]), Drive::Following);
        }
        assert_eq!(bench.driver.counters().commands_refused, 2);
    }

    #[test]
    fn a_command_of_wrong_length_is_refused() {
        let mut bench = Bench::new();
        let (now, permit) = (bench.now, bench.permit());
        let short = VelocityCommand { received: now, velocity_rad_s: vec![1.0] };
        bench.driver.cycle(now, &[permit], &[short]);
        assert_eq!(bench.driver.drive(), Drive::Stopping(StopCause::CommandRefused));
    }

    #[test]
    fn a_silent_commander_means_stop() {
        let mut bench = Bench::new();
        bench.run(100, [1.0, 1.0]);
        let mut last = Drive::Following;
        for _ in 0..60 {
            let permit = bench.permit();
            last = bench.cycle(&[permit], &[]);
        }
        assert_eq!(last, Drive::Stopping(StopCause::CommandOld));
    }

    #[test]
    fn a_permit_of_zero_or_nonsense_does_not_let_it_move() {
        let mut bench = Bench::new();
        let zero = Permit { speed_scale: 0.0, ..bench.permit() };
        assert_eq!(bench.cycle(&[zero], &[[1.0, 1.0]]), Drive::Stopping(StopCause::PermitZero));
        for bad in [f64::NAN, -0.1, 1.1] {
            let mut bench = Bench::new();
            let permit = Permit { speed_scale: bad, ..bench.permit() };
            assert_eq!(bench.cycle(&[permit], &[[1.0, 1.0]]), Drive::Stopping(StopCause::NoPermit));
        }
    }
}
