//! A recording of every role of every run, for `cell bt replay`: `<folder>/<trace id>/<role>.run`.
//!
//! The control loop ticks the trees through a [`Recorder`], which hands each tick's inputs to the thread of a [`RunFolder`] and
//! waits for nothing. A run whose recording fails goes on all the same, unrecorded.

use std::io;
use std::path::PathBuf;

use swarm_bt_log::{Recorder, TickRecorder};
use swarm_bt_log_file::{Health, Options, RunFolder, Status};
use swarm_skill_core::{Run, Skill};

/// Where runs are recorded.
#[derive(Debug)]
pub struct Recordings {
    folder: RunFolder,
}

impl Recordings {
    /// # Errors
    /// Only if there can be no further thread: what is wrong with the folder is said when a run begins, by [`Recordings::health`].
    pub fn start(folder: PathBuf, options: Options) -> io::Result<Self> {
        Ok(Self { folder: RunFolder::start(folder, options)? })
    }

    pub fn health(&self) -> Health {
        self.folder.health()
    }

    /// The run, before its first tick, with its recorders. A role whose recording cannot even begin has none.
    pub fn record(&self, run: Run, skill: &Skill) -> Run {
        let streams = self.folder.begin(&run.identity().run);
        run.record_with(|spec| {
            let recipe = skill.recipes.get(&spec.role)?;
            let recorder = Recorder::begin(streams.stream(spec.role.as_str()), recipe, &spec.tree).ok()?;
            Some(Box::new(recorder) as Box<dyn TickRecorder>)
        })
    }
}

/// Ends the recordings of a run that has ended. One that failed has been reported already.
pub fn finish(run: &mut Run) {
    for recorder in run.take_recorders() {
        let _ = recorder.finish();
    }
}

/// Says each trouble with the recordings once, however many runs it lasts, and its end.
#[derive(Debug, Default)]
pub struct Teller {
    told: bool,
}

impl Teller {
    /// What is new: a trouble, or that it is over.
    pub fn news(&mut self, status: &Status) -> Option<Result<&'static str, String>> {
        let news = match (&status.trouble, self.told) {
            (Some(trouble), false) => Err(trouble.clone()),
            (None, true) => Ok("runs are recorded again"),
            (Some(_), true) | (None, false) => return None,
        };
        self.told = news.is_err();
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        let mut teller = Teller::default();
        let full = |run: &str| Status {
            trouble: Some(format!("run {run} is not recorded: cannot write: No space left")),
            ..Status::default()
        };
        assert_eq!(teller.news(&Status::default()), None);
        assert_eq!(teller.news(&full("t1")), Some(Err(full("t1").trouble.unwrap())));
        assert_eq!(teller.news(&full("t1")), None);
        assert_eq!(teller.news(&full("t2")), None);
        assert_eq!(teller.news(&Status::default()), Some(Ok("runs are recorded again")));
        assert_eq!(teller.news(&Status::default()), None);
    }
}
