//! What people and the registry ask of a roll-out in between.

use crate::members::Turn;
use crate::state::{Rollout, State};
use crate::view::{Action, CellView};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Hand out nothing more for now. Gates go on guarding.
    Pause { reason: String },
    /// Go on after a pause; the stage is observed anew.
    Resume,
    /// End it, and leave the artifact where it is.
    AbortAndKeep { reason: String },
    /// End it, and give every holder back what it had.
    AbortAndTakeBack { reason: String },
    /// The artifact was quarantined by somebody, or taken out of the image repository: as if a gate had failed.
    Withdraw { reason: String },
    /// The roll-out `by` of the same skill begins; it was begun with this one as `superseded`.
    Supersede { by: i64 },
}

impl Command {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::AbortAndKeep { .. } | Self::AbortAndTakeBack { .. } => "abort",
            Self::Withdraw { .. } => "withdraw",
            Self::Supersede { .. } => "supersede",
        }
    }
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("cannot {verb} the roll-out: it is {state} and has ended; begin a new one")]
    Ended { verb: &'static str, state: &'static str },
    #[error("cannot pause the roll-out: it is paused already")]
    AlreadyPaused,
    #[error("cannot resume the roll-out: it is {state} and not paused")]
    NotPaused { state: &'static str },
}

/// Carries a command out. `cells` and `now_unix` as for [`crate::step`], and so are the answers.
pub fn command(
    rollout: &Rollout,
    command: &Command,
    cells: &[CellView],
    now_unix: i64,
) -> Result<(Rollout, Vec<Action>), CommandError> {
    let state = rollout.state.name();
    let Some(stage) = rollout.state.stage() else {
        return Err(CommandError::Ended { verb: command.verb(), state });
    };
    let paused = matches!(rollout.state, State::Paused { .. });
    let since_unix = now_unix;
    let mut turn = Turn::new(rollout, cells, now_unix);
    // What a person has assigned in the meantime is not taken back.
    turn.let_go_of_reassigned();
    match command.clone() {
        Command::Pause { .. } if paused => return Err(CommandError::AlreadyPaused),
        Command::Pause { reason } => {
            turn.note(format!("paused: {reason}"));
            turn.rollout.state = State::Paused { stage, since_unix, reason };
        }
        Command::Resume if !paused => return Err(CommandError::NotPaused { state }),
        Command::Resume => {
            turn.note("resumed".to_owned());
            turn.rollout.state = State::Running { stage, since_unix };
        }
        Command::AbortAndKeep { reason } => {
            turn.note(format!("aborted, and nothing taken back: {reason}"));
            turn.rollout.state = State::Aborted { since_unix, reason, taken_back: false };
        }
        Command::AbortAndTakeBack { reason } => {
            turn.note(format!("aborted, and taken back: {reason}"));
            turn.take_everything_back(&reason);
            turn.rollout.state = State::Aborted { since_unix, reason, taken_back: true };
        }
        Command::Withdraw { reason } => turn.withdraw(&reason),
        Command::Supersede { by } => {
            turn.note(format!("superseded by roll-out {by}"));
            turn.rollout.state = State::Superseded { since_unix, by };
        }
    }
    Ok(turn.finish())
}
