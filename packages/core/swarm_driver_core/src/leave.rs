//! Leave to move: the permit, and a status that agrees with it (SR-16).
//!
//! A permit counts when it names this robot once, its scale is a number from 0 to 1, its stamp is of this moment, and epoch
//! and sequence have risen. One that does not count stops the robot until one that does; one that merely repeats the last is
//! passed over, so that it cannot make an old leave look young. Its age is what it had on arrival by the wall clock, and goes on
//! by the monotonic clock.
//!
//! The status must name the same epoch and a state that moves. A shell that has not seen a reset itself has no leave, so that
//! a shell that was restarted in the middle of a run does not go on with it. A new epoch alone is no reset: limits that are
//! loaded in READY begin one, too.

use std::cmp::Ordering;

use swarm_base::{Duration, Time};

use crate::driver::StopCause;

/// `swarm_msgs/Permit` as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct PermitHeard<'a> {
    pub arrival: Time,
    /// Stamp of the message, ns of the wall clock.
    pub sent_ns: u64,
    /// The same clock at arrival.
    pub received_ns: u64,
    pub epoch: u64,
    pub sequence: u64,
    pub robots: &'a [String],
    pub speed_scale: &'a [f64],
}

/// `swarm_msgs/SafetyStatus` as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusHeard {
    pub arrival: Time,
    pub state: MonitorState,
    pub epoch: u64,
    /// Epoch that the last granted reset began; 0 if there was none since the monitor's start.
    pub reset_epoch: u64,
}

/// State of the safety monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorState {
    Deny,
    Ready,
    Run,
    Slow,
    Stop2,
    Stop1,
    Estop,
}

impl MonitorState {
    /// The state behind a number of `swarm_msgs/SafetyStatus`.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Deny),
            1 => Some(Self::Ready),
            2 => Some(Self::Run),
            3 => Some(Self::Slow),
            4 => Some(Self::Stop2),
            5 => Some(Self::Stop1),
            6 => Some(Self::Estop),
            _ => None,
        }
    }

    /// Whether arms may move in this state, or are about to.
    pub const fn moves(self) -> bool {
        matches!(self, Self::Ready | Self::Run | Self::Slow)
    }
}

/// What is believed, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaveRules {
    /// Age from which a permit counts no more.
    pub permit_timeout: Duration,
    /// Age from which a status counts no more.
    pub status_timeout: Duration,
    /// How far ahead of this computer's clock a stamp may be.
    pub stamp_tolerance: Duration,
}

/// What the status' news means for the arm's means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The cell may move as before.
    Nothing,
    /// A person has reset the cell.
    Reset,
    /// A protective stop has ended by itself, as the cell's ceiling lets it.
    Released,
    /// The cell is stopped, in this state.
    Stopped(MonitorState),
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    /// The first moment at which it counts no more.
    ends: Time,
    epoch: u64,
    sequence: u64,
    scale: f64,
}

/// The leave of one robot.
#[derive(Clone, Debug)]
pub struct Leave {
    robot: String,
    rules: LeaveRules,
    permit: Option<Accepted>,
    /// Why the newest permit did not count.
    refused: Option<StopCause>,
    status: Option<StatusHeard>,
    /// `reset_epoch` when the cell was last seen stopped, or first seen at all: the next reset begins a later one.
    known_reset: Option<u64>,
    armed: bool,
    permits_refused: u64,
}

impl Leave {
    pub fn new(robot: impl Into<String>, rules: LeaveRules) -> Self {
        Self {
            robot: robot.into(),
            rules,
            permit: None,
            refused: None,
            status: None,
            known_reset: None,
            armed: false,
            permits_refused: 0,
        }
    }

    /// Takes a permit.
    pub fn hear_permit(&mut self, permit: &PermitHeard<'_>) {
        match self.judge(permit) {
            Ok(Some(accepted)) => {
                self.permit = Some(accepted);
                self.refused = None;
            }
            Ok(None) => self.permits_refused += 1,
            Err(cause) => {
                self.permits_refused += 1;
                self.refused = Some(cause);
            }
        }
    }

