//! What the static checker is told of a skill's leaves.

use swarm_bt_check::{Answers, LeafTable, Pace};

/// The leaves of [`crate::registry`], as far as they do less than an action or a condition may.
pub fn leaf_table() -> LeafTable {
    let mut table = LeafTable::new()
        .leaf("EnterPhase", Answers::ACTION, Pace::UntilFirstSuccess)
        .leaf("Hold", Answers::RUNNING, Pace::TakesTime)
        .leaf("RequestHold", Answers::SUCCESS, Pace::AtOnce)
        .leaf("ReleaseHold", Answers::SUCCESS, Pace::AtOnce)
        .leaf("AbortRun", Answers::SUCCESS, Pace::AtOnce);
    for id in [
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
    ] {
        table = table.leaf(id, Answers::ACTION, Pace::TakesTime);
    }
    table
}
