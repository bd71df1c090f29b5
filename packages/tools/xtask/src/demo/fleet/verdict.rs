//! Whether it all happened: what the registry and the bridges say at the end, held against what was to happen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use swarm_api::artifact::{Artifact, Status};
use swarm_api::cell::Cell;
use swarm_api::deployment::{Cause, Deployment, State as DeploymentState};
use swarm_rollout::State;

use super::member::Bridge;
use super::versions::{BAD, BETTER, FIRST, Version};
use super::{CANARY, SITES};

/// What is known at the end.
#[derive(Debug, Clone)]
pub struct Facts {
    pub artifacts: Vec<Artifact>,
    pub cells: Vec<Cell>,
    /// What cells were given, newest first.
    pub history: Vec<Deployment>,
    /// The roll-outs of [`BETTER`] and [`BAD`].
    pub better: State,
    pub bad: State,
    /// By site, what each bridge says of itself in its cell.
    pub bridges: BTreeMap<String, Bridge>,
}

/// What is not as it was to be, in a sentence each.
pub fn problems(facts: &Facts) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, otherwise: &dyn Fn() -> String| {
        if !holds {
            problems.push(otherwise());
        }
    };
    for (version, state, expected) in [(BETTER, &facts.better, "done"), (BAD, &facts.bad, "failed")] {
        expect(state.name() == expected, &|| {
            format!("the roll-out of {} is {}, expected {expected}", version.number, state.name())
        });
    }
    for (version, expected) in [(FIRST, Status::Active), (BETTER, Status::Active), (BAD, Status::Quarantined)]
    {
        let found = artifact(facts, version).map(|artifact| artifact.status);
        expect(found == Some(expected), &|| {
            format!("artifact {} is {found:?}, expected {expected:?}", version.number)
        });
    }
    let better = artifact(facts, BETTER).map(|artifact| artifact.digest.as_str());
    for site in SITES {
        let cell = facts.cells.iter().find(|cell| cell.site_id == site);
        let report = cell.and_then(|cell| cell.report.as_ref());
        let running = report.and_then(|report| report.running.as_ref()).map(|it| it.digest.as_str());
        let assigned = cell.and_then(|cell| cell.assigned.as_deref());
        expect(better.is_some() && running == better && assigned == better, &|| {
            let number = BETTER.number;
            format!(
                "{site} is to run {assigned:?} and runs {running:?}, expected {better:?} ({number}) for both"
            )
        });
        let bridge = facts.bridges.get(site);
        let in_step = bridge.is_some_and(|it| it.state == "in_step" && Some(it.running.as_str()) == better);
        expect(in_step, &|| {
            format!("the bridge of {site} says {bridge:?}, expected in_step with {better:?}")
        });
    }
    for site in SITES {
        let expected = expected_history(site);
        let found = history_of(facts, site);
        expect(found == expected, &|| {
            format!("{site} was given {}, expected {}", listed(&found), listed(&expected))
        });
    }
    let first_with = |site: &str| {
        let given = facts.history.iter().filter(|it| it.site_id == site && it.version == BETTER.number);
        given.map(|it| it.id).min()
    };
    for site in SITES.into_iter().filter(|site| *site != CANARY) {
        expect(first_with(CANARY) < first_with(site), &|| {
            format!("{site} was given {} before the canary {CANARY}", BETTER.number)
        });
    }
    problems
}

fn artifact(facts: &Facts, version: Version) -> Option<&Artifact> {
    facts.artifacts.iter().find(|artifact| artifact.version == version.number)
}

/// What a cell was given and has deployed, oldest first.
fn history_of<'f>(facts: &'f Facts, site: &str) -> Vec<(&'f str, Cause)> {
    let of_site = facts.history.iter().rev().filter(|it| it.site_id == site);
    let deployed = of_site.filter(|it| it.state == DeploymentState::Deployed);
    deployed.map(|it| (it.version.as_str(), it.cause)).collect()
}

fn expected_history(site: &str) -> Vec<(&'static str, Cause)> {
    let mut expected = vec![(FIRST.number, Cause::Deploy), (BETTER.number, Cause::Rollout)];
    if site == CANARY {
        expected.extend([(BAD.number, Cause::Rollout), (BETTER.number, Cause::RolloutFailed)]);
    }
    expected
}

fn listed(history: &[(&str, Cause)]) -> String {
    let entries: Vec<String> =
        history.iter().map(|(version, cause)| format!("{version} ({cause:?})")).collect();
    entries.join(", ")
}

/// Which cell was given what, when, why, and what became of it; oldest first.
pub fn table(history: &[Deployment]) -> String {
    let mut text = format!(
        "{:<10} {:<9} {:<8} {:<34} {}\n",
        "UTC", "cell", "version", "because of", "what became of it"
    );
    for entry in history.iter().rev() {
        let cause = match (entry.cause, entry.rollout_id) {
            (Cause::Deploy, _) => "a deployment".to_owned(),
            (Cause::Rollback, _) => "a rollback".to_owned(),
            (Cause::Rollout, Some(id)) => format!("roll-out {id}: {}", entry.reason),
            (Cause::Rollout, None) => "a roll-out".to_owned(),
            (Cause::RolloutFailed, Some(id)) => format!("roll-out {id} failed"),
            (Cause::RolloutFailed, None) => "a roll-out that failed".to_owned(),
        };
        let became = format!("{:?} {}", entry.state, clock(&entry.state_at)).to_lowercase();
        let (at, site, version) = (clock(&entry.requested_at), &entry.site_id, &entry.version);
        let _ = writeln!(text, "{at:<10} {site:<9} {version:<8} {cause:<34} {became}"); // a String takes everything
    }
    text
}

