//! `csactl`, the central command line: keys and signed metadata, artifacts, which cell runs what, roll-outs, the audit log, backups.
//!
//! One module per command under `commands`. What they share:
//! - [`connection`]: requests to the registry, and its refusals in its own words; [`transfer`]: artifacts over the network.
//! - [`repositories`]: the update repositories, believed as a cell believes them before anything is signed; [`draft`]: files that
//!   several people sign.
//! - [`verify`]: many artifacts in parallel; [`backup`]: the registry's database and artifacts, away and back.
//! - [`output`], [`files`]: tables and JSON; files that appear whole, keys that are never overwritten.
//!
//! Private keys are read from files here and go nowhere. The registry holds its online key and no other.
//!
//! Exit codes: 0 done, or the answer is yes; 1 refused, or the answer is no; 2 the command could not do its work (bad usage, a
//! missing file, no answer).

mod backup;
mod commands;
mod connection;
mod draft;
pub mod evidence;
mod files;
mod output;
mod repositories;
mod target;
mod transfer;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use swarm_base::ErrorChain;

use connection::CallError;
use output::Output;
use repositories::UpdateError;

/// The central command line of robot cells: keys and signed metadata, artifacts, deployments, roll-outs, the audit log, backups.
///
/// Exit codes: 0 done or yes, 1 refused or no, 2 could not do it.
#[derive(Debug, Parser)]
#[command(name = "csactl", version, max_term_width = 110)]
struct Cli {
    /// Print one JSON value instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    registry: connection::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Keys(commands::keys::Keys),
    SignMetadata(commands::metadata::Sign),
    PublishMetadata(commands::metadata::Publish),
    PublishRoot(commands::metadata::PublishRoot),
    #[command(subcommand)]
    Ca(commands::ca::Ca),
    #[command(subcommand)]
    Token(commands::token::Token),
    Upload(commands::upload::Args),
    List(commands::artifacts::List),
    Show(commands::artifacts::Show),
    Download(commands::artifacts::Download),
    Publish(commands::publish::Publish),
    Withdraw(commands::publish::Withdraw),
    Promote(commands::publish::Promote),
    /// Withdraw an artifact from the registry: it stays listed with its reason, and is handed out no more.
    Quarantine(commands::artifacts::Quarantine),
    /// Lift a quarantine.
    Release(commands::artifacts::Quarantine),
    Provenance(commands::provenance::Args),
    VerifyAll(commands::verify_all::Args),
    Deploy(commands::fleet::DeployArgs),
    Rollback(commands::fleet::RollbackArgs),
    Cells(commands::fleet::CellsArgs),
    Deployments(commands::fleet::HistoryArgs),
    Decommission(commands::fleet::DecommissionArgs),
    #[command(subcommand)]
    Rollout(commands::rollout::Rollout),
    #[command(subcommand)]
    Approvals(commands::approvals::Approvals),
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    #[command(subcommand)]
    Bags(commands::bags::Bags),
    Diagnostics(commands::diagnostics::Args),
    Backup(commands::backup::BackupArgs),
    Restore(commands::backup::RestoreArgs),
    ListBackups(commands::backup::ListArgs),
    #[command(subcommand)]
    Dr(commands::backup::Dr),
    #[command(hide = true)]
    EvidenceRestore(commands::evidence_restore::Args),
}

/// What every command needs.
#[derive(Debug)]
struct Context {
    output: Output,
    registry: connection::Options,
}

/// How a command ended, other than by not being able to do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// The command did its work, and the answer is no. It has said why.
    Refused,
}

/// Parses the command line, runs the command, reports.
pub fn run() -> ExitCode {
    let Cli { json, registry, command } = Cli::parse();
    let context = Context { output: if json { Output::Scripts } else { Output::People }, registry };
    match dispatch(&command, &context) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Err(error) => report(&error, context.output),
    }
}

