//! What one person asked for and a second one has to confirm.

use clap::Subcommand;
use swarm_api::approval::{Approval, ApprovalPage, Confirmed};

use crate::output::{Output, Table, word};
use crate::{Context, Outcome};

/// Requests that wait for a second person.
#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List them, and those that are done; newest first.
    List,
    /// Confirm what another person asked for; it is done then.
    Confirm {
        /// Number of the approval.
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        id: i64,
    },
}

pub(crate) fn run(command: &Approvals, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    match command {
        Approvals::List => {
            let page: ApprovalPage = registry.get("/api/v1/approvals?limit=100")?;
            context.output.show(&page, || table(&page.items))?;
        }
        Approvals::Confirm { id } => {
            let path = format!("/api/v1/approvals/{id}/confirm");
            let confirmed: Confirmed = registry.post_now(&path, &serde_json::json!({}))?;
            context.output.show(&confirmed, || {
                let mut text = table(std::slice::from_ref(&confirmed.approval));
                if let Some(assigned) = &confirmed.assigned {
                    text += &super::fleet::describe(assigned);
                }
                text
            })?;
        }
    }
    Ok(Outcome::Done)
}

fn table(approvals: &[Approval]) -> String {
    let mut table = Table::new(["id", "state", "asked by", "at", "until", "confirmed by", "what"]);
    for item in approvals {
        table.row([
            item.id.to_string(),
            word(&item.state),
            item.requested_by.clone(),
            item.requested_at.clone(),
            item.expires_at.clone(),
            item.confirmed_by.clone().unwrap_or_else(|| "-".to_owned()),
            item.detail.clone(),
        ]);
    }
    table.text("nothing waits for a second person")
}

/// Says that nothing was done yet.
pub(crate) fn waiting(approval: &Approval, output: Output) -> anyhow::Result<()> {
    output.show(&serde_json::json!({"approval": approval}), || {
        format!(
            "{}nothing was done yet: a second person has to confirm it with `csactl approvals confirm {}`",
            table(std::slice::from_ref(approval)),
            approval.id
        )
    })
}
