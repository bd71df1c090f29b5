//! A bench of cells as the registry sees them: time is moved by hand, and a step's actions are carried out at once.
#![allow(dead_code)] // each test file uses a part

use std::collections::BTreeMap;

use swarm_api::cell::{Health, Motion, Outcome, Progress, Report, Running};
use swarm_rollout::{
    Action, Assigned, CellView, Cells, Command, CommandError, Gates, Plan, Rollout, Stage, Standing, State,
    command, step,
};

pub(crate) const SKILL: &str = "cooperative_assembly";
pub(crate) const OFFLINE_AFTER_S: i64 = 30;

/// A digest that can be told by its first letter.
pub(crate) fn digest(letter: char) -> String {
    letter.to_string().repeat(64)
}

pub(crate) fn new() -> String {
    digest('b')
}

pub(crate) fn old() -> String {
    digest('a')
}

pub(crate) fn share(name: &str, percent: u8) -> Stage {
    Stage { name: name.to_owned(), percent: Some(percent), cells: None }
}

pub(crate) fn named(name: &str, cells: &[&str]) -> Stage {
    let cells = cells.iter().map(|&cell| cell.to_owned()).collect();
    Stage { name: name.to_owned(), percent: None, cells: Some(cells) }
}

/// Everything that a gate can object to is objected to at once; observed for a minute.
pub(crate) fn gates() -> Gates {
    Gates {
        observe_s: 60,
        min_runs: 0,
        min_success_rate: 0.0,
        max_safety_violations: 0,
        max_crashes: 0,
        max_refused: 0,
    }
}

pub(crate) fn plan(stages: Vec<Stage>) -> Plan {
    Plan {
        artifact: new(),
        cells: Cells::All,
        stages,
        gates: gates(),
        offline_after_s: OFFLINE_AFTER_S.cast_unsigned(),
        take_up_s: 600,
        quarantine_on_failure: true,
        seed: 7,
    }
}

pub(crate) fn name(i: usize) -> String {
    format!("cell-{i:02}")
}

