//! Bags that cells handed in: list, get, remove.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Subcommand;
use swarm_api::bag::{Bag, BagPage};

use crate::output::{Table, plain, short, size};
use crate::transfer::fetch_bag;
use crate::{Context, Outcome};

/// Bags that cells handed in: list, get, remove.
#[derive(Debug, Subcommand)]
pub(crate) enum Bags {
    /// List bags, newest first.
    List {
        /// At most so many.
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Download a bag as a tar archive; its digest is verified. What is there already of a download that broke is not asked for again.
    Get {
        /// Its number.
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        id: i64,
        /// File for the archive [default: NAME.tar here].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Remove a bag from the registry, with its bytes.
    Remove {
        /// Its number.
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        id: i64,
    },
}

pub(crate) fn run(command: &Bags, context: &Context) -> anyhow::Result<Outcome> {
    let registry = context.registry.open()?;
    match command {
        Bags::List { limit } => {
            let page: BagPage = registry.get(&format!("/api/v1/bags?limit={limit}"))?;
            context.output.show(&page.items, || {
                let mut table = Table::new(["id", "name", "from", "size", "digest", "handed in"]);
                for bag in &page.items {
                    table.row([
                        bag.id.to_string(),
                        plain(&bag.name),
                        plain(&bag.site),
                        size(bag.size),
                        short(&bag.digest),
                        plain(&bag.uploaded_at),
                    ]);
                }
                let more = if page.next_after.is_some() { "there are more; see --limit\n" } else { "" };
                table.text("no bags") + more
            })?;
        }
        Bags::Get { id, out } => {
            let bag: Bag = registry.get(&format!("/api/v1/bags/{id}"))?;
            let out = match out {
                Some(out) => out.clone(),
                None => file_name(&bag)?,
            };
            fetch_bag(&registry, &bag, &out)?;
            let done = serde_json::json!({"bag": bag, "file": out.display().to_string()});
            context.output.show(&done, || {
                format!("bag {id} ({}) is in '{}'; unpack it with `tar -xf`\n", size(bag.size), out.display())
            })?;
        }
        Bags::Remove { id } => {
            registry.delete(&format!("/api/v1/bags/{id}"))?;
            context.output.show(&serde_json::json!({"removed": id}), || format!("bag {id} is removed\n"))?;
        }
    }
    Ok(Outcome::Done)
}

/// The registry's words become the name of a file: only as what they should be.
fn file_name(bag: &Bag) -> anyhow::Result<PathBuf> {
    let first = bag.name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bag.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    ensure!(first && rest, "the bag's name '{}' is no name of a file; give one with --out", plain(&bag.name));
    Ok(format!("{}.tar", bag.name).into())
}
