//! Watches the drivers from cycle to cycle: how old the permit was when a stop began, and when something is worth reporting.

use swarm_mujoco::driver::{Drive, StopCause};
use swarm_mujoco::{Commands, RobotState};

/// Cycles between reports when nothing changes: 10 Hz of simulated time.
pub const REPORT_CYCLES: u64 = 50;

/// What is known of one driver beyond its own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverWatch {
    /// Cycles since the last permit arrived.
    pub permit_age: u64,
    /// `permit_age` when the latest stop began.
    pub stop_permit_age: u64,
    drive: Drive,
    standing: bool,
    cycles_to_stand: Option<u64>,
}

impl Default for DriverWatch {
    fn default() -> Self {
        Self {
            permit_age: 0,
            stop_permit_age: 0,
            drive: Drive::Stopping(StopCause::NoPermit),
            standing: true,
            cycles_to_stand: None,
        }
    }
}

impl DriverWatch {
    /// Looks at one cycle; true if the driver did something new.
    pub fn cycle(&mut self, permits: usize, state: &RobotState) -> bool {
        self.permit_age = if permits > 0 { 0 } else { self.permit_age + 1 };
        let standing = state.reference_rad_s.iter().all(|&velocity| velocity == 0.0);
        let stop_began = self.drive == Drive::Following && state.drive != Drive::Following;
        if stop_began {
            self.stop_permit_age = self.permit_age;
        }
        let came_to_stand = self.cycles_to_stand.is_none() && state.counters.cycles_to_stand.is_some();
        let news = state.drive != self.drive || came_to_stand;
        (self.drive, self.standing) = (state.drive, standing);
        self.cycles_to_stand = state.counters.cycles_to_stand;
        news
    }

    pub fn standing(&self) -> bool {
        self.standing
    }
}

/// Counts the cycles from hearing `/emergency_stop` until every commanded joint velocity is zero.
#[derive(Clone, Debug)]
pub struct StopMeter {
    /// Per robot: the newest command asks for motion.
    moving: Vec<bool>,
    counting: Option<u64>,
    latest: Option<u64>,
}

impl StopMeter {
    fn new(robots: usize) -> Self {
        Self { moving: vec![false; robots], counting: None, latest: None }
    }

    /// Looks at one cycle; true if a count has ended.
    fn cycle(&mut self, stop_heard: bool, commands: &Commands) -> bool {
        for (moving, inbox) in self.moving.iter_mut().zip(&commands.robots) {
            if let Some(command) = inbox.velocities.last() {
                *moving = command.velocity_rad_s.iter().any(|&velocity| velocity != 0.0);
            }
        }
        let count = match self.counting {
            Some(count) => count + 1,
            None if stop_heard => 0,
            None => return false,
        };
        let ended = !self.moving.contains(&true);
        (self.counting, self.latest) = if ended { (None, Some(count)) } else { (Some(count), None) };
        ended
    }

    /// Cycles of the latest stop; none before the first one and while one is being counted.
    pub fn latest(&self) -> Option<u64> {
        self.latest
    }
}

/// All drivers of the cell.
#[derive(Clone, Debug)]
pub struct Watch {
    pub drivers: Vec<DriverWatch>,
    pub stop: StopMeter,
    since_report: u64,
}

impl Watch {
    pub fn new(robots: usize) -> Self {
        Self {
            drivers: vec![DriverWatch::default(); robots],
            stop: StopMeter::new(robots),
            since_report: REPORT_CYCLES,
        }
    }

    /// Looks at one cycle, in which `/emergency_stop` was heard or not; true if a report is due.
    pub fn cycle(&mut self, stop_heard: bool, commands: &Commands, robots: &[RobotState]) -> bool {
        self.since_report += 1;
        let mut due = self.since_report >= REPORT_CYCLES;
        due |= self.stop.cycle(stop_heard, commands);
        for ((watch, inbox), state) in self.drivers.iter_mut().zip(&commands.robots).zip(robots) {
            due |= watch.cycle(inbox.permits.len(), state);
        }
        if due {
            self.since_report = 0;
        }
        due
    }

