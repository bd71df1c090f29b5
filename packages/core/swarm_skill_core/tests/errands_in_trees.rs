//! Trees that ask peripherals, in a whole run of one role: what goes out, what comes of the answers, and when a run has ended.

use std::sync::Arc;

use serde_json::json;
use swarm_base::{Duration, Role, Time};
use swarm_bt::{Loader, Mode};
use swarm_cell::{ArmError, CellConfig, arm_models};
use swarm_kinematics::JointVector;
use swarm_skill_core::{
    CANCEL_AGAIN, End, INPUT_TIMEOUT, JointSample, Link, LocalLink, MotionLimits, News, Order, Outcome,
    RoleInputs, RoleSpec, Run, RunIdentity, RunState, STOP_TIMEOUT, SafetyView, Timing, TopicSample, Word,
    WrenchSample, phases, registry,
};

const TICK: Duration = Duration::from_millis(10);

/// A run of the leader, whose arm stands at home, and what it has ordered.
struct Cell {
    run: Run,
    home: JointVector,
    now: Time,
    ordered: Vec<Order>,
    topics: Vec<TopicSample>,
}

impl Cell {
    fn new(body: &str) -> Self {
        Self::with_rules(body, Mode::Strict)
    }

    fn with_rules(body: &str, mode: Mode) -> Self {
        let spec = spec(body, mode);
        let identity = RunIdentity {
            run: "test".into(),
            epoch: 1,
            instance: 1,
            roles: vec![Role::Leader],
            phases: phases(&spec.tree),
            timing: Timing::default(),
        };
        let links =
            LocalLink::connect(&[Role::Leader]).into_iter().map(|link| Box::new(link) as Box<dyn Link>);
        let home = spec.home;
        let run = Run::new(vec![spec], identity, links.collect(), 1, Time::ZERO);
        Self { run, home, now: Time::ZERO, ordered: Vec::new(), topics: Vec::new() }
    }

    fn tick(&mut self, words: &[(u32, News)]) -> RunState {
        if let over @ RunState::Ended(_) = self.run.state() {
            return over.clone();
        }
        self.now = self.now + TICK;
        let inputs = RoleInputs {
            joints: JointSample { q: self.home, qd: JointVector::zeros(), at: self.now },
            wrench: WrenchSample { flange: [0.0; 6], at: self.now },
            gripper: None,
            parts: Vec::new(),
            words: words.iter().map(|(errand, news)| Word { errand: *errand, news: news.clone() }).collect(),
            topics: self.topics.clone(),
        };
        let safety = SafetyView { epoch: 1, permits_motion: true, state: "RUN".into() };
        let state = self.run.tick(&[inputs], &safety, self.now).clone();
        self.ordered.extend(self.run.orders().map(|(_, order)| order.clone()));
        state
    }

    /// Ticks without a word, for as long as this takes.
    fn wait(&mut self, time: Duration) -> RunState {
        let mut state = self.run.state().clone();
        for _ in 0..time.0.div_ceil(TICK.0) {
            state = self.tick(&[]);
        }
        state
    }

