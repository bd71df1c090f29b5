//! The nodes that need no registration.

/// How many children a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// One or more.
    Control,
    /// A condition and one or two branches.
    Branch,
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

pub(super) const BUILTINS: [Builtin; 25] = [
    node("Sequence", Family::Control, &[]),
    node("AsyncSequence", Family::Control, &[]),
    node("SequenceWithMemory", Family::Control, &[]),
    node("Fallback", Family::Control, &[]),
    node("AsyncFallback", Family::Control, &[]),
    node("ReactiveSequence", Family::Control, &[]),
    node("ReactiveFallback", Family::Control, &[]),
    node("Parallel", Family::Control, &["success_count", "failure_count"]),
    node("IfThenElse", Family::Branch, &[]),
    node("WhileDoElse", Family::Branch, &[]),
    node("Inverter", Family::Decorator, &[]),
    node("ForceSuccess", Family::Decorator, &[]),
    node("ForceFailure", Family::Decorator, &[]),
    node("KeepRunningUntilFailure", Family::Decorator, &[]),
    node("Repeat", Family::Decorator, &["num_cycles"]),
    node("RetryUntilSuccessful", Family::Decorator, &["num_attempts"]),
    node("Timeout", Family::Decorator, &["msec"]),
    node("Delay", Family::Decorator, &["delay_msec"]),
    node("SubTree", Family::Leaf, &[]),
    node("AlwaysSuccess", Family::Leaf, &[]),
    node("AlwaysFailure", Family::Leaf, &[]),
    node("Script", Family::Leaf, &["code"]),
    node("ScriptCondition", Family::Leaf, &["code"]),
    node("SetBlackboard", Family::Leaf, &["value", "output_key"]),
    node("Sleep", Family::Leaf, &["msec"]),
];

pub(super) fn find(id: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.id == id)
}
