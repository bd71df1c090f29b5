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

/// All drivers of the cell.
#[derive(Clone, Debug)]
pub struct Watch {
    pub drivers: Vec<DriverWatch>,
    since_report: u64,
}

impl Watch {
    pub fn new(robots: usize) -> Self {
        Self { drivers: vec![DriverWatch::default(); robots], since_report: REPORT_CYCLES }
    }

    /// Looks at one cycle; true if a report is due.
    pub fn cycle(&mut self, commands: &Commands, robots: &[RobotState]) -> bool {
        self.since_report += 1;
        let mut due = self.since_report >= REPORT_CYCLES;
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
    use swarm_mujoco::driver::DriverCounters;

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

    #[test]
    fn a_quiet_cell_reports_at_ten_hertz() {
        let mut watch = Watch::new(1);
        let standing = [state(Drive::Stopping(StopCause::NoPermit), 0.0)];
        let commands = Commands::none(swarm_base::Time::ZERO, 1);
        let reports = (0..500).filter(|_| watch.cycle(&commands, &standing)).count();
        assert_eq!(reports, 10);
    }
}
