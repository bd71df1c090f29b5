//! Backups: taken, listed, restored, and whether they would do.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::Serialize;
use swarm_store::{read_trust, unix_now};

use crate::backup::manifest::{Listed, list, parse_id};
use crate::backup::place::{Missing, Place};
use crate::backup::restore::restore;
use crate::backup::take::{Options, take};
use crate::backup::{Kept, runtime};
use crate::output::{Table, fields, size};
use crate::{Context, Outcome};

/// Where backups are.
#[derive(Debug, clap::Args)]
pub(crate) struct Backups {
    /// Place of the backups: a folder, or s3://BUCKET/PREFIX [default: s3://$S3_BUCKET].
    #[arg(long = "out", visible_alias = "from", env = "BACKUP_PLACE", value_name = "PLACE")]
    place: Option<String>,
    /// The bucket, where --out is not given.
    #[arg(long, env = "S3_BUCKET", value_name = "BUCKET", hide = true)]
    s3_bucket: Option<String>,
}

impl Backups {
    fn open(&self, missing: Missing) -> anyhow::Result<Place> {
        let bucket = self.s3_bucket.as_ref().filter(|bucket| !bucket.is_empty());
        let name = self.place.clone().or_else(|| bucket.map(|bucket| format!("s3://{bucket}")));
        Place::open(&name.context("no place is given for the backups; give --out, or S3_BUCKET")?, missing)
    }
}

/// Back up the registry's database and artifacts. The registry goes on meanwhile.
///
/// The database is copied as it is at one moment (SQLite: VACUUM INTO; PostgreSQL: pg_dump), then every artifact that the
/// place does not have yet. Not included: private keys, trust file, settings.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    backups: Backups,
    #[command(flatten)]
    kept: Kept,
    /// `full`, the only kind: it copies only artifacts that are new, so that an incremental one would save nothing.
    #[arg(long = "type", env = "BACKUP_TYPE", value_name = "TYPE", default_value = "full")]
    kind: String,
    /// Remove backups that are older; the newest whole one stays in any case [default: keep all].
    #[arg(long, env = "RETENTION_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    retention_days: Option<u32>,
    /// Read the artifacts again that the place has already, and copy those anew that were damaged there.
    #[arg(long)]
    reread: bool,
}

pub(crate) fn backup(args: &BackupArgs, context: &Context) -> anyhow::Result<Outcome> {
    if args.kind != "full" {
        bail!(
            "BACKUP_TYPE (--type) is '{}', and only 'full' is known: a full backup copies only the artifacts that are new",
            args.kind.escape_debug()
        );
    }
    let runtime = runtime()?;
    let (place, artifacts) =
        (args.backups.open(Missing::Make)?, Place::open(&args.kept.artifacts(), Missing::Refuse)?);
    let options = Options { now_unix: unix_now(), reread: args.reread, retention_days: args.retention_days };
    let taken = runtime.block_on(take(&args.kept.database()?, &artifacts, &place, options))?;
    context.output.show(&taken, || {
        let mut text = fields([
            ("backup", taken.id.clone()),
            ("database", size(taken.database_bytes)),
            (
                "artifacts",
                format!("{}, {} of them new ({})", taken.artifacts, taken.copied, size(taken.copied_bytes)),
            ),
        ]);
        if !taken.removed.is_empty() {
            let _ = writeln!(text, "removed, older than they are kept: {}", taken.removed.join(", "));
        }
        text
    })?;
    Ok(Outcome::Done)
}

/// Restore a backup into an empty place, and verify all of it. Nothing is overwritten. The registry must not run.
///
/// Exit codes: 0 everything is there and good, 1 something was lost, 2 could not restore.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    backups: Backups,
    #[command(flatten)]
    kept: Kept,
    /// The backup, such as full_backup_20270115_020000 [default: the newest whole one].
    #[arg(long, value_name = "ID")]
    backup_id: Option<String>,
    /// The trust file, to judge every artifact's signatures too.
    #[arg(long, env = "TRUST_PATH", value_name = "FILE")]
    trust: Option<PathBuf>,
}