fn dispatch(command: &Command, context: &Context) -> anyhow::Result<Outcome> {
    match command {
        Command::Keys(command) => commands::keys::run(command, context),
        Command::SignMetadata(args) => commands::metadata::sign(args, context),
        Command::PublishMetadata(args) => commands::metadata::publish_drafts(args, context),
        Command::PublishRoot(args) => commands::metadata::publish_root(args, context),
        Command::Ca(command) => commands::ca::run(command, context),
        Command::Token(command) => commands::token::run(command, context),
        Command::Upload(args) => commands::upload::run(args, context),
        Command::List(args) => commands::artifacts::list(args, context),
        Command::Show(args) => commands::artifacts::show(args, context),
        Command::Download(args) => commands::artifacts::download(args, context),
        Command::Publish(args) => commands::publish::publish(args, context),
        Command::Withdraw(args) => commands::publish::withdraw(args, context),
        Command::Promote(args) => commands::publish::promote(args, context),
        Command::Quarantine(args) => commands::artifacts::quarantine(args, context),
        Command::Release(args) => commands::artifacts::release(args, context),
        Command::Provenance(args) => commands::provenance::run(args, context),
        Command::VerifyAll(args) => commands::verify_all::run(args, context),
        Command::Deploy(args) => commands::fleet::deploy(args, context),
        Command::Rollback(args) => commands::fleet::rollback(args, context),
        Command::Cells(args) => commands::fleet::cells(args, context),
        Command::Deployments(args) => commands::fleet::deployments(args, context),
        Command::Decommission(args) => commands::fleet::decommission(args, context),
        Command::Rollout(command) => commands::rollout::run(command, context),
        Command::Approvals(command) => commands::approvals::run(command, context),
        Command::Audit(command) => commands::audit::run(command, context),
        Command::Bags(command) => commands::bags::run(command, context),
        Command::Diagnostics(args) => commands::diagnostics::run(args, context),
        Command::Backup(args) => commands::backup::backup(args, context),
        Command::Restore(args) => commands::backup::restore_command(args, context),
        Command::ListBackups(args) => commands::backup::list_backups(args, context),
        Command::Dr(command) => commands::backup::dr(command, context),
        Command::EvidenceRestore(args) => commands::evidence_restore::run(args, context),
    }
}

/// Says what went wrong, to people on standard error and to scripts on standard output besides.
fn report(error: &anyhow::Error, output: Output) -> ExitCode {
    let text = ErrorChain(error.as_ref()).to_string();
    eprintln!("error: {text}");
    let refusal = refusal_code(error);
    if output == Output::Scripts {
        let said = output.show(&serde_json::json!({"error": text, "code": refusal}), String::new);
        if let Err(error) = said {
            eprintln!("error: {error}");
        }
    }
    ExitCode::from(if refusal.is_some() { 1 } else { 2 })
}

/// The code of a refusal: the registry's, or that of metadata or of an artifact that is not believed.
fn refusal_code(error: &anyhow::Error) -> Option<String> {
    let code = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(error) = cause.downcast_ref::<CallError>() {
            return error.code().map(str::to_owned);
        }
        if let Some(error) = cause.downcast_ref::<UpdateError>() {
            return match error {
                UpdateError::Refused(refusal) => Some(refusal.code().to_owned()),
                UpdateError::Call(error) => error.code().map(str::to_owned),
                UpdateError::Folder(_) => None,
            };
        }
        if let Some(error) = cause.downcast_ref::<swarm_store::StoreError>() {
            return error.refusal_code().map(str::to_owned);
        }
        cause.downcast_ref::<swarm_tuf::Refusal>().map(|refusal| refusal.code().to_owned())
    };
    error.chain().find_map(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_refusal_is_told_from_a_failure() {
        let refused =
            anyhow::Error::new(UpdateError::Refused(swarm_tuf::Refusal::NotInSnapshot { role: "a".into() }));
        assert_eq!(refusal_code(&refused.context("refreshing")).as_deref(), Some("not_in_snapshot"));
        let problem = CallError::Strange { what: "GET /".into(), status: 502, beginning: String::new() };
        assert_eq!(refusal_code(&problem.into()), None);
    }
}
