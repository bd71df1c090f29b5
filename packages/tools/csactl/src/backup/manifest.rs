//! What a backup says of itself, and which backups a place has.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::place::Place;

/// The form of manifests that this program reads and writes.
const FORMAT: u32 = 1;
const PREFIX: &str = "full_backup_";

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) id: String,
    /// Seconds since 1970-01-01 UTC, when the database was read.
    pub(crate) made_unix: i64,
    /// Of the program that made it.
    pub(crate) csactl: String,
    pub(crate) database: DatabaseFile,
    /// Rows of each table.
    pub(crate) rows: BTreeMap<String, i64>,
    /// The last entry of the audit log.
    pub(crate) audit_entries: i64,
    pub(crate) audit_head: String,
    pub(crate) artifacts: Vec<ArtifactFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseFile {
    /// `sqlite` or `postgresql`.
    pub(crate) kind: String,
    pub(crate) file: String,
    pub(crate) length: u64,
    pub(crate) sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArtifactFile {
    pub(crate) digest: String,
    pub(crate) length: u64,
}

/// A restore that ended well, as it is noted beside the backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restored {
    pub(crate) at_unix: i64,
    pub(crate) seconds: f64,
}

/// A backup of a place.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    /// From the id.
    pub(crate) made_unix: i64,
    /// Why it is none, such as that it was cut off.
    pub(crate) problem: Option<String>,
    pub(crate) manifest: Option<Manifest>,
    /// The newest of its restores.
    pub(crate) restored: Option<Restored>,
}

impl Manifest {
    pub(crate) fn format() -> u32 {
        FORMAT
    }

    pub(crate) async fn read(place: &Place, id: &str) -> anyhow::Result<Self> {
        parse_id(id)?;
        let path = format!("backups/{id}/manifest.json");
        if place.size(&path).await?.is_none() {
            bail!("'{}' has no whole backup {id}; `csactl list-backups` says which there are", place.name);
        }
        let manifest: Self = serde_json::from_slice(&place.read(&path).await?)
            .with_context(|| format!("'{path}' in '{}' is no manifest of a backup", place.name))?;
        if manifest.format != FORMAT || manifest.id != id {
            bail!(
                "'{path}' in '{}' is in format {} and of {}, expected {FORMAT} and {id}",
                place.name,
                manifest.format,
                manifest.id
            );
        }
        Ok(manifest)
    }

    pub(crate) fn database_path(&self) -> String {
        format!("backups/{}/{}", self.id, self.database.file)
    }
}

/// The backups of a place, oldest first.
pub(crate) async fn list(place: &Place) -> anyhow::Result<Vec<Listed>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in place.list("backups").await? {
        let mut parts = path.split('/').skip(1);
        if let (Some(id), Some(file)) = (parts.next(), parts.next())
            && parse_id(id).is_ok()
        {
            found.entry(id.to_owned()).or_default().push(file.to_owned());
        }
    }
    let mut listed = Vec::new();
    for (id, files) in found {
        let made_unix = parse_id(&id)?;
        let (manifest, problem) = if files.iter().any(|file| file == "manifest.json") {
            match Manifest::read(place, &id).await {
                Ok(manifest) => (Some(manifest), None),
                Err(error) => (None, Some(swarm_base::ErrorChain(error.as_ref()).to_string())),
            }
        } else {
            (None, Some("it was cut off: it has no manifest".to_owned()))
        };
        let newest = files.iter().filter(|file| file.starts_with("restored_")).max();
        let restored = match newest {
            Some(file) => serde_json::from_slice(&place.read(&format!("backups/{id}/{file}")).await?).ok(),
            None => None,
        };
        listed.push(Listed { id, made_unix, problem, manifest, restored });
    }
    Ok(listed)
}

/// `full_backup_YYYYMMDD_HHMMSS`, UTC.
pub(crate) fn id_of(unix: i64) -> anyhow::Result<String> {
    Ok(format!("{PREFIX}{}", stamp(unix)?))
}

/// `YYYYMMDD_HHMMSS`, UTC.
pub(crate) fn stamp(unix: i64) -> anyhow::Result<String> {
    let (date, time) = {
        let at = OffsetDateTime::from_unix_timestamp(unix)?;
        (at.date(), at.time())
    };
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    Ok(format!("{year:04}{month:02}{day:02}_{:02}{:02}{:02}", time.hour(), time.minute(), time.second()))
}

/// The time in an id, in seconds since 1970-01-01 UTC. What is no id is no path either.
pub(crate) fn parse_id(id: &str) -> anyhow::Result<i64> {
    match id.strip_prefix(PREFIX).and_then(parse_stamp) {
        Some(unix) => Ok(unix),
        None => bail!(
            "expected the id of a backup such as full_backup_20270115_020000, found '{}'",
            id.escape_debug()
        ),
    }
}

fn parse_stamp(text: &str) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| -> Option<i32> {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    if text.len() != 15 || text.as_bytes()[8] != b'_' {
        return None;
    }
    let small = |at: usize| u8::try_from(digits(at..at + 2)?).ok();
    let month = time::Month::try_from(small(4)?).ok()?;
    let date = time::Date::from_calendar_date(digits(0..4)?, month, small(6)?).ok()?;
    let time = time::Time::from_hms(small(9)?, small(11)?, small(13)?).ok()?;
    Some(date.with_time(time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_moment_and_no_path() {
        let id = id_of(1_800_000_000).unwrap();
        assert_eq!(id, "full_backup_20270115_080000");
        assert_eq!(parse_id(&id).unwrap(), 1_800_000_000);
        for bad in
            ["", "full_backup_", "full_backup_20270115_080000/..", "../x", "full_backup_20271315_080000"]
        {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
    }
}