/// What no program can know, and a person has to do.
const AFTERWARDS: &str = "\
what came after the backup is not in it: quarantine and withdraw again what was withdrawn since.
cells that have seen newer metadata refuse this one as a rollback; with another online key they follow: csactl keys rotate \
online, with a fresh --metadata folder
";

pub(crate) fn restore_command(args: &RestoreArgs, context: &Context) -> anyhow::Result<Outcome> {
    let trust = args.trust.as_deref().map(read_trust).transpose()?;
    let runtime = runtime()?;
    let place = args.backups.open(Missing::Refuse)?;
    let id = match &args.backup_id {
        Some(id) => id.clone(),
        None => newest_whole(&runtime.block_on(list(&place))?)
            .with_context(|| format!("'{}' has no whole backup", place.name))?
            .id
            .clone(),
    };
    parse_id(&id)?;
    let artifacts = Place::open(&args.kept.artifacts(), Missing::Make)?;
    let report = restore(&runtime, &place, &id, &args.kept.database()?, &artifacts, trust.as_ref())?;
    context.output.show(&report, || {
        report.verdict.text()
            + &fields([
                ("restored", report.id.clone()),
                ("seconds", format!("{:.2}", report.seconds)),
                ("rows", format!("{}, {} lost", report.rows, report.rows_lost)),
                ("artifacts lost", report.artifacts_lost.to_string()),
                ("audit head", report.audit_head.clone()),
            ])
            + AFTERWARDS
    })?;
    Ok(if report.good() { Outcome::Done } else { Outcome::Refused })
}

fn newest_whole(listed: &[Listed]) -> Option<&Listed> {
    listed.iter().rfind(|backup| backup.problem.is_none())
}

/// List backups, oldest first.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    backups: Backups,
}

pub(crate) fn list_backups(args: &ListArgs, context: &Context) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let listed = runtime.block_on(list(&args.backups.open(Missing::Refuse)?))?;
    context.output.show(&listed, || {
        let mut table = Table::new(["backup", "database", "rows", "artifacts", "restored", "problem"]);
        for backup in &listed {
            let manifest = backup.manifest.as_ref();
            table.row([
                backup.id.clone(),
                manifest.map_or_else(String::new, |it| {
                    format!("{} {}", it.database.kind, size(it.database.length))
                }),
                manifest.map_or_else(String::new, |it| it.rows.values().sum::<i64>().to_string()),
                manifest.map_or_else(String::new, |it| it.artifacts.len().to_string()),
                backup
                    .restored
                    .as_ref()
                    .map_or_else(|| "never".to_owned(), |it| swarm_yaml::moment(it.at_unix)),
                backup.problem.clone().unwrap_or_default(),
            ]);
        }
        table.text("no backups")
    })?;
    Ok(Outcome::Done)
}

/// Disaster recovery.
#[derive(Debug, Subcommand)]
pub(crate) enum Dr {
    /// Would the backups do? Exit code 1 where they would not.
    Status {
        #[command(flatten)]
        backups: Backups,
        /// The newest backup may be so old.
        #[arg(long, value_name = "HOURS", default_value_t = 26, value_parser = clap::value_parser!(u32).range(1..))]
        max_age_hours: u32,
        /// The last restore that went well may be so long ago.
        #[arg(long, value_name = "DAYS", default_value_t = 35, value_parser = clap::value_parser!(u32).range(1..))]
        max_drill_days: u32,
    },
}

/// Whether the backups would do.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    backups: usize,
    newest: Option<String>,
    /// What would be lost: everything since then, in seconds.
    newest_age_s: Option<i64>,
    last_restore_unix: Option<i64>,
    last_restore_seconds: Option<f64>,
    problems: Vec<String>,
}

