//! `target/demo/<run>/`: logs, parameters and results of one run; `target/demo/latest` points at the newest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{IoContext, Result};
use crate::layout::Layout;

#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a run that begins now.
    pub fn create(layout: &Layout) -> Result<Self> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::create_named(&layout.demo_runs(), &format!("{}-{}", utc(seconds), std::process::id()))
    }

    /// The folder of one part of the run, made now.
    pub fn part(&self, name: &str) -> Result<Self> {
        Self::lay(self.path.join(name))
    }

    fn lay(path: PathBuf) -> Result<Self> {
        for folder in ["logs", "parameters"] {
            let folder = path.join(folder);
            fs::create_dir_all(&folder).doing("create", &folder)?;
        }
        Ok(Self { path })
    }

    fn create_named(runs: &Path, name: &str) -> Result<Self> {
        let run = Self::lay(runs.join(name))?;
        // Put into place by a rename, so that runs that begin at once do not meet each other between removing and making it.
        let making = runs.join(format!(".latest-{name}"));
        symlink(name, &making).doing("create the link", &making)?;
        let latest = runs.join("latest");
        fs::rename(&making, &latest).doing("replace the link", &latest)?;
        Ok(run)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn log(&self, program: &str) -> PathBuf {
        self.path.join("logs").join(format!("{program}.log"))
    }

    pub fn parameters(&self, node: &str) -> PathBuf {
        self.path.join("parameters").join(format!("{node}.yaml"))
    }
}

/// Seconds since 1970 as `20261121T033000Z`. Civil date from days: Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms".
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // March is 0
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(951_827_696), "20000229T123456Z");
        assert_eq!(utc(1_795_232_999), "20261121T034959Z");
    }

    #[test]
    fn runs_that_begin_at_once_all_get_their_folder() {
        let runs = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let runs = runs.path();
                scope.spawn(move || {
                    for run in 0..50 {
                        RunFolder::create_named(runs, &format!("{thread}-{run}")).unwrap();
                    }
                });
            }
        });
        assert!(runs.path().join("latest/logs").is_dir());
    }

    #[test]
    fn latest_points_at_the_newest_run() {
        let runs = tempfile::tempdir().unwrap();
        RunFolder::create_named(runs.path(), "one").unwrap();
        let two = RunFolder::create_named(runs.path(), "two").unwrap();
        assert_eq!(fs::read_link(runs.path().join("latest")).unwrap(), Path::new("two"));
        let names = fs::read_dir(runs.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["latest", "one", "two"], "nothing is left in the making");
        assert!(two.log("x").parent().unwrap().is_dir() && two.parameters("x").parent().unwrap().is_dir());
    }
}
