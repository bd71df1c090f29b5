//! How many nodes one tick can visit at most.

use swarm_bt::Tree;

/// Executions of nodes in one tick, in the worst case: a bound on what a tick costs.
///
/// A node executes each of its children at most once per tick. Only Repeat and RetryUntilSuccessful execute theirs twice, and that
/// only if it was running when the tick began: it completes, and is started anew. So two numbers are worked out for each node, for
/// a tick that finds it idle and for one that finds it in any state.
pub fn worst_case_visits(tree: &Tree) -> u64 {
    let count = tree.nodes().len();
    let (mut from_idle, mut from_any) = (vec![1_u64; count + 1], vec![1_u64; count + 1]);
    // Children have higher uids than their parents.
    for info in tree.nodes().iter().rev() {
        let Some(view) = tree.view(info.uid) else { continue };
        let at = usize::from(info.uid);
        let twice = matches!(view.id(), "Repeat" | "RetryUntilSuccessful");
        for child in view.children().map(usize::from) {
            from_idle[at] = from_idle[at].saturating_add(from_idle[child]);
            from_any[at] = from_any[at].saturating_add(from_any[child]);
            if twice {
                from_any[at] = from_any[at].saturating_add(from_idle[child]);
            }
        }
    }
    from_any.get(1).copied().unwrap_or(0)
}