pub(crate) fn dr(command: &Dr, context: &Context) -> anyhow::Result<Outcome> {
    let Dr::Status { backups, max_age_hours, max_drill_days } = command;
    let runtime = runtime()?;
    let listed = runtime.block_on(list(&backups.open(Missing::Refuse)?))?;
    let (max_age_s, max_drill_s) = (i64::from(*max_age_hours) * 3600, i64::from(*max_drill_days) * 86_400);
    let readiness = judge(&listed, unix_now(), max_age_s, max_drill_s);
    context.output.show(&readiness, || {
        let mut text = fields([
            ("backups", readiness.backups.to_string()),
            ("newest", readiness.newest.clone().unwrap_or_else(|| "none".to_owned())),
            (
                "would lose",
                readiness.newest_age_s.map_or_else(
                    || "everything".to_owned(),
                    |age| format!("what came in the last {} min", age / 60),
                ),
            ),
            (
                "last restore",
                readiness.last_restore_unix.map_or_else(|| "never".to_owned(), swarm_yaml::moment),
            ),
            (
                "took",
                readiness
                    .last_restore_seconds
                    .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s")),
            ),
        ]);
        for problem in &readiness.problems {
            let _ = writeln!(text, "PROBLEM: {problem}");
        }
        text
    })?;
    Ok(if readiness.ready { Outcome::Done } else { Outcome::Refused })
}

fn judge(listed: &[Listed], now_unix: i64, max_age_s: i64, max_drill_s: i64) -> Readiness {
    let whole = listed.iter().filter(|backup| backup.problem.is_none());
    let newest = newest_whole(listed);
    let restored =
        whole.clone().filter_map(|backup| backup.restored.as_ref()).max_by_key(|restored| restored.at_unix);
    let age = newest.map(|backup| now_unix - backup.made_unix);
    let mut problems = Vec::new();
    match age {
        None => problems.push("there is no whole backup; run `csactl backup`".to_owned()),
        Some(age) if age > max_age_s => problems.push(format!(
            "the newest backup is {} h old, and {} h are allowed; does the daily `csactl backup` run?",
            age / 3600,
            max_age_s / 3600
        )),
        Some(_) => {}
    }
    match restored.map(|restored| now_unix - restored.at_unix) {
        None => problems.push("none of them was ever restored; run `csactl restore` into a scratch folder".to_owned()),
        Some(ago) if ago > max_drill_s => problems.push(format!(
            "the last restore was {} days ago, and {} are allowed; run `csactl restore` into a scratch folder",
            ago / 86_400,
            max_drill_s / 86_400
        )),
        Some(_) => {}
    }
    let cut_off = listed.iter().filter(|backup| backup.problem.is_some());
    problems.extend(
        cut_off.map(|backup| format!("{}: {}", backup.id, backup.problem.clone().unwrap_or_default())),
    );
    Readiness {
        ready: problems.is_empty(),
        backups: whole.count(),
        newest: newest.map(|backup| backup.id.clone()),
        newest_age_s: age,
        last_restore_unix: restored.map(|restored| restored.at_unix),
        last_restore_seconds: restored.map(|restored| restored.seconds),
        problems,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::Restored;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;

    fn backup(hours_ago: i64, problem: Option<&str>, restored_hours_ago: Option<i64>) -> Listed {
        let restored = restored_hours_ago.map(|ago| Restored { at_unix: NOW - ago * HOUR, seconds: 2.0 });
        let problem = problem.map(str::to_owned);
        Listed { id: String::new(), made_unix: NOW - hours_ago * HOUR, problem, manifest: None, restored }
    }

    #[test]
    fn backups_that_are_old_or_never_tried_would_not_do() {
        let problems = |listed: &[Listed]| judge(listed, NOW, 26 * HOUR, 35 * 24 * HOUR).problems.join("\n");
        assert_eq!(problems(&[backup(30, None, Some(20)), backup(2, None, None)]), "");
        assert!(problems(&[]).contains("no whole backup"));
        assert!(problems(&[backup(27, None, Some(1))]).contains("27 h old"));
        assert!(problems(&[backup(1, None, None)]).contains("ever restored"));
        assert!(problems(&[backup(1, None, Some(36 * 24))]).contains("36 days ago"));
        // One that was cut off is none.
        assert!(
            problems(&[backup(30, None, Some(1)), backup(1, Some("cut off"), None)]).contains("30 h old")
        );
    }
}
