//! What the controller is told, for each kind of controller.
//!
//! - [`Kind::ForwardVelocity`]: velocities, every period. Such a controller keeps the last velocity for ever, so a stop is a
//!   stream of zeros that does not end while the shell lives. With a deceleration the stop is a ramp, along the direction
//!   that the arm moves in.
//! - [`Kind::JointTrajectory`]: positions that are integrated from the velocities, as a trajectory of two points: where the
//!   joints will be two periods from now, and where they stand after braking from there. Each message replaces the one
//!   before. If none follows, for whatever reason, the controller carries the last one out and the arm stands. A stop is a
//!   trajectory from the measured state to a stand, repeated because a lost message must not be the last.

use swarm_base::{Duration, Time};

use crate::effect::MEASURED_FRESH;

/// How far the arm may lag behind the reference, rad, before it is believed not to follow.
pub const MOST_LAG_RAD: f64 = 0.2;

/// Time between two messages of a stand.
const HOLD_PERIOD: Duration = Duration::from_millis(100);

/// The controller at the other end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `std_msgs/Float64MultiArray` of velocities. Without a deceleration a stop is zeros at once, and the arm's own limits brake:
    /// as hard as the cell's ceiling lets joints accelerate, or harder (AoU-16).
    ForwardVelocity { deceleration_rad_s2: Option<f64> },
    /// `trajectory_msgs/JointTrajectory`.
    JointTrajectory { deceleration_rad_s2: f64 },
}

/// State of the joints, as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub arrival: Time,
    pub position_rad: Vec<f64>,
    pub velocity_rad_s: Vec<f64>,
}

/// One point of a trajectory.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub position_rad: Vec<f64>,
    pub velocity_rad_s: Vec<f64>,
    /// Time after the message at which the joints are there.
    pub from_start: Duration,
}

/// What goes to the controller in one cycle.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// rad/s.
    Velocity(Vec<f64>),
    Trajectory(Vec<Point>),
    /// A stand that was told already, or nothing is known about where the arm is.
    Nothing,
}

impl Output {
    /// Whether an arm that carries this out, and hears nothing more, stands from now on.
    pub fn stands(&self) -> bool {
        match self {
            Self::Velocity(velocity) => velocity.iter().all(|v| *v == 0.0),
            Self::Trajectory(points) => points.len() < 2,
            Self::Nothing => true,
        }
    }
}

#[derive(Clone, Debug)]
struct Hold {
    position_rad: Vec<f64>,
    reached: Time,
    told: Option<Time>,
}

/// What was told so far.
#[derive(Clone, Debug)]
pub struct Motion {
    kind: Kind,
    period: Duration,
    joints: usize,
    velocity_rad_s: Vec<f64>,
    /// Where the last trajectory has the joints now; trajectories only.
    reference_rad: Option<Vec<f64>>,
    hold: Option<Hold>,
}

impl Motion {
    pub fn new(kind: Kind, joints: usize, period: Duration) -> Self {
        Self { kind, period, joints, velocity_rad_s: vec![0.0; joints], reference_rad: None, hold: None }
    }

    /// Whether following needs to know where the arm is.
    pub fn needs_measured(&self) -> bool {
        matches!(self.kind, Kind::JointTrajectory { .. })
    }

    /// Whether the arm lags behind the reference by more than [`MOST_LAG_RAD`].
    pub fn lags(&self, measured: &Measured) -> bool {
        let far = |(told, is): (&f64, &f64)| (told - is).abs() > MOST_LAG_RAD;
        self.reference_rad.as_ref().is_some_and(|told| told.iter().zip(&measured.position_rad).any(far))
    }

