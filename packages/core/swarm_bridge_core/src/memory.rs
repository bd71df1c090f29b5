//! What a bridge keeps over its own end, beside metadata and cache.

use serde::{Deserialize, Serialize};
use swarm_artifact::ArtifactId;

use crate::values::{Belief, Deployed, Want};

/// Entries of the history; the last good one is among the newest few.
const HISTORY: usize = 32;

/// Something that ran on this cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ran {
    pub deployed: Deployed,
    /// The image repository had it at some time.
    pub believed: bool,
    /// The image repository was heard not to have it any more, and not to have it again since. What was not asked, or was not believed,
    /// changes nothing in that.
    #[serde(default)]
    pub withdrawn: bool,
}

/// Kept as one small file. Losing it loses a hold by hand and what was withdrawn, and deploys nothing that was not agreed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// When metadata was last fetched and believed; seconds since 1970-01-01 UTC.
    pub last_believed_unix_s: Option<i64>,
    /// When the registry last answered anything; seconds since 1970-01-01 UTC.
    pub last_contact_unix_s: Option<i64>,
    /// The runtime was told to begin no runs, by this bridge, and was not allowed to since. It forgets that when it is started again;
    /// see [`crate::Have::refusal_stands`].
    pub runs_refused: bool,
    /// When this bridge began, as its reports say; seconds since 1970-01-01 UTC.
    started_unix_s: i64,
    /// The assignment that was carried out last, unless this bridge has gone away from it itself.
    adopted: Option<ArtifactId>,
    /// An assignment that was left by hand.
    left: Option<ArtifactId>,
    /// An assignment that this cell does not take, and why.
    refused: Option<(ArtifactId, String)>,
    /// What ran here, newest first.
    history: Vec<Ran>,
}

impl Memory {
    /// Begins a run of the bridge; gives the moment that its reports are known by. It is later than every one before, also where the
    /// clock was put back: the registry takes no report that seems to be an old one.
    pub fn begin(&mut self, now_unix_s: i64) -> i64 {
        self.started_unix_s = now_unix_s.max(self.started_unix_s.saturating_add(1));
        self.started_unix_s
    }

    pub fn history(&self) -> &[Ran] {
        &self.history
    }

    pub fn believed_once(&self, artifact: ArtifactId) -> bool {
        self.ran(artifact).is_some_and(|ran| ran.believed)
    }

    pub fn withdrawn(&self, artifact: ArtifactId) -> bool {
        self.ran(artifact).is_some_and(|ran| ran.withdrawn)
    }

    fn ran(&self, artifact: ArtifactId) -> Option<&Ran> {
        self.history.iter().find(|ran| ran.deployed.artifact == artifact)
    }

    pub fn left(&self) -> Option<ArtifactId> {
        self.left
    }

    /// Why an artifact is not taken for good.
    pub fn refusal(&self, artifact: ArtifactId) -> Option<&str> {
        self.refused.as_ref().filter(|(refused, _)| *refused == artifact).map(|(_, why)| why.as_str())
    }

    /// The runtime, or a signature, says that this artifact will never do here.
    pub fn refuse(&mut self, artifact: ArtifactId, why: &str) {
        self.refused = Some((artifact, why.to_owned()));
    }

    /// Somebody asks to try everything again: what was refused, too.
    pub fn try_again(&mut self) {
        self.refused = None;
    }

    /// Somebody on the cell goes away from what is assigned.
    pub fn leave(&mut self, want: &Want) {
        self.left = want.artifact();
    }

    /// Nothing came of it: what was held before still is, and nothing else.
    pub fn hold_as(&mut self, before: &Self) {
        self.left = before.left;
    }

    /// This bridge is about to have the runtime run `artifact`. Where that is not what was assigned, because what was assigned is
    /// withdrawn, nobody leaves it by hand. To be kept before the runtime is asked: if the bridge is killed then, it is known still.
    pub fn ask_for(&mut self, artifact: ArtifactId) {
        if self.adopted != Some(artifact) {
            self.adopted = None;
        }
    }

