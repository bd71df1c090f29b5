//! Drive of a parallel gripper: moves the fingers at a fixed speed to a width, with no more than the commanded force, and stays.
//!
//! It obeys the permit as the arm's driver does: without one the fingers stay where they are and hold with the force that they have,
//! so what is held stays held, and the motion that was cut off is not taken up again. A command that comes before its permit waits
//! for it, but not for longer than a command counts.

use swarm_base::{Duration, Time};
use swarm_cell::GripperConfig;

use crate::cell::GripperCommand;

/// Speed of the opening, m/s; the gripper's URDF has 0.15 per finger.
const SPEED_M_S: f64 = 0.10;
/// Position gain of one finger, N/m, and damping, N s/m: critically damped at the 0.275 kg a finger and its drive weigh.
const STIFFNESS_N_M: f64 = 20_000.0;
const DAMPING_N_S_M: f64 = 150.0;
/// Cycles of 2 ms for which the fingers must push against something before it counts as held, and how far they may tremble there, m:
/// a handle that is gripped askew settles with small movements that are no closing.
const HOLD_CYCLES: u32 = 25;
const TREMBLE_M: f64 = 0.000_5;

/// What the gripper reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GripperState {
    /// Opening between the fingers, m.
    pub width_m: f64,
    /// Force of the drive on each finger, N; positive closes.
    pub force_n: f64,
    /// The fingers push on something with the commanded force and don't move.
    pub holding: bool,
    pub commanded_width_m: f64,
    pub commanded_force_n: f64,
    /// Commands refused since start: not finite, or without a permit for too long.
    pub refused: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Gripper {
    limits: GripperConfig,
    width_m: f64,
    force_n: f64,
    reference_m: f64,
    blocked_cycles: u32,
    /// Width at which the fingers were when they last went further than they may tremble.
    blocked_at_m: f64,
    /// The last command, until a permit lets it be carried out.
    waiting: Option<(Time, GripperCommand)>,
    refused: u64,
}

impl Gripper {
    /// Opened wide.
    pub(crate) fn new(limits: GripperConfig) -> Self {
        Self {
            limits,
            width_m: limits.max_width_m,
            force_n: limits.max_force_n,
            reference_m: limits.max_width_m,
            blocked_cycles: 0,
            blocked_at_m: limits.max_width_m,
            waiting: None,
            refused: 0,
        }
    }

    /// Takes what arrived since the last cycle. `permitted`: whether the fingers may move; `patience`: how long a command waits for that.
    pub(crate) fn cycle(
        &mut self,
        now: Time,
        commands: &[GripperCommand],
        permitted: bool,
        patience: Duration,
    ) {
        for &command in commands {
            if command.width_m.is_finite() && command.force_n.is_finite() {
                self.waiting = Some((now, command));
            } else {
                self.refused += 1;
            }
        }
        if self.waiting.is_some_and(|(since, _)| now.since(since) > patience) {
            self.waiting = None;
            self.refused += 1;
        }
        if !permitted {
            self.width_m = self.reference_m;
        } else if let Some((_, command)) = self.waiting.take() {
            self.width_m = command.width_m.clamp(self.limits.min_width_m, self.limits.max_width_m);
            self.force_n = command.force_n.clamp(0.0, self.limits.max_force_n);
        }
    }

    /// Moves the reference on by `dt_s`.
    pub(crate) fn advance(&mut self, dt_s: f64) {
        let change = SPEED_M_S * dt_s;
        self.reference_m += (self.width_m - self.reference_m).clamp(-change, change);
    }

    /// Force on one finger, N along its joint (positive opens).
    pub(crate) fn finger_force(&self, position_m: f64, velocity_m_s: f64) -> f64 {
        let goal = self.reference_m / 2.0;
        (STIFFNESS_N_M * (goal - position_m) - DAMPING_N_S_M * velocity_m_s)
            .clamp(-self.force_n, self.force_n)
    }

    /// Once per cycle, with the fingers' positions (m) and velocities (m/s).
    pub(crate) fn observe(&mut self, positions_m: [f64; 2], velocities_m_s: [f64; 2]) -> GripperState {
        let width_m = positions_m[0] + positions_m[1];
        let force_n =
            -(0..2).map(|i| self.finger_force(positions_m[i], velocities_m_s[i])).sum::<f64>() / 2.0;
        let moving = (width_m - self.blocked_at_m).abs() > TREMBLE_M;
        if moving {
            self.blocked_at_m = width_m;
        }
        let blocked = !moving && width_m > self.width_m + 0.001 && force_n > 0.9 * self.force_n;
        self.blocked_cycles = if blocked { (self.blocked_cycles + 1).min(HOLD_CYCLES) } else { 0 };
        GripperState {
            width_m,
            force_n,
            holding: self.blocked_cycles == HOLD_CYCLES,
            commanded_width_m: self.width_m,
            commanded_force_n: self.force_n,
            refused: self.refused,
        }
    }
}
