//! PostgreSQL's own programs, `pg_dump` and `pg_restore`: nobody knows better how to write a database down.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use percent_encoding::percent_decode_str;

/// An address whose password goes by the environment: arguments can be read by everybody on the machine.
pub(crate) struct Address {
    without_password: String,
    password: Option<String>,
}

impl Address {
    /// `postgresql://USER:PASSWORD@HOST/NAME`.
    pub(crate) fn parse(address: &str) -> Self {
        let parts = (|| {
            let (scheme, rest) = address.split_once("://")?;
            let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (user, host) = rest[..authority_end].rsplit_once('@')?;
            let (name, password) = user.split_once(':')?;
            let password = percent_decode_str(password).decode_utf8().ok()?.into_owned();
            Some((format!("{scheme}://{name}@{host}{}", &rest[authority_end..]), password))
        })();
        match parts {
            Some((without_password, password)) => Self { without_password, password: Some(password) },
            None => Self { without_password: address.to_owned(), password: None },
        }
    }

    /// Writes the database as it is in `snapshot`.
    pub(crate) fn dump(&self, snapshot: &str, to: &Path) -> anyhow::Result<()> {
        let mut command = self.command("pg_dump")?;
        command.args(["--format=custom", "--no-owner", "--no-privileges", "--snapshot", snapshot, "--file"]);
        run(command.arg(to).arg("--dbname").arg(&self.without_password), "pg_dump")
    }

    /// Fills an empty database, with all of it or with nothing.
    pub(crate) fn restore(&self, from: &Path) -> anyhow::Result<()> {
        let mut command = self.command("pg_restore")?;
        command.args([
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--dbname",
        ]);
        run(command.arg(&self.without_password).arg(from), "pg_restore")
    }

    fn command(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program(name)?);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        Ok(command)
    }
}

fn run(command: &mut Command, name: &str) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("{name} ended with {}: {}", output.status, crate::output::plain(said.trim()));
}

/// In the folder that `SWARM_POSTGRES_BIN` names, on the PATH, or the newest of Debian's.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let is_there = |folder: PathBuf| Some(folder.join(name)).filter(|path| path.is_file());
    if let Some(folder) = std::env::var_os("SWARM_POSTGRES_BIN") {
        return is_there(folder.clone().into())
            .with_context(|| format!("there is no {name} in '{}' (SWARM_POSTGRES_BIN)", folder.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.filter_map(|version| is_there(version.path().join("bin"))).max();
    let found = std::env::split_paths(&path).find_map(is_there).or(debian);
    found.with_context(|| {
        format!("{name} is needed for a PostgreSQL database and was not found: apt-get install postgresql-client, or set SWARM_POSTGRES_BIN")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_argument() {
        let address = Address::parse("postgresql://swarm:p%40ss:x@db.example:5432/registry?sslmode=require");
        assert_eq!(address.without_password, "postgresql://swarm@db.example:5432/registry?sslmode=require");
        assert_eq!(address.password.as_deref(), Some("p@ss:x"));
        for plain in ["postgresql://swarm@db/registry", "postgresql:///registry", "postgresql://db/a:b@c"] {
            let address = Address::parse(plain);
            assert_eq!((address.without_password.as_str(), address.password), (plain, None));
        }
    }
}
