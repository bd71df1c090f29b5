//! `csactl provenance`: what an artifact was made from, what was made from it, and where each of them ran.

use swarm_api::provenance::{ProvenanceGraph, Relative};

use crate::output::{Table, short, word};
use crate::target::Reference;
use crate::{Context, Outcome};

/// Show an artifact's family: whom a bad one came from, who was made from it, and which cells had each.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number, digest, or SKILL@VERSION.
    csa: Reference,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let digest = args.csa.find(&registry)?.digest;
    let graph: ProvenanceGraph = registry.get(&format!("/api/v1/csa/{digest}/provenance"))?;
    context.output.show(&graph, || {
        let mut table = Table::new([
            "relation",
            "id",
            "skill",
            "version",
            "status",
            "digest",
            "made from",
            "trained on",
            "cells",
        ]);
        add(&mut table, "this", &graph.artifact);
        graph.ancestors.iter().for_each(|relative| add(&mut table, "ancestor", relative));
        graph.descendants.iter().for_each(|relative| add(&mut table, "descendant", relative));
        let cut = if graph.cut { "there are more; ask again for one of these\n" } else { "" };
        table.text("nothing") + cut
    })?;
    Ok(Outcome::Done)
}

fn add(table: &mut Table, relation: &str, relative: &Relative) {
    let artifact = &relative.artifact;
    let cells = relative.cells.iter().map(|ran| format!("{} ({})", ran.site_id, word(&ran.state)));
    table.row([
        relation.to_owned(),
        artifact.id.to_string(),
        artifact.skill_name.clone(),
        artifact.version.clone(),
        word(&artifact.status),
        short(&artifact.digest),
        artifact.provenance.parent.as_deref().map_or_else(|| "-".to_owned(), short),
        artifact.provenance.training_data.clone().unwrap_or_else(|| "-".to_owned()),
        cells.collect::<Vec<_>>().join(", "),
    ]);
}