    /// Takes a status, and says what it means.
    pub fn hear_status(&mut self, status: StatusHeard) -> News {
        let before = self.status.replace(status);
        if !status.state.moves() {
            self.known_reset = Some(status.reset_epoch);
            // A protective stop may be released by the monitor without a reset, where the cell's ceiling says so.
            self.armed &= status.state == MonitorState::Stop2;
            return News::Stopped(status.state);
        }
        let known = *self.known_reset.get_or_insert(status.reset_epoch);
        match status.reset_epoch.cmp(&known) {
            Ordering::Greater => {
                self.known_reset = Some(status.reset_epoch);
                self.armed = true;
                News::Reset
            }
            Ordering::Equal if self.armed && before.is_some_and(|b| b.state == MonitorState::Stop2) => {
                News::Released
            }
            Ordering::Equal => News::Nothing,
            Ordering::Less => {
                self.armed = false;
                News::Nothing
            }
        }
    }

    /// Takes leave away until the next reset.
    pub fn disarm(&mut self) {
        self.armed = false;
    }

    /// The speed scale that is permitted now, above 0 and at most 1.
    pub fn scale_at(&self, now: Time) -> Result<f64, StopCause> {
        let permit = self.permit.ok_or(self.refused.unwrap_or(StopCause::NoPermit))?;
        if let Some(cause) = self.refused {
            return Err(cause);
        }
        if now >= permit.ends {
            return Err(StopCause::PermitOld);
        }
        let status = self.status.ok_or(StopCause::NoStatus)?;
        if self.status_silent(now) {
            return Err(StopCause::StatusOld);
        }
        if !status.state.moves() {
            return Err(StopCause::MonitorStopped);
        }
        if permit.scale == 0.0 {
            return Err(StopCause::PermitZero);
        }
        if status.epoch != permit.epoch {
            return Err(StopCause::EpochDiffers);
        }
        if !self.armed {
            return Err(StopCause::NoReset);
        }
        Ok(permit.scale)
    }

    /// Whether a status that was heard once comes no more.
    pub fn status_silent(&self, now: Time) -> bool {
        self.status.is_some_and(|status| now >= self.status_ends(status))
    }

    /// When the leave ends if nothing more is heard; `None` where there is none.
    pub fn expires_at(&self) -> Option<Time> {
        Some(self.permit?.ends.min(self.status_ends(self.status?)))
    }

    /// Permits that did not count so far.
    pub fn permits_refused(&self) -> u64 {
        self.permits_refused
    }

    fn status_ends(&self, status: StatusHeard) -> Time {
        status.arrival + self.rules.status_timeout
    }

    /// The permit as it counts, `None` if it only repeats the last.
    fn judge(&self, permit: &PermitHeard<'_>) -> Result<Option<Accepted>, StopCause> {
        if permit.robots.len() != permit.speed_scale.len() {
            return Err(StopCause::PermitMalformed);
        }
        let mut named =
            permit.robots.iter().zip(permit.speed_scale).filter(|(robot, _)| **robot == self.robot);
        let scale = match (named.next(), named.next()) {
            (Some((_, &scale)), None) if (0.0..=1.0).contains(&scale) => scale,
            (None, _) => return Err(StopCause::PermitNamesOthers),
            _ => return Err(StopCause::PermitMalformed),
        };
        // A stamp that is ahead counts as arrival.
        let age_ns = permit.received_ns.saturating_sub(permit.sent_ns);
        let ahead_ns = permit.sent_ns.saturating_sub(permit.received_ns);
        let left = self.rules.permit_timeout.0.checked_sub(age_ns).ok_or(StopCause::PermitStamp)?;
        if ahead_ns > self.rules.stamp_tolerance.0 {
            return Err(StopCause::PermitStamp);
        }
        if let Some(last) = self.permit {
            match (permit.epoch, permit.sequence).cmp(&(last.epoch, last.sequence)) {
                Ordering::Less => return Err(StopCause::PermitBackwards),
                Ordering::Equal => return Ok(None),
                Ordering::Greater => {}
            }
        }
        let PermitHeard { arrival, epoch, sequence, .. } = *permit;
        Ok(Some(Accepted { ends: arrival + Duration(left), epoch, sequence, scale }))
    }
}
