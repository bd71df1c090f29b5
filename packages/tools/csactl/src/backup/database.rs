//! The registry's database: written down at one moment while the registry goes on, read back, and looked into.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use swarm_artifact::Sha256Sum;
use swarm_audit::{Entry, Event, Verifier};

use super::place::Place;
use super::postgres;
use crate::verify::Item;

/// Where the database is. Never printed: it may hold a password.
#[derive(Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

/// What a database holds, as far as a backup and its restore are compared by it.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// Rows of each table.
    pub(crate) rows: BTreeMap<String, i64>,
    pub(crate) artifacts: Vec<Item>,
    pub(crate) audit_entries: i64,
    pub(crate) audit_head: Sha256Sum,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Address {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let file = rest.strip_prefix("//").unwrap_or(rest).split('?').next().unwrap_or_default();
            if file.is_empty() || file == ":memory:" {
                bail!("DATABASE_URL (--database-url): expected sqlite:FILE, found no file");
            }
            return Ok(Self::Sqlite(file.into()));
        }
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        bail!(
            "DATABASE_URL (--database-url): expected an address that begins with sqlite: or postgresql:, found another"
        )
    }

    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }

    /// File of a backup.
    pub(crate) const fn file(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "database.sqlite",
            Self::Postgres(_) => "database.dump",
        }
    }

    /// For messages; without passwords.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("'{}'", file.display()),
            Self::Postgres(_) => "the PostgreSQL database".to_owned(),
        }
    }

    /// Writes the database to `file` as it is at one moment, and says what is in it.
    pub(crate) async fn snapshot(&self, file: &Path) -> anyhow::Result<Contents> {
        match self {
            Self::Sqlite(source) => {
                if !source.is_file() {
                    bail!("there is no database '{}'; see --data and --database-url", source.display());
                }
                let mut connection = connect(&format!("sqlite:{}?mode=rw", source.display())).await?;
                // One read transaction: writers go on, and what they write meanwhile is not in it.
                let written = sqlx::query("VACUUM INTO $1").bind(file.display().to_string());
                written
                    .execute(&mut connection)
                    .await
                    .with_context(|| format!("cannot copy {}", self.shown()))?;
                connection.close().await?;
                // SQLite does not sync it.
                File::open(file).and_then(|file| file.sync_all())?;
                contents(&mut connect(&format!("sqlite:{}?mode=ro", file.display())).await?, self.kind())
                    .await
            }
            Self::Postgres(address) => {
                let mut connection = connect(address).await?;
                // pg_dump reads in this very snapshot, so that what is counted here is what is dumped.
                sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .execute(&mut connection)
                    .await?;
                let row = sqlx::query("SELECT pg_export_snapshot()").fetch_one(&mut connection).await?;
                let snapshot: String = row.try_get(0)?;
                let (address, to) = (postgres::Address::parse(address), file.to_owned());
                tokio::task::spawn_blocking(move || address.dump(&snapshot, &to)).await??;
                let contents = contents(&mut connection, self.kind()).await?;
                connection.close().await?;
                Ok(contents)
            }
        }
    }

    /// What is in it now.
    pub(crate) async fn contents(&self) -> anyhow::Result<Contents> {
        let mut connection = match self {
            Self::Sqlite(file) => {
                if !file.is_file() {
                    bail!("there is no database '{}'; see --data and --database-url", file.display());
                }
                connect(&format!("sqlite:{}?mode=rw", file.display())).await?
            }
            Self::Postgres(address) => connect(address).await?,
        };
        contents(&mut connection, self.kind()).await
    }

    /// Refuses a place that holds a database already: nothing is overwritten.
    pub(crate) async fn refuse_if_there(&self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(file) => {
                for suffix in ["", "-wal", "-shm", "-journal"] {
                    let mut name = file.clone().into_os_string();
                    name.push(suffix);
                    let path = PathBuf::from(name);
                    if path.symlink_metadata().is_ok() {
                        bail!(
                            "'{}' exists already and is not overwritten; move it away, or restore to another place",
                            path.display()
                        );
                    }
                }
                Ok(())
            }
            Self::Postgres(address) => {
                let tables = tables(&mut connect(address).await?, self.kind()).await?;
                if tables.is_empty() {
                    return Ok(());
                }
                bail!(
                    "the PostgreSQL database has tables already ({}) and is not overwritten; restore into a new, empty one \
                     (createdb)",
                    tables.join(", ")
                )
            }
        }
    }

    /// Puts the database of a backup in its place, whole or not at all, and without what it says of bytes that are not among `artifacts`.
    /// `file` lies in the folder that [`Address::beside`] named.
    pub(crate) async fn restore(&self, file: &Path, artifacts: &Place) -> anyhow::Result<()> {
        self.refuse_if_there().await?;
        match self {
            Self::Sqlite(target) => {
                let mut connection = connect(&format!("sqlite:{}?mode=rw", file.display())).await?;
                forget_left_out(&mut connection, self.kind(), artifacts).await?;
                connection.close().await?;
                // A hard link fails where a file is, and a rename would not.
                std::fs::hard_link(file, target)
                    .with_context(|| format!("cannot put the database at '{}'", target.display()))?;
                let synced = File::open(crate::files::parent(target)).and_then(|folder| folder.sync_all());
                synced.with_context(|| format!("cannot sync the folder of '{}'", target.display()))
            }
            Self::Postgres(address) => {
                let (programs, from) = (postgres::Address::parse(address), file.to_owned());
                tokio::task::spawn_blocking(move || programs.restore(&from)).await??;
                let mut connection = connect(address).await?;
                forget_left_out(&mut connection, self.kind(), artifacts).await?;
                Ok(connection.close().await?)
            }
        }
    }

    /// A new folder for the file that [`Address::restore`] takes, on the same disk as the database.
    pub(crate) fn beside(&self) -> anyhow::Result<tempfile::TempDir> {
        let made = match self {
            Self::Sqlite(file) => {
                let parent = crate::files::parent(file);
                crate::files::folder(parent)?;
                tempfile::Builder::new().prefix(".restore-").tempdir_in(parent)
            }
            Self::Postgres(_) => tempfile::tempdir(),
        };
        made.context("cannot make a folder for the database")
    }
}

