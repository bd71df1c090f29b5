//! What the static checker is told of a skill's leaves.

use swarm_bt_check::{Answers, LeafTable, Meeting, Pace, Together};

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
        .leaf("Hold", Answers::RUNNING, Pace::TakesTime);
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
        "WaitForce",
    ];
    takes_time.into_iter().fold(table, |table, id| table.leaf(id, Answers::ACTION, Pace::TakesTime))
}