    /// Whether every arm stands.
    pub fn standing(&self) -> bool {
        self.drivers.iter().all(DriverWatch::standing)
    }
}

#[cfg(test)]
mod tests {
    use swarm_mujoco::GripperState;
    use swarm_mujoco::driver::{DriverCounters, VelocityCommand};

    use super::*;

    fn state(drive: Drive, reference: f64) -> RobotState {
        RobotState {
            position_rad: vec![0.0],
            velocity_rad_s: vec![0.0],
            effort_nm: vec![0.0],
            wrench: [0.0; 6],
            gripper: GripperState {
                width_m: 0.0,
                force_n: 0.0,
                holding: false,
                commanded_width_m: 0.0,
                commanded_force_n: 0.0,
                refused: 0,
            },
            fingers: [(0.0, 0.0); 2],
            drive,
            reference_rad_s: vec![reference],
            counters: DriverCounters::default(),
        }
    }

    #[test]
    fn the_age_of_the_permit_at_the_beginning_of_a_stop_is_kept() {
        let mut watch = DriverWatch::default();
        watch.cycle(1, &state(Drive::Following, 0.5));
        for _ in 0..10 {
            assert!(!watch.cycle(0, &state(Drive::Following, 0.5)));
        }
        assert!(watch.cycle(0, &state(Drive::Stopping(StopCause::PermitOld), 0.4)));
        for _ in 0..3 {
            watch.cycle(0, &state(Drive::Stopping(StopCause::PermitOld), 0.1));
        }
        assert_eq!((watch.stop_permit_age, watch.permit_age), (11, 14));
    }

    #[test]
    fn coming_to_a_stand_is_news() {
        let mut watch = DriverWatch::default();
        watch.cycle(1, &state(Drive::Following, 0.5));
        watch.cycle(1, &state(Drive::Stopping(StopCause::PermitZero), 0.4));
        assert!(!watch.standing());
        // The driver's own count follows one cycle after the reference is zero.
        let mut stands = state(Drive::Stopping(StopCause::PermitZero), 0.0);
        assert!(!watch.cycle(1, &stands));
        stands.counters.cycles_to_stand = Some(3);
        assert!(watch.cycle(1, &stands));
        assert!(watch.standing());
    }

    fn commanding(velocity: f64) -> Commands {
        let mut commands = Commands::none(swarm_base::Time::ZERO, 2);
        commands.robots[1]
            .velocities
            .push(VelocityCommand { received: swarm_base::Time::ZERO, velocity_rad_s: vec![0.0, velocity] });
        commands
    }

    #[test]
    fn a_stop_is_counted_until_the_last_commanded_velocity_is_zero() {
        let mut meter = StopMeter::new(2);
        let quiet = Commands::none(swarm_base::Time::ZERO, 2);
        assert!(!meter.cycle(false, &commanding(0.4)));
        assert!(!meter.cycle(true, &quiet));
        assert!(!meter.cycle(true, &commanding(0.2)));
        assert_eq!(meter.latest(), None);
        assert!(!meter.cycle(false, &quiet));
        assert!(meter.cycle(false, &commanding(0.0)));
        assert_eq!(meter.latest(), Some(3));
        assert!(!meter.cycle(false, &quiet));
    }

    #[test]
    fn a_stop_of_a_cell_that_stands_takes_no_cycle() {
        let mut meter = StopMeter::new(2);
        assert!(meter.cycle(true, &commanding(0.0)));
        assert_eq!(meter.latest(), Some(0));
    }

    #[test]
    fn a_quiet_cell_reports_at_ten_hertz() {
        let mut watch = Watch::new(1);
        let standing = [state(Drive::Stopping(StopCause::NoPermit), 0.0)];
        let commands = Commands::none(swarm_base::Time::ZERO, 1);
        let reports = (0..500).filter(|_| watch.cycle(false, &commands, &standing)).count();
        assert_eq!(reports, 10);
    }
}
