//! Reports to the registry: what changed is said at once, and otherwise now and then that the cell is there.

use swarm_api::cell::{Health, Motion, REPORT_EVERY_S, Report, Running};
use swarm_artifact::ArtifactId;
use swarm_base::{Duration, Time};

use crate::standing::Standing;
use crate::values::{Have, Now};

/// What the registry takes (see [`Report`]): longer texts are cut, more troubles left out.
const MOST_TROUBLES: usize = 20;
const LONGEST_DETAIL: usize = 2_000;

/// What is said besides what a plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Said {
    /// Versions of the timestamp metadata believed; 0 = none.
    pub image: u64,
    pub director: u64,
    pub window_open: bool,
    /// Of what is deployed.
    pub health: Health,
}

/// Numbers the reports of one run of the bridge, and says when one is due.
#[derive(Clone, Debug)]
pub struct Reporter {
    started_unix_s: i64,
    sequence: u64,
    sent: Option<(Time, Report)>,
}

impl Reporter {
    pub fn new(started_unix_s: i64) -> Self {
        Self { started_unix_s, sequence: 0, sent: None }
    }

    /// The cell's report, unnumbered.
    pub fn draft(
        &self,
        have: &Have<'_>,
        standing: &Standing,
        said: Said,
        troubles: &[String],
        now: Now,
    ) -> Report {
        let running = have.runtime.deployed().map(|deployed| Running {
            digest: deployed.artifact.to_string(),
            skill_name: cut(&deployed.skill, 64),
            version: cut(&deployed.version.to_string(), 64),
            health: said.health,
        });
        let last_good = have.last_good().map(|good| good.artifact);
        let outcome = standing.outcome.clone().map(|outcome| swarm_api::cell::Outcome {
            detail: cut(&outcome.detail, LONGEST_DETAIL),
            ..outcome
        });
        let troubles = standing.troubles.iter().chain(troubles).take(MOST_TROUBLES);
        Report {
            at_unix: now.unix_s,
            sequence: 0,
            started_unix: self.started_unix_s,
            motion: have.motion,
            window_open: said.window_open,
            image: said.image,
            director: said.director,
            running,
            last_good: last_good.as_ref().map(ArtifactId::to_string),
            outcome,
            troubles: troubles.map(|trouble| cut(trouble, LONGEST_DETAIL)).collect(),
        }
    }

    /// The draft with its number, if it is due: something other than the time has changed, or nothing was sent for long.
    pub fn due(&mut self, draft: &Report, now: Time) -> Option<Report> {
        let every = Duration::from_millis(REPORT_EVERY_S * 1_000);
        let due = match &self.sent {
            None => true,
            Some((at, last)) => now.since(*at) >= every || !same(last, draft),
        };
        due.then(|| {
            self.sequence += 1;
            Report { sequence: self.sequence, ..draft.clone() }
        })
    }

    /// The registry took it. What it did not take is due again.
    pub fn taken(&mut self, report: Report, now: Time) {
        self.sent = Some((now, report));
    }
}

/// Details count seconds, and whether an arm moves changes with every run; neither is worth a report of its own while nothing waits.
fn same(last: &Report, draft: &Report) -> bool {
    let news = |report: &Report| {
        let outcome = report.outcome.as_ref().map(|outcome| (outcome.digest.clone(), outcome.state));
        let motion =
            (report.outcome.as_ref().is_some_and(|it| it.state == swarm_api::cell::Progress::Waiting)
                || report.motion == Motion::Unknown)
                .then_some(report.motion);
        (
            outcome,
            motion,
            report.window_open,
            report.image,
            report.director,
            report.running.clone(),
            report.last_good.clone(),
            report.troubles.len(),
        )
    };
    news(last) == news(draft)
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Report {
        Report {
            at_unix: 1_000,
            sequence: 0,
            started_unix: 900,
            motion: Motion::AtRest,
            window_open: true,
            image: 1,
            director: 1,
            running: None,
            last_good: None,
            outcome: None,
            troubles: Vec::new(),
        }
    }

    #[test]
    fn a_report_is_due_at_first_at_a_change_and_after_a_time_and_numbers_rise() {
        let (mut reporter, second) = (Reporter::new(900), |s: u64| Time::from_millis(1_000 * s));
        let first = reporter.due(&draft(), second(0)).unwrap();
        assert_eq!(first.sequence, 1);
        let again = reporter.due(&draft(), second(0)).unwrap();
        assert_eq!(again.sequence, 2, "the first was not taken");
        reporter.taken(again, second(0));
        assert_eq!(
            reporter.due(&Report { at_unix: 1_009, motion: Motion::Moving, ..draft() }, second(9)),
            None
        );
        assert_eq!(reporter.due(&Report { director: 2, ..draft() }, second(1)).unwrap().sequence, 3);
        assert_eq!(reporter.due(&draft(), second(REPORT_EVERY_S)).unwrap().sequence, 4);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("ääää", 4), "ääää");
        assert_eq!(cut("äääää", 4), "äää…");
    }
}
