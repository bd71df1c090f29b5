//! What can happen in one cycle.
//!
//! In a cycle every input is heard, and either no skill commands or all arms are commanded ([`Action::work`]); beside that, up
//! to two [`Letter`]s happen at once. Letters are abrupt: an age is reached by silence cycle after cycle, so that late inputs
//! are histories of silent ones.

use std::fmt;

use swarm_safety_core::MAX_ROBOTS;

/// One thing that is not as in a healthy cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letter {
    Joints(usize, Joints),
    Wrench(usize, Wrench),
    Command(usize, Command),
    Gripper(usize, Gripper),
    EmergencyStop(Press),
    Reset(Asked),
    Presence(Presence),
    Clock(Clock),
    /// Limits in force are exchanged.
    Limits,
}

/// Joint state of one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Joints {
    Silent,
    Refused,
    NotANumber,
    /// Twice the velocity limit.
    TooFast,
    /// Outside the joint's range.
    OutOfRange,
    /// The arm really moves otherwise than it was told.
    Stray,
}

/// Wrench of one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrench {
    Silent,
    Refused,
    NotANumber,
    /// Between contact and collision level.
    Contact,
    Collision,
}

/// What the skill says to one arm instead of what it says to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    Missing,
    Motion,
    Standstill,
    OldEpoch,
    OtherArtifact,
    /// The newest one again, as if it had just arrived.
    Repeated,
    /// A sequence number before the newest.
    Back,
    OtherRun,
    /// Ten times the velocity limit.
    Absurd,
    NotANumber,
    /// It lay in a queue for a second.
    Queued,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gripper {
    Moved,
    OldEpoch,
    NotANumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Press {
    /// True, and held from now on.
    Held,
    /// True and false within one cycle.
    Tapped,
    /// False.
    Released,
}

/// Epoch that a reset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    Present,
    /// The one before: a request sent twice, or replayed.
    Past,
    Future,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    Silent,
    Near,
    NotANumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Four periods late.
    Overrun,
    /// Three periods back.
    Backwards,
}

/// One cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    /// All arms are commanded to move.
    pub work: bool,
    pub letters: [Option<Letter>; 2],
}

impl Action {
    /// Everything as it should be.
    pub const fn healthy(work: bool) -> Self {
        Self { work, letters: [None; 2] }
    }

    pub fn has(&self, letter: Letter) -> bool {
        self.letters.contains(&Some(letter))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.work { "work" } else { "idle" })?;
        self.letters.iter().flatten().try_for_each(|letter| write!(f, " + {letter:?}"))
    }
}

/// Which faults may come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// One letter per cycle, of any arm.
    Single,
    /// Any two letters per cycle that do not speak of the same thing.
    Pairs,
    /// Any two letters per cycle; of the arms only this one has any.
    PairsOfArm(usize),
    /// One letter per cycle: what a person does, and the monitor's own time and limits. Arms and their sensors are healthy.
    Operator,
    /// One letter per cycle: silence and collision of this arm, the emergency stop held and released, and resets.
    StopsOfArm(usize),
}

impl Alphabet {
    /// Every cycle that can be.
    pub fn actions(self, presence: bool) -> Vec<Action> {
        let letters = letters(self, presence);
        let mut actions = Vec::new();
        for work in [false, true] {
            actions.push(Action::healthy(work));
            for (i, first) in letters.iter().enumerate() {
                actions.push(Action { work, letters: [Some(*first), None] });
                if matches!(self, Self::Single | Self::Operator | Self::StopsOfArm(_)) {
                    continue;
                }
                let others = letters[i + 1..].iter().filter(|second| subject(first) != subject(second));
                actions.extend(others.map(|second| Action { work, letters: [Some(*first), Some(*second)] }));
            }
        }
        actions
    }
}

fn letters(alphabet: Alphabet, presence: bool) -> Vec<Letter> {
    use {Command as C, Joints as J, Wrench as W};
    if let Alphabet::StopsOfArm(robot) = alphabet {
        return vec![
            Letter::Joints(robot, J::Silent),
            Letter::Wrench(robot, W::Collision),
            Letter::EmergencyStop(Press::Held),
            Letter::EmergencyStop(Press::Released),
            Letter::Reset(Asked::Present),
        ];
    }
    let mut letters = Vec::new();
    for robot in (0..MAX_ROBOTS).filter(|robot| match alphabet {
        Alphabet::PairsOfArm(only) => only == *robot,
        Alphabet::Single | Alphabet::Pairs => true,
        Alphabet::Operator | Alphabet::StopsOfArm(_) => false,
    }) {
        let joints = [J::Silent, J::Refused, J::NotANumber, J::TooFast, J::OutOfRange, J::Stray];
        letters.extend(joints.map(|joints| Letter::Joints(robot, joints)));
        let wrenches = [W::Silent, W::Refused, W::NotANumber, W::Contact, W::Collision];
        letters.extend(wrenches.map(|wrench| Letter::Wrench(robot, wrench)));
        let commands = [
            C::Missing,
            C::Motion,
            C::Standstill,
            C::OldEpoch,
            C::OtherArtifact,
            C::Repeated,
            C::Back,
            C::OtherRun,
            C::Absurd,
            C::NotANumber,
            C::Queued,
            C::Refused,
        ];
        letters.extend(commands.map(|command| Letter::Command(robot, command)));
        let grippers = [Gripper::Moved, Gripper::OldEpoch, Gripper::NotANumber];
        letters.extend(grippers.map(|gripper| Letter::Gripper(robot, gripper)));
    }
    letters.extend([Press::Held, Press::Tapped, Press::Released].map(Letter::EmergencyStop));
    letters.extend([Asked::Present, Asked::Past, Asked::Future].map(Letter::Reset));
    letters.extend([Clock::Overrun, Clock::Backwards].map(Letter::Clock));
    letters.push(Letter::Limits);
    if presence {
        letters.extend([Presence::Silent, Presence::Near, Presence::NotANumber].map(Letter::Presence));
    }
    letters
}

/// What a letter speaks of: two letters of one thing cannot happen at once.
fn subject(letter: &Letter) -> (u8, usize) {
    match letter {
        Letter::Joints(robot, _) => (0, *robot),
        Letter::Wrench(robot, _) => (1, *robot),
        Letter::Command(robot, _) => (2, *robot),
        Letter::Gripper(robot, _) => (3, *robot),
        Letter::EmergencyStop(_) => (4, 0),
        Letter::Reset(_) => (5, 0),
        Letter::Presence(_) => (6, 0),
        Letter::Clock(_) => (7, 0),
        Letter::Limits => (8, 0),
    }
}