    /// What was ordered since the last call.
    fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.ordered)
    }

    fn until_end(&mut self) -> Outcome {
        match self.wait(Duration::from_millis(500)) {
            RunState::Ended(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }
}

fn spec(body: &str, mode: Mode) -> RoleSpec {
    let cell = CellConfig::parse(include_str!("../../../../config/cell.yaml")).unwrap();
    let robot = cell.robot_for(Role::Leader).unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../");
    let read = |file: &str| Ok(std::fs::read_to_string(format!("{root}{file}")).unwrap());
    let arm = arm_models::<ArmError>(&cell, read).unwrap().swap_remove(0);
    let document = format!(
        r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><Sequence><EnterPhase phase="work"/>{body}</Sequence></BehaviorTree></root>"#
    );
    let registry = registry();
    let tree = Loader::new(&registry).document("main.xml", &document).main_tree("Main").mode(mode);
    RoleSpec {
        role: Role::Leader,
        robot: robot.name.clone(),
        tool: robot.load(),
        home: arm.joint_vector(&robot.home_rad).unwrap(),
        limits: MotionLimits::within(0.3, &JointVector::from_element(1.0), &JointVector::from_element(5.0)),
        input_timeout: INPUT_TIMEOUT,
        tree: Arc::new(tree.halt_timeout(STOP_TIMEOUT).load().unwrap_or_else(|errors| panic!("{errors}"))),
        policy: None,
        arm: Arc::new(arm),
    }
}

fn begin(errand: u32, peripheral: &str, content: serde_json::Value) -> Order {
    Order::Begin { errand, peripheral: peripheral.into(), content: content.into() }
}

fn succeeded(content: serde_json::Value) -> News {
    News::Ended(End::Succeeded(content.into()))
}

const TURN: &str =
    r#"<CallAction name="turn" peripheral="screwdriver" goal='json:{"torque": 1.5}' timeout_s="5"/>"#;

#[test]
fn a_goal_is_sent_and_its_result_is_on_the_blackboard() {
    let mut cell = Cell::new(
        r#"<CallAction peripheral="screwdriver" goal='json:{"torque": 1.5}' pick="/angle" value="{angle}" result="{all}"/>
           <ScriptCondition code="angle > 6.2"/>"#,
    );
    cell.wait(TICK);
    assert_eq!(cell.orders(), [begin(1, "screwdriver", json!({"torque": 1.5}))]);
    cell.tick(&[(1, News::Accepted)]);
    cell.tick(&[(1, succeeded(json!({"angle": 6.5})))]);
    assert_eq!(cell.until_end(), Outcome::Succeeded);
    assert_eq!(cell.orders(), []);
}

#[test]
fn what_ends_otherwise_fails_and_says_why() {
    for (news, why) in [
        (News::Ended(End::Refused("it is busy".into())), "screwdriver refused: it is busy"),
        (
            News::Ended(End::Aborted(json!({"slipped": true}).into())),
            r#"screwdriver aborted with {"slipped":true}"#,
        ),
        (News::Ended(End::Canceled), "screwdriver was cancelled by somebody else"),
    ] {
        let mut cell = Cell::new(TURN);
        cell.wait(TICK);
        cell.tick(&[(1, news)]);
        assert_eq!(cell.until_end(), Outcome::Aborted(format!("leader: CallAction 'turn': {why}")));
        assert_eq!(cell.run.alarm(), None);
    }
}

#[test]
fn a_canceled_run_ends_when_the_device_has_stopped_though_its_goal_was_not_accepted_yet() {
    let mut cell = Cell::new(TURN);
    cell.wait(TICK);
    cell.orders();
    cell.run.cancel("asked to");
    cell.wait(Duration::from_millis(300));
    // What is not accepted cannot be cancelled.
    assert_eq!(cell.orders(), [Order::Withdraw { errand: 1 }]);
    cell.tick(&[(1, News::Accepted)]);
    assert_eq!(cell.orders(), [Order::Cancel { errand: 1 }]);
    let state = cell.wait(Duration::from_millis(1_000));
    assert!(matches!(state, RunState::Stopping(_)), "{state:?}");
    assert!(!cell.orders().is_empty(), "a cancellation without effect is sent again");
    cell.tick(&[(1, News::Ended(End::Canceled))]);
    assert_eq!(cell.until_end(), Outcome::Canceled("asked to".into()));
    assert_eq!(cell.run.alarm(), None);
}

#[test]
fn a_device_that_does_not_stop_is_an_alarm_whatever_rules_the_tree_goes_by() {
    for mode in [Mode::Strict, Mode::Compat] {
        let mut cell = Cell::with_rules(TURN, mode);
        cell.wait(TICK);
        cell.tick(&[(1, News::Accepted)]);
        cell.run.cancel("asked to");
        assert!(matches!(cell.wait(STOP_TIMEOUT), RunState::Stopping(_)));
        cell.until_end();
        let (role, alarm) = cell.run.alarm().unwrap();
        assert_eq!((role, alarm), (Role::Leader, "turn was told to stop and has not within 2.0 s"));
        let cancellations = cell.orders().len() as u64 - 1;
        assert_eq!(cancellations, STOP_TIMEOUT.0 / CANCEL_AGAIN.0 + 1);
    }
}

#[test]
fn a_device_whose_server_is_gone_is_an_alarm_at_once() {
    let mut cell = Cell::new(TURN);
    cell.wait(TICK);
    cell.tick(&[(1, News::Accepted)]);
    cell.tick(&[(1, News::Ended(End::Unknown("its server is gone".into())))]);
    let why = "nobody knows whether screwdriver still does what it was asked: its server is gone";
    assert_eq!(cell.until_end(), Outcome::Aborted(format!("leader: CallAction 'turn': {why}")));
    assert_eq!(cell.run.alarm(), Some((Role::Leader, why)));
}

#[test]
fn a_goal_that_takes_too_long_is_cancelled_and_waited_for() {
    let mut cell = Cell::new(TURN);
    cell.wait(TICK);
    cell.tick(&[(1, News::Accepted)]);
    cell.orders();
    assert_eq!(cell.wait(Duration::from_millis(5_010)), RunState::Running);
    assert_eq!(cell.orders(), [Order::Cancel { errand: 1 }]);
    assert_eq!(cell.wait(Duration::from_millis(300)), RunState::Running);
    cell.tick(&[(1, News::Ended(End::Canceled))]);
    let outcome =
        Outcome::Aborted("leader: CallAction 'turn': screwdriver has not ended within 5.0 s".into());
    assert_eq!(cell.until_end(), outcome);
    assert_eq!(cell.run.alarm(), None);
}

#[test]
fn a_goal_that_neither_ends_nor_stops_is_an_alarm_that_says_what_was_refused() {
    let mut cell = Cell::new(TURN);
    cell.wait(TICK);
    cell.tick(&[(1, News::Accepted)]);
    cell.wait(Duration::from_millis(5_010));
    cell.tick(&[(1, News::CancelRefused("not now".into()))]);
    cell.wait(STOP_TIMEOUT);
    let why = "screwdriver has not ended within 5.0 s, nor stopped within 2.0 s after that; the cancellation was refused: not now";
    assert_eq!(cell.until_end(), Outcome::Aborted(format!("leader: CallAction 'turn': {why}")));
    assert_eq!(cell.run.alarm(), Some((Role::Leader, why)));
}

/// The first of the two to end decides, and the tree has ended with it; the run has not.
#[test]
fn a_run_does_not_succeed_before_what_it_interrupted_has_stopped() {
    let mut cell = Cell::new(&format!(
        r#"<Parallel success_count="1" failure_count="1">{TURN}<CallService peripheral="light" request='json:{{"data": true}}'/></Parallel>"#
    ));
    cell.wait(TICK);
    assert_eq!(cell.orders().len(), 2);
    cell.tick(&[(1, News::Accepted), (2, succeeded(json!({"success": true})))]);
    assert_eq!(cell.orders(), [Order::Cancel { errand: 1 }]);
    assert_eq!(cell.wait(Duration::from_millis(400)), RunState::Running);
    cell.tick(&[(1, News::Ended(End::Canceled))]);
    assert_eq!(cell.until_end(), Outcome::Succeeded);
}

#[test]
fn messages_are_said_once_and_only_new_ones_are_heard() {
    let mut cell = Cell::new(
        r#"<PublishTopic peripheral="lamp" message='json:{"r": 1.0}'/>
           <WaitTopic peripheral="torque" pick="/data" value="{torque}" timeout_s="2"/>
           <ScriptCondition code="torque == 3"/>"#,
    );
    let sample = |at, data: f64| TopicSample {
        peripheral: "torque".into(),
        content: json!({ "data": data }).into(),
        at,
    };
    cell.topics = vec![sample(Time::ZERO, 1.0)];
    assert_eq!(cell.wait(Duration::from_millis(100)), RunState::Running);
    assert_eq!(
        cell.orders(),
        [Order::Publish { peripheral: "lamp".into(), content: json!({"r": 1.0}).into() }]
    );
    cell.topics = vec![sample(cell.now, 3.0)];
    assert_eq!(cell.until_end(), Outcome::Succeeded);

    let mut silent = Cell::new(r#"<WaitTopic peripheral="torque" timeout_s="0.2"/>"#);
    silent.wait(Duration::from_millis(200));
    assert_eq!(
        silent.until_end(),
        Outcome::Aborted("leader: WaitTopic: torque has said nothing for 0.2 s".into())
    );
}

#[test]
fn an_answer_without_what_was_picked_is_a_failure() {
    let mut cell = Cell::new(r#"<CallService peripheral="light" pick="/state" value="{state}"/>"#);
    cell.wait(TICK);
    cell.tick(&[(1, succeeded(json!({"success": true})))]);
    let why = r#"there is no /state in {"success":true}"#;
    assert_eq!(cell.until_end(), Outcome::Aborted(format!("leader: CallService: {why}")));
}
