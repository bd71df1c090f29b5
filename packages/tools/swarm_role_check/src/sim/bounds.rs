//! What must hold of an episode as a whole: how soon it stops, and that it ends.

use swarm_skill_core::Standing;

use super::plan::{CAP, Fault, ROLES};
use super::world::World;
use crate::invariants::{Deeds, Invariant};
use crate::player::Player;

/// Judges an episode.
#[derive(Debug, Default)]
pub struct Judge {
    deeds: Deeds,
    /// Ticks from the fault until all the others had ended; only of faults that end a run.
    pub bound: Option<u32>,
    /// The struck role was known, and had not ended, when it was struck.
    matters: bool,
}

impl Judge {
    /// Looks at the tick that has just been. Gives the first broken promise.
    pub fn look(&mut self, world: &World) -> Option<Invariant> {
        if world.struck == Some(world.tick) {
            let struck = &world.players[world.plan.strike.role];
            // Whom nobody has heard yet can be started again without anybody noticing.
            let known =
                |other: &Player| other.cooperation.own_report().heard[struck.role as usize].sequence > 0;
            self.matters = !struck.has_ended() && world.players.iter().take(ROLES.len()).any(known);
        }
        self.deeds.look(&world.players).or_else(|| self.judge_bounds(world))
    }

    fn judge_bounds(&mut self, world: &World) -> Option<Invariant> {
        let strike = world.plan.strike;
        if let Some(since) = world.struck.filter(|_| self.matters && ends_the_run(world)) {
            let age = world.tick - since;
            let mut others =
                world.players.iter().take(ROLES.len()).enumerate().filter(|(index, _)| *index != strike.role);
            // The others may go on without a role that has done its part.
            let needed = !world.players[strike.role].is_done();
            if needed
                && age >= world.plan.stop_bound()
                && others.clone().any(|(_, player)| player.deed.acted_in.is_some())
            {
                return Some(Invariant::Stops);
            }
            if others.all(|(_, player)| player.has_ended()) {
                self.bound.get_or_insert(age);
            } else if age >= world.plan.end_bound() {
                return Some(Invariant::Ends);
            }
        }
        let harmless = matches!(strike.fault, Fault::Second) && world.plan.weather.drop < 16;
        let disturbed = |player: &Player| match &player.cooperation.own_report().standing {
            Standing::Aborted(reason) => reason.contains("instance"),
            Standing::Active | Standing::Done | Standing::Standby => false,
        };
        // A second player that came before the first was known may be the one that is known.
        let known =
            world.struck.is_some_and(|struck| world.plan.starts.iter().all(|start| start + 30 < struck));
        if harmless && known && world.players.iter().take(ROLES.len()).any(disturbed) {
            return Some(Invariant::RefusedQuietly);
        }
        (world.tick >= CAP && !world.has_ended()).then_some(Invariant::Ends)
    }
}

/// Whether the run cannot go on after this fault.
fn ends_the_run(world: &World) -> bool {
    match world.plan.strike.fault {
        Fault::Crash { .. } => !world.plan.standby,
        Fault::Cut { ticks, .. } => ticks.is_none() && !world.plan.standby,
        Fault::CutOneWay { ticks } => ticks.is_none() && !world.plan.standby,
        Fault::Abort => true,
        Fault::None | Fault::Hold { .. } | Fault::Second => false,
    }
}