async fn connect(address: &str) -> anyhow::Result<AnyConnection> {
    sqlx::any::install_default_drivers();
    // The address is not repeated.
    AnyConnection::connect(address)
        .await
        .context("cannot open the database; does it run, and do address and password fit?")
}

async fn tables(connection: &mut AnyConnection, kind: &str) -> anyhow::Result<Vec<String>> {
    let sql = if kind == "sqlite" {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    } else {
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
    };
    let rows = sqlx::query(sql).fetch_all(connection).await.context("cannot list the tables")?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Forgets uploads that were under way, whose parts no backup has, and bags whose bytes are not there.
async fn forget_left_out(
    connection: &mut AnyConnection,
    kind: &str,
    artifacts: &Place,
) -> anyhow::Result<()> {
    let failed = "cannot forget what the backup left out";
    let tables = tables(connection, kind).await?;
    let mut transaction = connection.begin().await.context(failed)?;
    for sql in ["DELETE FROM upload_parts", "DELETE FROM uploads"] {
        sqlx::query(sql).execute(&mut *transaction).await.context(failed)?;
    }
    // Older backups have no such table.
    if tables.iter().any(|table| table == "bags") {
        let bags = sqlx::query("SELECT id, object FROM bags").fetch_all(&mut *transaction).await;
        for bag in bags.context(failed)? {
            let (id, object): (i64, String) = (bag.try_get(0)?, bag.try_get(1)?);
            if artifacts.size(&object).await?.is_none() {
                let gone = sqlx::query("DELETE FROM bags WHERE id = $1").bind(id);
                gone.execute(&mut *transaction).await.context(failed)?;
            }
        }
    }
    transaction.commit().await.context(failed)
}

/// Counts, lists, and follows the chain of the audit log.
async fn contents(connection: &mut AnyConnection, kind: &str) -> anyhow::Result<Contents> {
    let mut rows = BTreeMap::new();
    for table in tables(connection, kind).await? {
        let sql = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM \"{}\"", table.replace('"', "\"\""));
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *connection).await;
        rows.insert(
            table.clone(),
            row.with_context(|| format!("cannot count the rows of {table}"))?.try_get(0)?,
        );
    }
    if !rows.contains_key("csa_artifacts") || !rows.contains_key("audit_log") {
        bail!("this is no database of a registry: it has no tables csa_artifacts and audit_log");
    }
    let listed = sqlx::query(
        "SELECT digest, skill_name, version, size, signature, uploaded_unix FROM csa_artifacts ORDER BY id",
    );
    let listed = listed.fetch_all(&mut *connection).await.context("cannot list the artifacts")?;
    let artifacts = listed.iter().map(item).collect::<anyhow::Result<Vec<_>>>()?;
    let (audit_entries, audit_head) = follow(connection).await?;
    Ok(Contents { rows, artifacts, audit_entries, audit_head })
}

