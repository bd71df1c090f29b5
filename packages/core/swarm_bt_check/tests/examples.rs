//! The run that comes with a finding, played by the engine with its script, shows what the finding says.

mod common;

use std::collections::BTreeMap;

use common::{check_one, check_roles, document, load};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_base::Time;
use swarm_bt::{Halt, LeafCall, Leaves, NodeStatus, State, Status, TickError, Tree, tick};
use swarm_bt_check::{Code, Example, Finding, Report};

/// Leaves that answer from the script of one role, and by chance when that has come to its end.
struct Player {
    answers: BTreeMap<String, std::vec::IntoIter<Status>>,
    chance: SmallRng,
    starts_without_input: Vec<u16>,
    halted: Vec<u16>,
    ran: Vec<u16>,
}

impl Player {
    fn new(example: &Example, role: &str) -> (Self, usize) {
        let script = example.roles.iter().find(|script| script.role == role).expect("the role has a script");
        let answers = script.leaves.iter().map(|leaf| (leaf.leaf.clone(), leaf.answers.clone().into_iter()));
        let player = Player {
            answers: answers.collect(),
            chance: SmallRng::seed_from_u64(7),
            starts_without_input: Vec::new(),
            halted: Vec::new(),
            ran: Vec::new(),
        };
        (player, script.ticks)
    }

    fn answer(&mut self, leaf: &LeafCall<'_>) -> Status {
        let scripted = self.answers.get_mut(leaf.name()).and_then(Iterator::next);
        let answer = scripted.unwrap_or_else(|| match (leaf.id(), self.chance.random_range(0..3)) {
            ("Stay", _) => Status::Running,
            (_, 0) => Status::Success,
            ("Act" | "Move" | "Use", 1) => Status::Running,
            _ => Status::Failure,
        });
        if answer == Status::Running {
            self.ran.push(leaf.uid());
        }
        answer
    }
}

impl Leaves for Player {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        if leaf.get_opt::<swarm_bt::Value>("value").is_ok_and(|value| value.is_none()) {
            self.starts_without_input.push(leaf.uid());
        }
        self.answer(leaf)
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.answer(leaf)
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.halted.push(leaf.uid());
        Halt::Done
    }
}

struct Played {
    tree: Tree,
    state: State,
    player: Player,
    last: Result<Status, TickError>,
}

fn play(body: &str, finding: &Finding) -> Played {
    let tree = load("t.xml", &document(body));
    let mut state = State::new(&tree);
    let example = finding.example.as_ref().unwrap_or_else(|| panic!("{finding} has an example"));
    let (mut player, ticks) = Player::new(example, &finding.role);
    let mut last = Ok(Status::Running);
    for number in 0..ticks {
        player.halted.clear();
        player.ran.clear();
        last = tick(&tree, &mut state, Time::from_millis(number as u64 * 10), &mut player);
    }
    Played { tree, state, player, last }
}

fn only(report: &Report, code: Code) -> Finding {
    let found = report.findings.iter().find(|finding| finding.code == code);
    found.unwrap_or_else(|| panic!("{code} in {:?}", report.findings)).clone()
}

#[test]
fn a_script_fails_at_the_end_of_its_example() {
    let body = r#"<Sequence><Fallback><See/><Script code="a := 1"/></Fallback><Act/><Script code="b := a"/></Sequence>"#;
    let finding = only(&check_one(body), Code::ReadBeforeWrite);
    let played = play(body, &finding);
    assert_eq!(played.last.expect_err("the tick fails").uid, finding.uid);
}

#[test]
fn a_leaf_starts_without_its_input_at_the_end_of_its_example() {
    let body = r#"<Sequence><Fallback><See/><Script code="a := 1"/></Fallback><Use value="{a}"/></Sequence>"#;
    let finding = only(&check_one(body), Code::ReadBeforeWrite);
    assert_eq!(play(body, &finding).player.starts_without_input, [finding.uid]);
}

#[test]
fn a_tree_never_ends_after_the_example_of_a_livelock() {
    for (body, code) in [
        (
            r#"<Sequence><Act/><RetryUntilSuccessful num_attempts="-1"><AlwaysFailure/></RetryUntilSuccessful></Sequence>"#,
            Code::DeadTick,
        ),
        (
            r#"<Fallback><See/><Repeat num_cycles="-1"><ForceSuccess><Act/></ForceSuccess></Repeat></Fallback>"#,
            Code::Livelock,
        ),
        ("<Sequence><Act/><See/><Stay/></Sequence>", Code::Livelock),
    ] {
        let finding = only(&check_one(body), code);
        let Played { tree, mut state, mut player, last } = play(body, &finding);
        assert_eq!(last, Ok(Status::Running));
        for number in 0..1_000 {
            let answer = tick(&tree, &mut state, Time::from_millis(10_000 + number), &mut player);
            assert_eq!(answer, Ok(Status::Running), "{body}");
        }
        assert_eq!(state.status(finding.uid), Some(NodeStatus::Running), "the node that is named is the one");
    }
}

#[test]
fn a_running_child_is_halted_by_an_earlier_one_at_the_end_of_its_example() {
    let body = r#"<ReactiveSequence><Move name="first"/><Move name="second"/></ReactiveSequence>"#;
    let finding = only(&check_one(body), Code::RestartLoop);
    let played = play(body, &finding);
    assert_eq!((played.player.ran, played.player.halted), (vec![2], vec![3]));
}

#[test]
fn roles_wait_for_one_another_at_the_end_of_the_example_of_a_deadlock() {
    let takes = |first: &str, second: &str| {
        format!(
            r#"<Sequence><Lock name="{first}" resource="{first}"/><Move/><Lock name="{second}" resource="{second}"/></Sequence>"#
        )
    };
    let bodies = [takes("bench", "tool"), takes("tool", "bench")];
    let report = check_roles(&[("leader", &bodies[0]), ("follower", &bodies[1])]);
    let finding = only(&report, Code::Deadlock);
    for (role, body) in ["leader", "follower"].iter().zip(&bodies) {
        let of_role = Finding { role: (*role).to_owned(), ..finding.clone() };
        let played = play(body, &of_role);
        assert_eq!(played.last, Ok(Status::Running));
        let kept: Vec<_> = (2..=4).map(|uid| played.state.status(uid)).collect();
        let (done, waits) = (Some(NodeStatus::Success), Some(NodeStatus::Running));
        assert_eq!(kept, [done, done, waits], "it has the first resource and waits for the second");
    }
}
