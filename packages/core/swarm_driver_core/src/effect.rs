//! Whether the arm obeys: some time after it was told to stand, no joint may move.

use swarm_base::{Duration, Time};

use crate::motion::Measured;

/// How long an arm may take to come to rest after it was told to stand.
pub const REST_WITHIN: Duration = Duration::from_millis(1_000);

/// Speed above which a joint moves, rad/s: above the noise of measured velocities, 3 degrees a second.
pub const REST_BELOW_RAD_S: f64 = 0.05;

/// Age from which a measurement says nothing.
pub const MEASURED_FRESH: Duration = Duration::from_millis(100);

/// What is seen of the arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// It may move, or was told to stand a moment ago.
    NotJudged,
    /// It stands.
    Stands,
    /// It was told to stand and moves.
    Moves { joint: usize, speed_rad_s: f64 },
    /// It was told to stand and nobody says what it does.
    Unseen,
}

/// Watches one arm.
#[derive(Clone, Copy, Debug, Default)]
pub struct EffectWatch {
    told_to_stand: Option<Time>,
}

impl EffectWatch {
    /// Notes what the controller was told in this cycle.
    pub fn told(&mut self, to_stand: bool, now: Time) {
        if to_stand {
            self.told_to_stand.get_or_insert(now);
        } else {
            self.told_to_stand = None;
        }
    }

    /// Judges the arm.
    pub fn look(&self, measured: Option<&Measured>, now: Time) -> Effect {
        if self.told_to_stand.is_none_or(|since| now.since(since) < REST_WITHIN) {
            return Effect::NotJudged;
        }
        let Some(measured) = measured.filter(|measured| now.since(measured.arrival) <= MEASURED_FRESH) else {
            return Effect::Unseen;
        };
        let speeds = measured.velocity_rad_s.iter().map(|velocity| velocity.abs()).enumerate();
        match speeds.max_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((joint, speed_rad_s)) if speed_rad_s > REST_BELOW_RAD_S => {
                Effect::Moves { joint, speed_rad_s }
            }
            _ => Effect::Stands,
        }
    }
}
