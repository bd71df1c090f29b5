//! What the static checker is told of a skill's leaves.

use swarm_bt_check::{Answers, LeafTable, Pace, Together};

/// The leaves of [`crate::registry`], as far as they do less than an action or a condition may, or concern the other roles.
pub fn leaf_table() -> LeafTable {
    let table = LeafTable::new()
        .together("EnterPhase", Together::Phase { name: "phase" })
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