    /// Follows `velocity` (rad/s) for the `elapsed` time since the cycle before.
    pub fn follow(&mut self, velocity: &[f64], measured: Option<&Measured>, elapsed: Duration) -> Output {
        self.hold = None;
        let elapsed_s = elapsed.min(self.lead()).as_secs_f64();
        let Kind::JointTrajectory { deceleration_rad_s2 } = self.kind else {
            self.velocity_rad_s = velocity.to_vec();
            return Output::Velocity(velocity.to_vec());
        };
        let Some(start) = self.reference_rad.take().or_else(|| measured.map(|m| m.position_rad.clone()))
        else {
            return Output::Nothing;
        };
        let moved = moved(&start, &self.velocity_rad_s, elapsed_s);
        self.velocity_rad_s = velocity.to_vec();
        let lead = self.lead();
        let ahead = self::moved(&moved, velocity, lead.as_secs_f64());
        let braking_s = fastest(velocity) / deceleration_rad_s2;
        self.reference_rad = Some(moved);
        let stand = Point {
            position_rad: self::moved(&ahead, velocity, braking_s / 2.0),
            velocity_rad_s: vec![0.0; self.joints],
            from_start: Duration::from_secs_f64(lead.as_secs_f64() + braking_s),
        };
        if braking_s == 0.0 {
            return Output::Trajectory(vec![stand]);
        }
        let ahead = Point { position_rad: ahead, velocity_rad_s: velocity.to_vec(), from_start: lead };
        Output::Trajectory(vec![ahead, stand])
    }

    /// Brakes to a stand, and stands.
    pub fn stand(&mut self, measured: Option<&Measured>, elapsed: Duration, now: Time) -> Output {
        match self.kind {
            Kind::ForwardVelocity { deceleration_rad_s2: None } => self.velocity_rad_s.fill(0.0),
            Kind::ForwardVelocity { deceleration_rad_s2: Some(deceleration) } => {
                let fastest = fastest(&self.velocity_rad_s);
                let change = deceleration * elapsed.as_secs_f64();
                let keep = if fastest > change { 1.0 - change / fastest } else { 0.0 };
                self.velocity_rad_s.iter_mut().for_each(|v| *v *= keep);
            }
            Kind::JointTrajectory { deceleration_rad_s2 } => {
                return self.hold(deceleration_rad_s2, measured, now);
            }
        }
        Output::Velocity(self.velocity_rad_s.clone())
    }

    /// Makes the next stand begin anew from where the arm is then.
    pub fn forget_stand(&mut self) {
        self.hold = None;
    }

    fn hold(&mut self, deceleration: f64, measured: Option<&Measured>, now: Time) -> Output {
        let reference = self.reference_rad.take();
        let told = std::mem::replace(&mut self.velocity_rad_s, vec![0.0; self.joints]);
        if self.hold.is_none() {
            let fresh = measured.filter(|measured| now.since(measured.arrival) <= MEASURED_FRESH);
            let from = match (fresh, &reference) {
                (Some(measured), _) => Some((&measured.position_rad, &measured.velocity_rad_s)),
                (None, Some(reference)) => Some((reference, &told)),
                (None, None) => None,
            };
            self.hold = from.map(|(position, velocity)| {
                let braking_s = fastest(velocity) / deceleration;
                Hold {
                    position_rad: moved(position, velocity, braking_s / 2.0),
                    reached: now + Duration::from_secs_f64(braking_s),
                    told: None,
                }
            });
        }
        let lead = self.lead();
        match &mut self.hold {
            Some(hold) if hold.told.is_none_or(|told| now.since(told) >= HOLD_PERIOD) => {
                hold.told = Some(now);
                Output::Trajectory(vec![Point {
                    position_rad: hold.position_rad.clone(),
                    velocity_rad_s: vec![0.0; self.joints],
                    from_start: hold.reached.since(now).max(lead),
                }])
            }
            _ => Output::Nothing,
        }
    }

    /// How far ahead a trajectory begins: the next message is there before, even if it comes a period late.
    fn lead(&self) -> Duration {
        Duration(2 * self.period.0)
    }
}

fn fastest(velocity: &[f64]) -> f64 {
    velocity.iter().fold(0.0, |fastest, v| v.abs().max(fastest))
}

fn moved(position: &[f64], velocity: &[f64], seconds: f64) -> Vec<f64> {
    position.iter().zip(velocity).map(|(position, velocity)| position + velocity * seconds).collect()
}