    /// The director was heard. Assigning something else ends a hold by hand, and so does assigning nothing.
    pub fn hear_want(&mut self, want: &Want) {
        let wanted = match want {
            // Nobody said anything else.
            Want::Unknown | Want::Disagreed { .. } => return,
            Want::Nothing => None,
            Want::Artifact(wanted) => Some(wanted.artifact),
        };
        if self.left != wanted {
            self.left = None;
        }
        if self.adopted != wanted {
            self.adopted = None;
        }
    }

    /// The runtime was heard. Gives whether something else is deployed now.
    ///
    /// An assignment that was in force and is not any more, without this bridge, was left by hand. It is compared with what was
    /// adopted and not with what was seen last, so that a change while the bridge was down is noticed too.
    pub fn hear_running(&mut self, running: &Deployed, want: &Want) -> bool {
        let wanted = want.artifact();
        let same = self.history.first().is_some_and(|newest| newest.deployed.artifact == running.artifact);
        if wanted == Some(running.artifact) {
            self.adopted = wanted;
            // Somebody went back to it. While it still runs, it may be about to be left.
            if !same {
                self.left = None;
            }
        } else if wanted.is_some() && self.adopted == wanted {
            self.left = wanted;
        }
        if !same {
            let known = self.history.iter().position(|ran| ran.deployed.artifact == running.artifact);
            let ran = known.map(|index| self.history.remove(index));
            let new = || Ran { deployed: running.clone(), believed: false, withdrawn: false };
            self.history.insert(0, ran.unwrap_or_else(new));
            self.history.truncate(HISTORY);
        }
        // What is assigned is agreed, and so the image repository has it.
        if wanted == Some(running.artifact) {
            self.hear_belief(running.artifact, Belief::Has);
        }
        !same
    }

