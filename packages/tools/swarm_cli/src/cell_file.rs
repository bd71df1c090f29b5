//! A cell's declaration and what it names, from disk.

use std::path::Path;

use anyhow::Context as _;
use swarm_cell::CellConfig;
use swarm_safety_core::Timing;
use swarm_safety_setup::Sources;

use crate::output::read;

/// The texts that a declaration's configuration is made from.
pub(crate) fn sources(declaration: &Path) -> anyhow::Result<Sources> {
    let root = swarm_cell::root_of(declaration);
    Sources::gather(read(declaration)?, |file| read(&root.join(file)))
        .with_context(|| format!("'{}' cannot be used", declaration.display()))
}

/// The period that the declaration gives to the safety monitor; everything else as the monitor has it by itself.
pub(crate) fn declared_timing(cell: &CellConfig) -> Timing {
    let node = cell.nodes.iter().find(|node| node.package == "swarm_safety_monitor");
    node.map_or_else(Timing::default, |node| Timing::every(node.schedule.period_us as f64 * 1e-6))
}
