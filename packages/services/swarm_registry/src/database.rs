//! The database: SQLite by default, PostgreSQL by its address. The same statements run on both; what differs is in the
//! migrations, a folder for each.
//!
//! Rule for SQLite: the first statement of a transaction writes. A transaction that reads first and writes later is refused by
//! SQLite ("database is locked") when another one wrote in between, however long it would wait.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::migrations::migrator;

/// A request that waits longer for a connection, or for its turn to write, is refused.
const ACQUIRE: Duration = Duration::from_secs(15);

/// Connections to the database, migrated.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    kind: Kind,
    /// SQLite has one writer at a time. Its own waiting is a lottery that somebody loses under load; here they queue.
    turns: Option<Arc<Mutex<()>>>,
    /// Transactions that were committed through this replica.
    commits: Arc<AtomicU64>,
}

/// A transaction. What is not committed is undone.
#[derive(Debug)]
pub(crate) struct Writing {
    // Before its turn: fields are dropped in their order.
    transaction: Transaction<'static, Any>,
    _turn: Option<OwnedMutexGuard<()>>,
    commits: Arc<AtomicU64>,
}

impl Writing {
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        let done = self.transaction.commit().await;
        // Also after an error: what became of the transaction is not known then.
        self.commits.fetch_add(1, Ordering::AcqRel);
        done
    }
}

impl Deref for Writing {
    type Target = Transaction<'static, Any>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    /// What an address begins with.
    pub fn of(address: &str) -> Option<Self> {
        match address.split_once(':')?.0 {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

/// Why the database did not answer. The text is for the registry's own log: it may name hosts and tables.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("cannot use the database: its address begins with neither sqlite: nor postgres: nor postgresql:")]
    UnknownKind,
    #[error("cannot open the {kind} database: {source}; does it run, and do address and password fit?")]
    Open {
        kind: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("cannot bring the {kind} database to this program's tables: {source}")]
    Migrate {
        kind: &'static str,
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    #[error("the database refused to {what}: {source}")]
    Query {
        what: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database holds what this program never wrote: {what} of {subject} is '{found}'")]
    Corrupt { what: &'static str, subject: String, found: String },
}

impl DatabaseError {
    pub(crate) fn query(what: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Query { what, source }
    }
}

impl Database {
    /// Opens the database and brings its tables up to date. A SQLite file that is missing is made.
    pub async fn open(address: &str, max_connections: u32) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        let kind = Kind::of(address).ok_or(DatabaseError::UnknownKind)?;
        let failed = |source| DatabaseError::Open { kind: kind.as_str(), source };
        let address = match kind {
            Kind::Sqlite if !address.contains("mode=") => {
                format!("{address}{}mode=rwc", if address.contains('?') { '&' } else { '?' })
            }
            _ => address.to_owned(),
        };
        let options: AnyConnectOptions = address.parse().map_err(failed)?;
        let mut pool = AnyPoolOptions::new().max_connections(max_connections).acquire_timeout(ACQUIRE);
        if kind == Kind::Sqlite {
            pool = pool.after_connect(|connection, _| {
                Box::pin(async move {
                    // With WAL, readers and the one writer do not wait for each other. FULL: an acknowledged upload outlives a power cut.
                    for pragma in [
                        "PRAGMA journal_mode = WAL",
                        "PRAGMA synchronous = FULL",
                        "PRAGMA busy_timeout = 15000",
                    ] {
                        sqlx::raw_sql(pragma).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            });
        }
        let pool = pool.connect_with(options).await.map_err(failed)?;
        migrator(kind)
            .run(&pool)
            .await
            .map_err(|source| DatabaseError::Migrate { kind: kind.as_str(), source })?;
        let turns = (kind == Kind::Sqlite).then(Arc::default);
        Ok(Self { pool, kind, turns, commits: Arc::default() })
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(DatabaseError::query("answer"))?;
        Ok(())
    }

    /// Counts what was committed through this replica: what was read before it rose may be old.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(crate) async fn begin(&self) -> Result<Writing, DatabaseError> {
        const WHAT: &str = "begin a transaction";
        let turn = match &self.turns {
            None => None,
            Some(turns) => {
                let turn = tokio::time::timeout(ACQUIRE, Arc::clone(turns).lock_owned()).await;
                let late = |_| DatabaseError::Query { what: WHAT, source: sqlx::Error::PoolTimedOut };
                Some(turn.map_err(late)?)
            }
        };
        let transaction = self.pool.begin().await.map_err(DatabaseError::query(WHAT))?;
        Ok(Writing { transaction, _turn: turn, commits: Arc::clone(&self.commits) })
    }
}
