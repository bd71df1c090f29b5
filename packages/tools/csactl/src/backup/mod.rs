//! Backups of a registry: its database and its artifacts, and back again.
//!
//! ```text
//! artifacts/sha256/ab/abcd….tar.gz          every artifact once, by its digest, for all backups of the place
//! backups/full_backup_20270115_020000/
//!     database.sqlite | database.dump       all tables at one moment
//!     manifest.json                         written last: without it, it is no backup
//!     restored_20270116_031500.json         a restore of it that ended well
//! ```
//!
//! An artifact is never changed and its record never deleted, so that the database comes first: whatever it names is in the
//! store then, and stays. A backup costs the database and the artifacts that are new. A restore goes the other way round: the
//! artifacts first, the database last, so that a restore that was cut off leaves no registry that looks whole.
//!
//! Not in a backup: uploads that are under way, private keys, the trust file, settings. Keys are kept as their ceremony says.

pub(crate) mod database;
pub(crate) mod manifest;
pub(crate) mod place;
pub(crate) mod postgres;
pub(crate) mod restore;
pub(crate) mod take;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use swarm_api::database::DatabaseSettings;

/// Where the registry keeps what it has; names and defaults are the registry's own.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Kept {
    /// The registry's data folder, for what the next two options leave open.
    #[arg(long, env = "REGISTRY_DATA_PATH", value_name = "DIR", default_value = "swarm_registry_data")]
    pub(crate) data: PathBuf,
    /// sqlite:FILE or postgresql://USER@HOST/NAME [default: a SQLite file in the data folder].
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Host of a PostgreSQL server, with DATABASE_NAME, DATABASE_USER and DATABASE_PASSWORD in place of DATABASE_URL.
    #[arg(long, env = "DATABASE_HOST", value_name = "HOST")]
    pub(crate) database_host: Option<String>,
    #[arg(long, env = "DATABASE_PORT", value_name = "PORT", default_value = "5432")]
    pub(crate) database_port: String,
    #[arg(long, env = "DATABASE_NAME", value_name = "NAME")]
    pub(crate) database_name: Option<String>,
    #[arg(long, env = "DATABASE_USER", value_name = "NAME")]
    pub(crate) database_user: Option<String>,
    /// The artifacts: a folder, or s3://BUCKET/PREFIX [default: a folder in the data folder].
    #[arg(long, env = "ARTIFACT_STORAGE_PATH", value_name = "PLACE")]
    pub(crate) artifacts: Option<String>,
}

impl Kept {
    pub(crate) fn database(&self) -> anyhow::Result<database::Address> {
        let password = std::env::var("DATABASE_PASSWORD").ok();
        let settings = DatabaseSettings {
            url: self.database_url.as_deref(),
            host: self.database_host.as_deref(),
            port: &self.database_port,
            name: self.database_name.as_deref(),
            user: self.database_user.as_deref(),
            password: password.as_deref(),
        };
        let address = settings.address(&self.data);
        let address = address.map_err(|why| anyhow!("DATABASE_URL (--database-url): {why}"))?;
        database::Address::parse(&address)
    }

    pub(crate) fn artifacts(&self) -> String {
        self.artifacts.clone().unwrap_or_else(|| self.data.join("artifacts").display().to_string())
    }
}

/// What database and store are spoken to with; both are asynchronous libraries.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")
}

/// Where an artifact is, in the registry's store and in a backup's.
pub(crate) fn artifact_path(digest: &str) -> String {
    format!("sha256/{}/{digest}.tar.gz", digest.get(..2).unwrap_or_default())
}