/// `2026-11-22T15:04:05Z` as `15:04:05`.
fn clock(moment: &str) -> &str {
    let time = moment.split_once('T').map_or(moment, |(_, time)| time);
    time.trim_end_matches('Z')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use swarm_api::artifact::Provenance;
    use swarm_api::cell::{Health, Motion, Report, Running};

    use super::*;

    fn digest(version: &str) -> String {
        version.replace('.', "").repeat(22).chars().take(64).collect()
    }

    fn artifact(version: &str, status: Status) -> Artifact {
        Artifact {
            id: 1,
            digest: digest(version),
            skill_name: "skill".to_owned(),
            version: version.to_owned(),
            size: 1,
            status,
            signature_verified: true,
            signers: Vec::new(),
            uploaded_at: String::new(),
            provenance: Provenance {
                parent: None,
                base_version: None,
                training_data: None,
                uploaded_by: String::new(),
                uploader: String::new(),
                notes: BTreeMap::new(),
            },
            quarantine: None,
        }
    }

    fn cell(site: &str, version: &str) -> Cell {
        let running = Running {
            digest: digest(version),
            skill_name: "skill".to_owned(),
            version: version.to_owned(),
            health: Health::default(),
        };
        Cell {
            site_id: site.to_owned(),
            seen_at: None,
            online: true,
            assigned: Some(digest(version)),
            report: Some(Report {
                at_unix: 0,
                sequence: 1,
                started_unix: 0,
                motion: Motion::AtRest,
                window_open: true,
                image: 1,
                director: 1,
                running: Some(running),
                last_good: None,
                outcome: None,
                troubles: Vec::new(),
            }),
        }
    }

    fn given(id: i64, site: &str, version: &str, cause: Cause) -> Deployment {
        Deployment {
            id,
            site_id: site.to_owned(),
            csa_id: 1,
            digest: digest(version),
            skill_name: "skill".to_owned(),
            version: version.to_owned(),
            previous: None,
            cause,
            rollout_id: matches!(cause, Cause::Rollout | Cause::RolloutFailed).then_some(2),
            reason: "stage 'canary'".to_owned(),
            requested_by: "olga".to_owned(),
            requested_at: "2026-11-22T15:04:05Z".to_owned(),
            state: DeploymentState::Deployed,
            state_at: "2026-11-22T15:04:07Z".to_owned(),
            detail: String::new(),
        }
    }

    fn good() -> Facts {
        let mut history = vec![
            given(1, "bench_a", "1.0.0", Cause::Deploy),
            given(2, "bench_b", "1.0.0", Cause::Deploy),
            given(3, "bench_a", "1.1.0", Cause::Rollout),
            given(4, "bench_b", "1.1.0", Cause::Rollout),
            given(5, "bench_a", "1.2.0", Cause::Rollout),
            given(6, "bench_a", "1.1.0", Cause::RolloutFailed),
        ];
        history.reverse();
        let bridge = Bridge { state: "in_step".to_owned(), detail: String::new(), running: digest("1.1.0") };
        Facts {
            artifacts: vec![
                artifact("1.2.0", Status::Quarantined),
                artifact("1.1.0", Status::Active),
                artifact("1.0.0", Status::Active),
            ],
            cells: SITES.iter().map(|site| cell(site, "1.1.0")).collect(),
            history,
            better: State::Done { since_unix: 1 },
            bad: State::Failed { since_unix: 2, reason: "1 of 1 runs failed".to_owned() },
            bridges: SITES.iter().map(|site| ((*site).to_owned(), bridge.clone())).collect(),
        }
    }

    #[test]
    fn a_course_as_it_was_to_be_has_no_problem() {
        assert_eq!(problems(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_did_not_happen_is_a_problem() {
        type Spoil = fn(&mut Facts);
        let spoils: [(&str, Spoil); 9] = [
            ("the roll-out of 1.1.0 is failed", |facts| facts.better = facts.bad.clone()),
            ("the roll-out of 1.2.0 is done", |facts| facts.bad = facts.better.clone()),
            ("artifact 1.2.0 is Some(Active)", |facts| facts.artifacts[0].status = Status::Active),
            ("artifact 1.0.0 is None", |facts| drop(facts.artifacts.pop())),
            ("bench_b is to run", |facts| facts.cells[1] = cell("bench_b", "1.2.0")),
            ("the bridge of bench_a says", |facts| {
                facts.bridges.get_mut("bench_a").unwrap().state = "offline".to_owned();
            }),
            ("bench_b was given", |facts| {
                facts.history.insert(0, given(7, "bench_b", "1.2.0", Cause::Rollout));
            }),
            ("bench_a was given", |facts| drop(facts.history.remove(0))),
            ("before the canary", |facts| facts.history[2].id = 0),
        ];
        for (expected, spoil) in spoils {
            let mut facts = good();
            spoil(&mut facts);
            let found = problems(&facts);
            assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
        }
    }

    #[test]
    fn an_assignment_that_was_never_deployed_does_not_count_as_given() {
        let mut facts = good();
        facts.history[0].state = DeploymentState::Waiting;
        assert_eq!(problems(&facts).len(), 1, "{:?}", problems(&facts));
    }

    #[test]
    fn the_table_begins_with_what_was_first() {
        let table = table(&good().history);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(
            lines[1],
            "15:04:05   bench_a   1.0.0    a deployment                       deployed 15:04:07"
        );
        assert!(lines[6].contains("roll-out 2 failed"), "{table}");
    }
}