/// The registry, a roll-out, and its cells.
pub(crate) struct Bench {
    pub(crate) rollout: Rollout,
    pub(crate) cells: BTreeMap<String, CellView>,
    pub(crate) now: i64,
    pub(crate) quarantined: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Bench {
    /// `count` cells that run the old artifact and were heard of just now.
    pub(crate) fn new(plan: Plan, count: usize) -> Self {
        let now = 1_800_000_000;
        let rollout = Rollout::begin(plan, SKILL, "1.1.0", None, now).unwrap();
        let mut bench =
            Self { rollout, cells: BTreeMap::new(), now, quarantined: Vec::new(), notes: Vec::new() };
        for i in 0..count {
            bench.add(&name(i));
        }
        bench
    }

    pub(crate) fn add(&mut self, site_id: &str) {
        let assigned = Some(Assigned { digest: old(), skill_name: SKILL.to_owned() });
        let cell =
            CellView { site_id: site_id.to_owned(), seen_unix: Some(self.now), assigned, report: None };
        self.cells.insert(site_id.to_owned(), cell);
        self.runs_artifact(site_id, &old());
    }

    /// One step; its actions are carried out.
    pub(crate) fn step(&mut self) -> Vec<Action> {
        let cells: Vec<CellView> = self.cells.values().cloned().collect();
        let (rollout, actions) = step(&self.rollout, &cells, self.now);
        self.rollout = rollout;
        self.carry_out(&actions);
        actions
    }

    pub(crate) fn command(&mut self, asked: &Command) -> Result<Vec<Action>, CommandError> {
        let cells: Vec<CellView> = self.cells.values().cloned().collect();
        let (rollout, actions) = command(&self.rollout, asked, &cells, self.now)?;
        self.rollout = rollout;
        self.carry_out(&actions);
        Ok(actions)
    }

    fn carry_out(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Assign { site_id, digest, .. } => self.assign(site_id, Some(digest)),
                Action::TakeBack { site_id, to, .. } => self.assign(site_id, to.as_deref()),
                Action::Quarantine { digest, .. } => self.quarantined.push(digest.clone()),
                Action::Note { text } => self.notes.push(text.clone()),
            }
        }
    }

    /// What the director says from now on.
    pub(crate) fn assign(&mut self, site_id: &str, digest: Option<&str>) {
        self.cell(site_id).assigned =
            digest.map(|digest| Assigned { digest: digest.to_owned(), skill_name: SKILL.to_owned() });
    }

    pub(crate) fn cell(&mut self, site_id: &str) -> &mut CellView {
        self.cells.get_mut(site_id).unwrap()
    }

    pub(crate) fn report(&mut self, site_id: &str) -> &mut Report {
        let now = self.now;
        self.cell(site_id).seen_unix = Some(now);
        self.cell(site_id).report.get_or_insert_with(|| Report {
            at_unix: now,
            sequence: 1,
            started_unix: 1_000,
            motion: Motion::AtRest,
            window_open: true,
            image: 1,
            director: 1,
            running: None,
            last_good: None,
            outcome: None,
            troubles: Vec::new(),
        })
    }

    /// The cell has deployed an artifact, and says so.
    pub(crate) fn runs_artifact(&mut self, site_id: &str, digest: &str) {
        let skill_name = SKILL.to_owned();
        let running = Running {
            digest: digest.to_owned(),
            skill_name,
            version: "0.0.0".to_owned(),
            health: Health::default(),
        };
        self.report(site_id).running = Some(running);
    }

    /// The cell does what it is assigned.
    pub(crate) fn take_up(&mut self, site_id: &str) {
        if let Some(digest) = self.assigned(site_id) {
            self.runs_artifact(site_id, &digest);
        }
    }

    pub(crate) fn take_up_all(&mut self) {
        for site_id in self.online() {
            if self.assigned(&site_id) != self.running(&site_id) {
                self.take_up(&site_id);
            }
        }
    }

    pub(crate) fn health(&mut self, site_id: &str) -> &mut Health {
        &mut self.report(site_id).running.as_mut().unwrap().health
    }

    pub(crate) fn says(&mut self, site_id: &str, digest: &str, state: Progress, detail: &str) {
        self.report(site_id).outcome =
            Some(Outcome { digest: digest.to_owned(), state, detail: detail.to_owned() });
    }

    /// Time passes; every cell that was online is heard of at its end.
    pub(crate) fn pass(&mut self, seconds: i64) {
        let online = self.online();
        self.now += seconds;
        for site_id in online {
            self.cell(&site_id).seen_unix = Some(self.now);
        }
    }

    pub(crate) fn goes_silent(&mut self, site_id: &str) {
        self.cell(site_id).seen_unix = Some(self.now - OFFLINE_AFTER_S - 1);
    }

    pub(crate) fn comes_back(&mut self, site_id: &str) {
        self.cell(site_id).seen_unix = Some(self.now);
    }

    pub(crate) fn online(&self) -> Vec<String> {
        let heard = |cell: &CellView| cell.seen_unix.is_some_and(|seen| self.now - seen <= OFFLINE_AFTER_S);
        self.cells.values().filter(|cell| heard(cell)).map(|cell| cell.site_id.clone()).collect()
    }

    pub(crate) fn assigned(&self, site_id: &str) -> Option<String> {
        self.cells[site_id].assigned.as_ref().map(|assigned| assigned.digest.clone())
    }

    pub(crate) fn running(&self, site_id: &str) -> Option<String> {
        self.cells[site_id].report.as_ref()?.running.as_ref().map(|running| running.digest.clone())
    }

    /// Cells that are assigned this.
    pub(crate) fn assigned_to(&self, digest: &str) -> Vec<String> {
        self.cells
            .keys()
            .filter(|site_id| self.assigned(site_id).as_deref() == Some(digest))
            .cloned()
            .collect()
    }

    /// A fleet that does everything right, until the roll-out changes its state as wanted.
    pub(crate) fn until(&mut self, what: &str, reached: impl Fn(&State) -> bool) {
        for _ in 0..500 {
            self.step();
            if reached(&self.rollout.state) {
                return;
            }
            self.take_up_all();
            self.pass(10);
        }
        panic!("the roll-out is never {what}: {:?}, {:?}", self.rollout.state, self.notes);
    }

    pub(crate) fn until_observing(&mut self, wanted: usize) {
        self.until(
            "observing the stage",
            |state| matches!(state, State::Observing { stage, .. } if *stage == wanted),
        );
    }

    pub(crate) fn until_done(&mut self) {
        self.until("done", |state| matches!(state, State::Done { .. }));
    }

    pub(crate) fn standing(&self, site_id: &str) -> &Standing {
        &self.rollout.members[site_id].standing
    }

    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.rollout.state, State::Failed { .. })
    }

    /// Whatever happens from now on, the roll-out assigns nothing any more.
    pub(crate) fn assert_assigns_nothing_more(&mut self) {
        for _ in 0..20 {
            for site_id in self.cells.keys().cloned().collect::<Vec<_>>() {
                self.comes_back(&site_id);
            }
            self.take_up_all();
            let actions = self.step();
            assert!(!actions.iter().any(|action| matches!(action, Action::Assign { .. })), "{actions:?}");
            self.pass(10);
        }
    }
}

/// The cells that an answer assigns the artifact to.
pub(crate) fn assigns(actions: &[Action]) -> Vec<String> {
    let site = |action: &Action| match action {
        Action::Assign { site_id, .. } => Some(site_id.clone()),
        _ => None,
    };
    actions.iter().filter_map(site).collect()
}

/// The cells that an answer takes it back from, and to what.
pub(crate) fn taken_back(actions: &[Action]) -> Vec<(String, Option<String>)> {
    let site = |action: &Action| match action {
        Action::TakeBack { site_id, to, .. } => Some((site_id.clone(), to.clone())),
        _ => None,
    };
    actions.iter().filter_map(site).collect()
}
