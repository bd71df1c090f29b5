//! The audit log: read, and followed from its first entry to its last by this program itself.

use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;
use swarm_api::audit::{AuditEntry, AuditPage};
use swarm_artifact::Sha256Sum;
use swarm_audit::{BEGINNING, Entry, Verifier};

use crate::connection::Registry;
use crate::output::{Table, short};
use crate::{Context, Outcome};

const PAGE: i64 = 1000;

/// Who did what, in a chain of hashes.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List the entries, oldest first.
    List {
        /// Only those behind this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
        after: i64,
        /// At most so many.
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
    },
    /// Follow the whole log here: every entry's hash is computed again.
    ///
    /// Whoever can write the registry's database can write a whole new log. A head that was noted elsewhere earlier shows it:
    /// give it as --expect-head, and note the one that is printed.
    Verify {
        /// The head that an earlier run printed; the log must still contain it.
        #[arg(long, value_name = "SHA256")]
        expect_head: Option<Sha256Sum>,
    },
}

pub(crate) fn run(command: &Audit, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    match command {
        Audit::List { after, limit } => list(&registry, *after, *limit, context),
        Audit::Verify { expect_head } => verify(&registry, *expect_head, context),
    }
}

fn list(registry: &Registry, mut after: i64, limit: usize, context: &Context) -> anyhow::Result<Outcome> {
    let mut entries: Vec<AuditEntry> = Vec::new();
    while entries.len() < limit {
        let wanted = (limit - entries.len()).min(PAGE as usize);
        let page: AuditPage = registry.get(&format!("/api/v1/audit?after={after}&limit={wanted}"))?;
        entries.extend(page.items);
        let Some(next) = page.next_after else { break };
        after = next;
    }
    context.output.show(&entries, || {
        let mut table = Table::new(["seq", "at", "who", "action", "subject", "detail", "hash"]);
        for entry in &entries {
            table.row([
                entry.seq.to_string(),
                swarm_yaml::moment(entry.at_unix),
                entry.who.clone(),
                entry.action.clone(),
                entry.subject.clone(),
                entry.detail.clone(),
                short(&entry.hash),
            ]);
        }
        table.text("no entries")
    })?;
    Ok(Outcome::Done)
}

/// How the log was found.
#[derive(Debug, Serialize)]
struct Verdict {
    intact: bool,
    entries: i64,
    head: String,
    problem: Option<String>,
}

fn verify(registry: &Registry, expect_head: Option<Sha256Sum>, context: &Context) -> anyhow::Result<Outcome> {
    let mut verifier = Verifier::default();
    // The head of a log without entries.
    let mut seen = expect_head.is_none_or(|head| head == BEGINNING);
    let problem = follow(registry, &mut verifier, |entry| seen |= Some(entry.hash) == expect_head)?;
    let (entries, head) = verifier.head();
    let problem = problem.or_else(|| {
        let expected = expect_head.filter(|_| !seen)?;
        Some(format!(
            "no entry has the hash {expected} that was noted earlier: the log was cut short or written anew; it has {entries} entries"
        ))
    });
    let verdict = Verdict { intact: problem.is_none(), entries, head: head.to_string(), problem };
    context.output.show(&verdict, || match &verdict.problem {
        None => format!(
            "intact: {entries} entries\nhead {head}\nnote the head elsewhere; `--expect-head` then shows a log that was written anew"
        ),
        Some(problem) => format!("NOT what was written: {}", crate::output::plain(problem)),
    })?;
    Ok(if verdict.intact { Outcome::Done } else { Outcome::Refused })
}

/// Follows the log page by page; says where it is not what was written.
pub(crate) fn follow(
    registry: &Registry,
    verifier: &mut Verifier,
    mut each: impl FnMut(&Entry),
) -> anyhow::Result<Option<String>> {
    let mut after = 0;
    loop {
        let page: AuditPage = registry.get(&format!("/api/v1/audit?after={after}&limit={PAGE}"))?;
        for entry in page.items {
            let seq = entry.seq;
            let entry = match Entry::try_from(entry) {
                Ok(entry) => entry,
                Err(error) => return Ok(Some(format!("entry {seq} of the audit log: {error}"))),
            };
            if let Err(error) = verifier.next(&entry) {
                return Ok(Some(error.to_string()));
            }
            each(&entry);
        }
        match page.next_after {
            Some(next) if next > after => after = next,
            Some(next) => bail!("the registry's log goes on at {next} again; it is no log"),
            None => return Ok(None),
        }
    }
}
