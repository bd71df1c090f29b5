//! Which cell runs what: cells, the history of deployments, sending cells to an artifact and back.

use anyhow::bail;
use std::fmt::Write as _;
use swarm_api::cell::{Cell, CellPage, Motion};
use swarm_api::deployment::{Assigned, Deploy, Deployment, DeploymentPage, Rollback};
use swarm_artifact::SkillId;

use super::approvals::waiting;
use crate::connection::{Answer, Registry};
use crate::output::{Output, Table, short, word};
use crate::target::{Reference, site_id};
use crate::{Context, Outcome};

/// Send cells to an artifact. Each takes it up when it is at rest and its maintenance window is open.
#[derive(Debug, clap::Args)]
pub(crate) struct DeployArgs {
    /// Number, digest, or SKILL@VERSION.
    csa: Reference,
    /// The cell; may be given several times.
    #[arg(long = "cell", value_name = "SITE", value_parser = site_id, required = true)]
    cells: Vec<String>,
    /// Why; it is kept in the history.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) fn deploy(args: &DeployArgs, context: &Context) -> anyhow::Result<Outcome> {
    assign(&context.registry.open()?, &args.csa, &args.cells, &args.reason, context.output)
}

/// Sends cells to an artifact, one after the other. The first refusal ends it; what was done until then is printed first.
pub(crate) fn assign(
    registry: &Registry,
    csa: &Reference,
    cells: &[String],
    reason: &str,
    output: Output,
) -> anyhow::Result<Outcome> {
    let csa_id = csa.find(registry)?.id;
    let mut all = Assigned { deployments: Vec::new(), unchanged: Vec::new(), director: 0 };
    for site_id in cells {
        let deploy = Deploy { site_id: site_id.clone(), csa_id, reason: reason.to_owned() };
        match registry.post::<Assigned>("/api/v1/deployments", &deploy) {
            Ok(Answer::Done(assigned)) => {
                all.deployments.extend(assigned.deployments);
                all.unchanged.extend(assigned.unchanged);
                all.director = all.director.max(assigned.director);
            }
            Ok(Answer::Waiting(approval)) => waiting(&approval, output)?,
            Err(error) => {
                show(&all, output)?;
                return Err(anyhow::Error::new(error).context(format!("cell {site_id}")));
            }
        }
    }
    show(&all, output)?;
    Ok(Outcome::Done)
}

/// Send a cell, or ALL cells of a skill, back to an older artifact. A rollback waits for rest alone, not for the window.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// A cell, or ALL: every cell that is assigned another version of the target's skill.
    #[arg(value_parser = site_id)]
    site: String,
    /// The artifact to go back to: number, digest, or SKILL@VERSION.
    #[arg(long, value_name = "CSA")]
    to: Reference,
    /// Why; it is kept in the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Do not ask before ALL.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn rollback(args: &RollbackArgs, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let target = args.to.find(&registry)?;
    if args.site == "ALL" && !args.yes {
        let question = format!(
            "Send every cell of skill {} to {} {}?",
            target.skill_name, target.skill_name, target.version
        );
        if !super::confirmed(&question)? {
            bail!("nothing was done; to roll all cells back without being asked: --yes");
        }
    }
    let body = Rollback { site_id: args.site.clone(), target_csa_id: target.id, reason: args.reason.clone() };
    match registry.post::<Assigned>("/api/v1/deployment/rollback", &body)? {
        Answer::Done(assigned) => show(&assigned, context.output)?,
        Answer::Waiting(approval) => waiting(&approval, context.output)?,
    }
    Ok(Outcome::Done)
}

fn show(assigned: &Assigned, output: Output) -> anyhow::Result<()> {
    output.show(assigned, || describe(assigned))
}

pub(crate) fn describe(assigned: &Assigned) -> String {
    let mut text = history(&assigned.deployments, "no assignment changed");
    if !assigned.unchanged.is_empty() {
        let _ = writeln!(text, "assigned already: {}", assigned.unchanged.join(", "));
    }
    text
}

fn history(deployments: &[Deployment], otherwise: &str) -> String {
    let mut table =
        Table::new(["id", "site", "skill", "version", "cause", "state", "since", "by", "reason", "detail"]);
    for item in deployments {
        table.row([
            item.id.to_string(),
            item.site_id.clone(),
            item.skill_name.clone(),
            item.version.clone(),
            word(&item.cause),
            word(&item.state),
            item.state_at.clone(),
            item.requested_by.clone(),
            item.reason.clone(),
            item.detail.clone(),
        ]);
    }
    table.text(otherwise)
}

