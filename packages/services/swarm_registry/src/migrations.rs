//! The tables as they came to be. Each step is carried out once in a database, in this order, and is never changed afterwards: the
//! database keeps its hash, and refuses a program that holds another one.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::database::Kind;

/// Name of the step, for SQLite, for PostgreSQL. The first is number 1.
macro_rules! steps {
    ($($file:literal),+ $(,)?) => {
        [$((
            $file,
            include_str!(concat!("../migrations/sqlite/", $file, ".sql")),
            include_str!(concat!("../migrations/postgres/", $file, ".sql")),
        )),+]
    };
}

const STEPS: [(&str, &str, &str); 4] =
    steps!["0001_artifacts", "0002_updates_and_cells", "0003_rollouts", "0004_bags"];

/// What brings a database of this kind to the tables of this program.
pub(crate) fn migrator(kind: Kind) -> Migrator {
    let step = |(number, (file, sqlite, postgres)): (i64, (&'static str, &'static str, &'static str))| {
        let sql = match kind {
            Kind::Sqlite => sqlite,
            Kind::Postgres => postgres,
        };
        let (_, name) = file.split_once('_').unwrap_or(("", file));
        let name = name.replace('_', " ").into();
        Migration::new(number, name, MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(STEPS).map(step).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_file_of_both_folders_is_a_step_in_its_place() {
        let named: Vec<String> = STEPS.iter().map(|(file, ..)| format!("{file}.sql")).collect();
        for (number, file) in named.iter().enumerate() {
            assert!(file.starts_with(&format!("{:04}_", number + 1)), "{file}");
        }
        for folder in ["sqlite", "postgres"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
            let files = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().file_name());
            let files: BTreeSet<String> = files.map(|file| file.into_string().unwrap()).collect();
            assert_eq!(files, named.iter().cloned().collect(), "{folder}");
        }
    }
}
