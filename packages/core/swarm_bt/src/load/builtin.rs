//! The nodes that need no registration.

/// How many children a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// One or more.
    Control,
    /// A condition and one or two branches.
    Branch,
    /// What is tried, and what is done when that fails.
    Try,
    /// Exactly one.
    Decorator,
    /// None.
    Leaf,
}

/// A built-in node: id, family, and the ports it knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Builtin {
    pub(super) id: &'static str,
    pub(super) family: Family,
    pub(super) ports: &'static [&'static str],
}

const fn node(id: &'static str, family: Family, ports: &'static [&'static str]) -> Builtin {
    Builtin { id, family, ports }
}

pub(super) const BUILTINS: [Builtin; 42] = [
    node("Sequence", Family::Control, &[]),
    node("AsyncSequence", Family::Control, &[]),
    node("SequenceWithMemory", Family::Control, &[]),
    node("Fallback", Family::Control, &[]),
    node("AsyncFallback", Family::Control, &[]),
    node("ReactiveSequence", Family::Control, &[]),
    node("ReactiveFallback", Family::Control, &[]),
    node("Parallel", Family::Control, &["success_count", "failure_count"]),
    node("ParallelAll", Family::Control, &["max_failures"]),
    node("IfThenElse", Family::Branch, &[]),
    node("WhileDoElse", Family::Branch, &[]),
    node("Switch2", Family::Control, &["variable", "case_1", "case_2"]),
    node("Switch3", Family::Control, &["variable", "case_1", "case_2", "case_3"]),
    node("Switch4", Family::Control, &["variable", "case_1", "case_2", "case_3", "case_4"]),
    node("Switch5", Family::Control, &["variable", "case_1", "case_2", "case_3", "case_4", "case_5"]),
    node(
        "Switch6",
        Family::Control,
        &["variable", "case_1", "case_2", "case_3", "case_4", "case_5", "case_6"],
    ),
    node("TryCatch", Family::Try, &["catch_on_halt"]),
    node("Inverter", Family::Decorator, &[]),
    node("ForceSuccess", Family::Decorator, &[]),
    node("ForceFailure", Family::Decorator, &[]),
    node("KeepRunningUntilFailure", Family::Decorator, &[]),
    node("Repeat", Family::Decorator, &["num_cycles"]),
    node("RetryUntilSuccessful", Family::Decorator, &["num_attempts"]),
    node("Timeout", Family::Decorator, &["msec"]),
    node("Delay", Family::Decorator, &["delay_msec"]),
    node("RunOnce", Family::Decorator, &["then_skip"]),
    node("Precondition", Family::Decorator, &["if", "else"]),
    node("LoopInt", Family::Decorator, &["queue", "value", "if_empty"]),
    node("LoopBool", Family::Decorator, &["queue", "value", "if_empty"]),
    node("LoopDouble", Family::Decorator, &["queue", "value", "if_empty"]),
    node("LoopString", Family::Decorator, &["queue", "value", "if_empty"]),
    node("SkipUnlessUpdated", Family::Decorator, &["entry"]),
    node("WaitValueUpdate", Family::Decorator, &["entry"]),
    node("SubTree", Family::Leaf, &[]),
    node("AlwaysSuccess", Family::Leaf, &[]),
    node("AlwaysFailure", Family::Leaf, &[]),
    node("Script", Family::Leaf, &["code"]),
    node("ScriptCondition", Family::Leaf, &["code"]),
    node("SetBlackboard", Family::Leaf, &["value", "output_key"]),
    node("UnsetBlackboard", Family::Leaf, &["key"]),
    node("WasEntryUpdated", Family::Leaf, &["entry"]),
    node("Sleep", Family::Leaf, &["msec"]),
];

pub(super) fn find(id: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.id == id)
}

/// Nodes of BehaviorTree.CPP that cannot be had here, and what to do instead.
pub(super) fn unsupported(id: &str) -> Option<&'static str> {
    match id {
        "ManualSelector" => Some(
            "it asks a person at a terminal in the middle of a tick; write a Switch2 .. Switch6 whose variable is set from \
             outside",
        ),
        "SequenceStar" => Some("that is the name of BehaviorTree.CPP 3; write SequenceWithMemory"),
        _ => None,
    }
}