    /// The image repository was asked about an artifact that ran here.
    pub fn hear_belief(&mut self, artifact: ArtifactId, belief: Belief) {
        for ran in self.history.iter_mut().filter(|ran| ran.deployed.artifact == artifact) {
            match belief {
                Belief::Has => (ran.believed, ran.withdrawn) = (true, false),
                Belief::HasNot => ran.withdrawn = ran.believed,
                Belief::NotAsked | Belief::ToLeave => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use semver::Version;
    use swarm_artifact::Sha256Sum;

    use super::*;
    use crate::values::Wanted;

    fn deployed(n: u8) -> Deployed {
        Deployed {
            artifact: ArtifactId(Sha256Sum([n; 32])),
            skill: "pick".to_owned(),
            version: Version::new(1, u64::from(n), 0),
        }
    }

    fn want(n: u8) -> Want {
        let Deployed { artifact, skill, version } = deployed(n);
        Want::Artifact(Wanted { artifact, bytes: 1, skill, version })
    }

    fn in_step(n: u8) -> Memory {
        let mut memory = Memory::default();
        memory.hear_want(&want(n));
        memory.hear_running(&deployed(n), &want(n));
        memory
    }

    #[test]
    fn what_an_operator_leaves_is_not_brought_back_until_something_else_is_assigned() {
        let mut memory = in_step(2);
        memory.hear_running(&deployed(1), &want(2));
        assert_eq!(memory.left(), want(2).artifact());
        memory.hear_want(&want(2));
        assert_eq!(memory.left(), want(2).artifact(), "the same again says nothing new");
        memory.hear_want(&want(3));
        assert_eq!(memory.left(), None);
        memory.hear_want(&want(2));
        assert_eq!(memory.left(), None, "assigned anew");
    }

    fn killed(memory: &Memory) -> Memory {
        serde_json::from_str(&serde_json::to_string(memory).unwrap()).unwrap()
    }

    #[test]
    fn a_change_while_the_bridge_was_down_counts_as_by_hand() {
        let mut back = killed(&in_step(2));
        back.hear_running(&deployed(1), &want(2));
        assert_eq!(back.left(), want(2).artifact());
    }

    #[test]
    fn what_this_bridge_leaves_itself_is_not_left_by_hand_even_if_it_is_killed_meanwhile_and_the_assignment_comes_back()
     {
        let mut memory = in_step(2);
        let withdrawn = Want::Disagreed { artifact: want(2).artifact(), why: String::new() };
        memory.hear_want(&withdrawn);
        memory.ask_for(deployed(1).artifact);
        memory.hear_running(&deployed(2), &withdrawn);
        let mut back = killed(&memory);
        back.hear_want(&want(2));
        back.hear_running(&deployed(1), &want(2));
        assert_eq!(back.left(), None);
        // The runtime did not go: the assignment is in force again, and may be left.
        memory.hear_want(&want(2));
        memory.hear_running(&deployed(2), &want(2));
        memory.hear_running(&deployed(1), &want(2));
        assert_eq!(memory.left(), want(2).artifact());
    }

    #[test]
    fn asking_for_what_is_assigned_again_takes_nothing_from_a_hold_by_hand() {
        let mut memory = in_step(2);
        memory.ask_for(deployed(2).artifact);
        memory.hear_running(&deployed(1), &want(2));
        assert_eq!(memory.left(), want(2).artifact());
    }

    #[test]
    fn what_is_about_to_be_left_is_held_while_it_still_runs_and_let_go_if_somebody_comes_back_to_it() {
        let mut memory = in_step(2);
        let before = memory.clone();
        memory.leave(&want(2));
        memory.hear_running(&deployed(2), &want(2));
        assert_eq!(memory.left(), want(2).artifact(), "it has not been left yet");
        let mut failed = memory.clone();
        failed.hold_as(&before);
        assert_eq!(failed.left(), None);
        memory.hear_running(&deployed(1), &want(2));
        memory.hear_running(&deployed(2), &want(2));
        assert_eq!(memory.left(), None);
    }

    #[test]
    fn what_was_assigned_and_ran_was_believed_once() {
        let memory = in_step(2);
        assert!(memory.believed_once(deployed(2).artifact));
        let mut by_hand = Memory::default();
        by_hand.hear_running(&deployed(1), &Want::Nothing);
        assert!(!by_hand.believed_once(deployed(1).artifact));
        by_hand.hear_belief(deployed(1).artifact, Belief::Has);
        assert!(by_hand.believed_once(deployed(1).artifact));
    }

    #[test]
    fn what_was_withdrawn_stays_so_until_the_image_repository_has_it_again() {
        let mut memory = in_step(2);
        let artifact = deployed(2).artifact;
        memory.hear_belief(artifact, Belief::HasNot);
        memory.hear_running(&deployed(1), &Want::Nothing);
        memory.hear_belief(artifact, Belief::NotAsked);
        memory.hear_running(&deployed(2), &Want::Nothing);
        assert!(killed(&memory).withdrawn(artifact));
        memory.hear_belief(artifact, Belief::Has);
        assert!(!memory.withdrawn(artifact));
    }

    #[test]
    fn what_was_never_believed_is_not_withdrawn() {
        let mut by_hand = Memory::default();
        by_hand.hear_running(&deployed(1), &Want::Nothing);
        by_hand.hear_belief(deployed(1).artifact, Belief::HasNot);
        assert!(!by_hand.withdrawn(deployed(1).artifact));
    }

    #[test]
    fn a_file_from_before_withdrawals_were_remembered_is_read() {
        let mut file = serde_json::to_value(in_step(2)).unwrap();
        assert!(file["history"][0].as_object_mut().unwrap().remove("withdrawn").is_some());
        assert_eq!(serde_json::from_value::<Memory>(file).unwrap(), in_step(2));
    }

    #[test]
    fn a_cell_that_has_not_been_in_step_yet_has_left_nothing() {
        let mut memory = Memory::default();
        memory.hear_want(&want(2));
        memory.hear_running(&deployed(1), &want(2));
        assert_eq!(memory.left(), None);
    }

    #[test]
    fn every_run_of_the_bridge_begins_later_than_the_one_before() {
        let mut memory = Memory::default();
        assert_eq!([1_000, 1_000, 10, 2_000].map(|now| memory.begin(now)), [1_000, 1_001, 1_002, 2_000]);
    }

    #[test]
    fn the_history_is_bounded_and_has_each_artifact_once() {
        let mut memory = Memory::default();
        for n in 0..100 {
            assert!(memory.hear_running(&deployed(n), &Want::Unknown));
            assert!(!memory.hear_running(&deployed(n), &Want::Unknown));
        }
        memory.hear_running(&deployed(98), &Want::Unknown);
        assert_eq!(memory.history().len(), HISTORY);
        assert_eq!(memory.history()[0].deployed, deployed(98));
        assert_eq!(memory.history().iter().filter(|ran| ran.deployed == deployed(98)).count(), 1);
    }
}