/// List cells: what each is assigned, what it runs, how it does.
#[derive(Debug, clap::Args)]
pub(crate) struct CellsArgs {
    /// Only this cell, with everything that it said.
    #[arg(value_parser = site_id)]
    site: Option<String>,
}

pub(crate) fn cells(args: &CellsArgs, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    if let Some(site) = &args.site {
        let cell: Cell = registry.get(&format!("/api/v1/cells/{site}"))?;
        context.output.show(&cell, || {
            let mut text = table(std::slice::from_ref(&cell));
            for trouble in cell.report.iter().flat_map(|report| &report.troubles) {
                let _ = writeln!(text, "trouble: {}", crate::output::plain(trouble));
            }
            text
        })?;
        return Ok(Outcome::Done);
    }
    let mut all: Vec<Cell> = Vec::new();
    let mut after = String::new();
    loop {
        let page: CellPage = registry.get(&format!("/api/v1/cells?limit=1000{after}"))?;
        all.extend(page.items);
        match page.next_after {
            Some(next) => after = format!("&after={}", site_id(&next).map_err(anyhow::Error::msg)?),
            None => break,
        }
    }
    context.output.show(&all, || table(&all))?;
    Ok(Outcome::Done)
}

fn table(cells: &[Cell]) -> String {
    let mut table = Table::new([
        "site", "online", "seen", "assigned", "running", "motion", "good", "bad", "stops", "crashes", "last",
    ]);
    for cell in cells {
        let report = cell.report.as_ref();
        let running = report.and_then(|report| report.running.as_ref());
        let health = running.map(|running| running.health).unwrap_or_default();
        table.row([
            cell.site_id.clone(),
            if cell.online { "yes" } else { "no" }.to_owned(),
            cell.seen_at.clone().unwrap_or_else(|| "never".to_owned()),
            cell.assigned.as_deref().map_or_else(|| "-".to_owned(), short),
            running.map_or_else(
                || "-".to_owned(),
                |it| format!("{} {} ({})", it.skill_name, it.version, short(&it.digest)),
            ),
            report.map_or("-", |report| motion(report.motion)).to_owned(),
            health.runs_succeeded.to_string(),
            health.runs_failed.to_string(),
            health.safety_violations.to_string(),
            health.crashes.to_string(),
            report
                .and_then(|report| report.outcome.as_ref())
                .map_or_else(String::new, |outcome| format!("{} {}", word(&outcome.state), outcome.detail)),
        ]);
    }
    table.text("no cells")
}

const fn motion(motion: Motion) -> &'static str {
    match motion {
        Motion::AtRest => "at rest",
        Motion::Moving => "moving",
        Motion::Unknown => "unknown",
    }
}

/// Which artifact each cell was given, when, by whom and why, and what became of it; newest first.
#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Only of this cell.
    #[arg(long, value_name = "SITE", value_parser = site_id)]
    cell: Option<String>,
    /// Only of this skill.
    #[arg(long, value_name = "SKILL")]
    skill: Option<SkillId>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

pub(crate) fn deployments(args: &HistoryArgs, context: &Context) -> anyhow::Result<Outcome> {
    let mut path = format!("/api/v1/deployments?limit={}", args.limit);
    if let Some(site) = &args.cell {
        let _ = write!(path, "&site_id={site}");
    }
    if let Some(skill) = &args.skill {
        let _ = write!(path, "&skill_name={skill}");
    }
    let page: DeploymentPage = context.registry.open()?.get(&path)?;
    context.output.show(&page, || history(&page.items, "no deployments"))?;
    Ok(Outcome::Done)
}

/// Take a cell out of the fleet for good: nothing is assigned to it any more, and its history stays.
///
/// Revoke its certificate, too (`csactl ca revoke`): a cell that goes on reporting is listed again, with nothing assigned.
#[derive(Debug, clap::Args)]
pub(crate) struct DecommissionArgs {
    #[arg(value_parser = site_id)]
    site: String,
    /// Do not ask before.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn decommission(args: &DecommissionArgs, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    let site = &args.site;
    if !args.yes && !super::confirmed(&format!("Take cell {site} out of the fleet?"))? {
        bail!("nothing was done; to take a cell out without being asked: --yes");
    }
    registry.delete(&format!("/api/v1/cells/{site}"))?;
    context.output.show(&serde_json::json!({"decommissioned": site}), || {
        format!("cell {site} is taken out; its history stays\n")
    })?;
    Ok(Outcome::Done)
}
