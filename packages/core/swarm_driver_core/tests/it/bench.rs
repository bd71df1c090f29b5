//! A shell of a two-joint arm, and the messages of a monitor that means well.

use swarm_base::{Duration, Time};
use swarm_driver_core::{
    Doing, Driver, Kind, LeaveRules, MeansOffered, Measured, MonitorState, Options, PermitHeard, Said,
    StatusHeard, StopCause,
};

pub(crate) const ROBOT: &str = "left";
pub(crate) const PERIOD: Duration = Duration::from_millis(4);
/// Wall clock at the beginning, ns.
const WALL: u64 = 1_795_000_000_000_000_000;

pub(crate) struct Bench {
    pub(crate) driver: Driver,
    pub(crate) now: Time,
    pub(crate) epoch: u64,
    pub(crate) reset_epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) position: [f64; 2],
}

pub(crate) fn options(kind: Kind, means: MeansOffered) -> Options {
    Options {
        robot: ROBOT.to_owned(),
        kind,
        period: PERIOD,
        velocity_limits_rad_s: vec![3.0, 2.0],
        command_timeout: Duration::from_millis(100),
        leave: LeaveRules {
            permit_timeout: Duration::from_millis(20),
            status_timeout: Duration::from_millis(500),
            stamp_tolerance: Duration::from_millis(5),
        },
        means,
    }
}

impl Bench {
    pub(crate) fn new(kind: Kind, means: MeansOffered) -> Self {
        let mut driver = Driver::new(options(kind, means));
        driver.set_active(true);
        let now = Time::from_millis(5_000);
        Self { driver, now, epoch: 7, reset_epoch: 7, sequence: 0, position: [0.3, -0.4] }
    }

    pub(crate) fn velocity() -> Self {
        Self::new(Kind::ForwardVelocity { deceleration_rad_s2: None }, MeansOffered::default())
    }

    pub(crate) fn trajectory() -> Self {
        Self::new(Kind::JointTrajectory { deceleration_rad_s2: 5.0 }, MeansOffered::default())
    }

    pub(crate) fn wall_ns(&self) -> u64 {
        WALL + self.now.0
    }

    pub(crate) fn permit_of(
        &mut self,
        epoch: u64,
        sequence: u64,
        robots: &[&str],
        scales: &[f64],
        sent_ns: u64,
    ) {
        let robots: Vec<String> = robots.iter().map(|&robot| robot.to_owned()).collect();
        let received_ns = self.wall_ns();
        self.driver.hear_permit(&PermitHeard {
            arrival: self.now,
            sent_ns,
            received_ns,
            epoch,
            sequence,
            robots: &robots,
            speed_scale: scales,
        });
    }

    /// The next permit of a monitor that permits.
    pub(crate) fn permit(&mut self, scale: f64) {
        self.sequence += 1;
        self.permit_of(self.epoch, self.sequence, &["right", ROBOT], &[1.0, scale], self.wall_ns());
    }

    pub(crate) fn status(&mut self, state: MonitorState) {
        let (epoch, reset_epoch) = (self.epoch, self.reset_epoch);
        self.driver.hear_status(StatusHeard { arrival: self.now, state, epoch, reset_epoch });
    }

    pub(crate) fn command(&mut self, velocity: &[f64]) {
        self.driver.hear_command(velocity, self.now);
    }

    pub(crate) fn measure(&mut self, velocity: [f64; 2]) {
        let (position_rad, velocity_rad_s) = (self.position.to_vec(), velocity.to_vec());
        self.driver.hear_measured(Measured { arrival: self.now, position_rad, velocity_rad_s });
    }

    /// One cycle, and time passes until the next one is due.
    pub(crate) fn cycle(&mut self) -> Said {
        self.cycle_every(PERIOD)
    }

    /// Likewise of a shell with another period.
    pub(crate) fn cycle_every(&mut self, period: Duration) -> Said {
        let said = self.driver.cycle(self.now);
        self.now = self.driver.next_due(self.now + period);
        said
    }

    /// A cycle in which everything is as it should be.
    pub(crate) fn good(&mut self, velocity: [f64; 2]) -> Said {
        self.permit(1.0);
        self.status(MonitorState::Run);
        self.measure(velocity);
        self.command(&velocity);
        self.cycle()
    }

    /// Stopped, and then reset by a person: the cell is READY in a new epoch.
    pub(crate) fn reset(&mut self) {
        self.status(MonitorState::Deny);
        self.cycle();
        self.epoch += 1;
        self.reset_epoch = self.epoch;
        self.status(MonitorState::Ready);
    }

    /// In READY, and then limits are loaded: a new epoch, and nobody has reset anything.
    pub(crate) fn load_limits(&mut self) {
        self.status(MonitorState::Ready);
        self.cycle();
        self.epoch += 1;
        self.status(MonitorState::Ready);
    }

    /// Follows `velocity` when this returns.
    pub(crate) fn running(mut self, velocity: [f64; 2]) -> Self {
        self.reset();
        for _ in 0..200 {
            let said = self.good(velocity);
            for request in said.requests {
                self.driver.hear_answer(request.number, Ok(()));
            }
            if said.doing == Doing::Following {
                return self;
            }
        }
        panic!("the shell does not follow: {:?}", self.driver.doing());
    }
}

#[track_caller]
pub(crate) fn assert_stands(said: &Said, cause: StopCause) {
    assert_eq!(said.doing, Doing::Standing(cause));
    assert!(said.output.stands(), "{:?}", said.output);
}
