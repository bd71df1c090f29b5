//! What the static checker is told of a skill's leaves.

use swarm_bt::Tree;
use swarm_bt_check::{Answers, Given, LeafTable, Meeting, Pace, Together};

use crate::shared_board::is_shared;

/// Entries of the main blackboards that other roles may have written: those that roles share. Nothing else writes to a role's blackboard
/// but its own tree.
pub fn shared_entries<'t>(trees: impl IntoIterator<Item = &'t Tree>) -> Given {
    let mut given = Given::new();
    for tree in trees {
        let main = tree.slots().filter(|(_, scope, ..)| scope.is_empty()).map(|(_, _, key, _)| key);
        given.extend(main.filter(|key| is_shared(key)).map(str::to_owned));
    }
    given
}

/// The leaves of [`crate::registry`], as far as they do less than an action or a condition may, or concern the other roles.
pub fn leaf_table() -> LeafTable {
    let meeting = |kind| Meeting { kind, name: "meeting", roles: &["roles"], enough: None };
    let hand_over = |kind| Meeting { kind, name: "item", roles: &["from", "to"], enough: None };
    let table = LeafTable::new()
        .together("EnterPhase", Together::Phase { name: "phase" })
        .together("SafePoint", Together::Phase { name: "point" })
        .together("Barrier", Together::Meet(meeting("barrier")))
        .together("Quorum", Together::Meet(Meeting { enough: Some("k"), ..meeting("quorum") }))
        .together("AcquireLease", Together::Acquire { resource: "resource" })
        .together("KeepLease", Together::Keep { resource: "resource" })
        .together("ReleaseLease", Together::GiveBack { resource: "resource" })
        .together("BeginHandover", Together::Meet(hand_over("the beginning of the hand-over")))
        .together("EndHandover", Together::Meet(hand_over("the end of the hand-over")))
        .leaf("KeepHandover", Answers::RUNNING, Pace::TakesTime)
        .leaf("KeepPace", Answers::RUNNING, Pace::TakesTime)
        .together("RequestHold", Together::Hold)
        .together("ReleaseHold", Together::ReleaseHold)
        .together("AbortRun", Together::EndRun)
        .leaf("Hold", Answers::RUNNING, Pace::TakesTime)
        .leaf("PublishTopic", Answers::COMPLETED, Pace::AtOnce);
    let takes_time = [
        "MoveToPose",
        "MoveToPart",
        "MoveHeldPart",
        "MoveLinear",
        "MoveJoints",
        "Locate",
        "LocateHeld",
        "TareWrench",
        "Grip",
        "Release",
        "RunPolicy",
        "FollowPolicy",
        "WaitForce",
        "CallAction",
        "CallService",
        "WaitTopic",
    ];
    takes_time.into_iter().fold(table, |table, id| table.leaf(id, Answers::ACTION, Pace::TakesTime))
}