fn item(row: &AnyRow) -> anyhow::Result<Item> {
    let digest: String = row.try_get(0)?;
    // It becomes part of a path.
    digest.parse::<Sha256Sum>().context("the database lists an artifact without a proper digest")?;
    let (skill, version, size): (String, String, i64) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    Ok(Item {
        digest,
        name: format!("{skill} {version}"),
        size: size.unsigned_abs(),
        signature: Some(row.try_get(4)?),
        accepted_unix: row.try_get(5)?,
    })
}

async fn follow(connection: &mut AnyConnection) -> anyhow::Result<(i64, Sha256Sum)> {
    let head = sqlx::query("SELECT seq, hash FROM audit_head").fetch_one(&mut *connection).await?;
    let (seq, hash): (i64, String) = (head.try_get(0)?, head.try_get(1)?);
    let mut verifier = Verifier::default();
    let mut rows = sqlx::query(
        "SELECT seq, at_unix, who, action, subject, detail, previous, hash FROM audit_log WHERE seq <= $1 ORDER BY seq",
    )
    .bind(seq)
    .fetch(&mut *connection);
    while let Some(row) = rows.try_next().await.context("cannot read the audit log")? {
        verifier.next(&entry(&row)?)?;
    }
    Ok(verifier.finish(seq, hash.parse()?)?)
}

fn entry(row: &AnyRow) -> anyhow::Result<Entry> {
    let hash = |at: usize| -> anyhow::Result<Sha256Sum> { Ok(row.try_get::<String, _>(at)?.parse()?) };
    Ok(Entry {
        seq: row.try_get(0)?,
        event: Event {
            at_unix: row.try_get(1)?,
            who: row.try_get(2)?,
            action: row.try_get(3)?,
            subject: row.try_get(4)?,
            detail: row.try_get(5)?,
        },
        previous: hash(6)?,
        hash: hash(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_file_or_a_server_and_is_never_shown_with_its_password() {
        let file = |text: &str| match Address::parse(text).unwrap() {
            Address::Sqlite(file) => file.display().to_string(),
            Address::Postgres(_) => panic!("{text}"),
        };
        assert_eq!(file("sqlite:a/registry.db"), "a/registry.db");
        assert_eq!(file("sqlite:///a/registry.db?mode=rwc"), "/a/registry.db");
        let address = Address::parse("postgresql://swarm:hunter2@db/registry").unwrap();
        assert!(!format!("{address:?}{}", address.shown()).contains("hunter2"));
        for bad in ["sqlite:", "sqlite::memory:", "mysql://root:hunter2@host/x", ""] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(error.contains("DATABASE_URL") && !error.contains("hunter2"), "{error}");
        }
    }
}
