//! One document for all roles, run by executors: projection, meetings, leases, shared entries, and a robot that takes the leader over.

use std::collections::BTreeMap;
use std::sync::Arc;

use nalgebra::Isometry3;
use swarm_base::{Duration, Role, Time};
use swarm_bt::Loader;
use swarm_cell::{ArmError, CellConfig, arm_models};
use swarm_kinematics::JointVector;
use swarm_skill_core::project::project;
use swarm_skill_core::{
    GripperSample, INPUT_TIMEOUT, JointSample, Link, LocalLink, MotionLimits, PartSighting, RoleExecutor,
    RoleInputs, RoleSpec, RunIdentity, Standing, Timing, WrenchSample, phases, registry,
};

const TICK: Duration = Duration::from_millis(10);

/// Executors, and which of them are ticked.
struct Cell {
    executors: Vec<RoleExecutor>,
    running: Vec<bool>,
    now: Time,
    /// What every role's gripper said last.
    gripper: Option<GripperSample>,
    /// What every role sees.
    parts: Vec<PartSighting>,
    /// Tokens by resource, in the order in which they were held.
    held: BTreeMap<String, Vec<swarm_skill_core::Token>>,
    identity: RunIdentity,
    /// The end of a robot that does not stand by.
    spare: Option<Box<dyn Link>>,
}

impl Cell {
    fn new(document: &str, standby: Option<Role>) -> Self {
        let specs: Vec<RoleSpec> = Role::ALL.into_iter().map(|role| spec(role, document)).collect();
        let identity = RunIdentity {
            run: "test".into(),
            epoch: 1,
            instance: 1,
            roles: Role::ALL.to_vec(),
            phases: phases(&specs[0].tree),
            timing: Timing::default(),
        };
        let ends: Vec<Role> = Role::ALL.into_iter().chain([standby.unwrap_or(Role::Leader)]).collect();
        let mut links = LocalLink::connect(&ends).into_iter().map(|link| Box::new(link) as Box<dyn Link>);
        let mut executors: Vec<RoleExecutor> = specs
            .into_iter()
            .zip(&mut links)
            .map(|(spec, link)| RoleExecutor::new(spec, &identity, link, Time::ZERO))
            .collect();
        let mut spare = links.next();
        if let Some(role) = standby
            && let Some(link) = spare.take()
        {
            let other = RunIdentity { instance: 2, ..identity.clone() };
            executors.push(RoleExecutor::stand_by(spec(role, document), &other, link, Time::ZERO));
        }
        let (running, now, held) = (vec![true; executors.len()], Time::ZERO, BTreeMap::new());
        let (gripper, parts) = (None, Vec::new());
        Self { executors, running, now, gripper, parts, held, identity, spare }
    }

    fn run(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.now = self.now + TICK;
            let running = self.executors.iter_mut().zip(&self.running).filter(|(_, running)| **running);
            for (executor, _) in running {
                let parts = self.parts.clone();
                let inputs = RoleInputs { gripper: self.gripper, parts, ..inputs(executor, self.now) };
                executor.tick(&inputs, self.now);
            }
            let mut users: BTreeMap<String, u32> = BTreeMap::new();
            for (index, executor) in self.executors.iter().enumerate() {
                for (resource, token) in executor.tokens() {
                    *users.entry(resource.to_owned()).or_default() += 1;
                    let mut others = self.executors.iter().enumerate().filter(|(other, _)| *other != index);
                    let moving = others.find(|(_, other)| other.outputs().velocity != JointVector::zeros());
                    assert!(moving.is_none(), "{resource} is leased to {index} while another one moves");
                    let held = self.held.entry(resource.to_owned()).or_default();
                    if held.last() != Some(&token) {
                        held.push(token);
                    }
                }
            }
            assert!(users.values().all(|users| *users == 1), "leased twice: {users:?}");
        }
    }

    fn standing(&self, index: usize) -> String {
        match self.executors[index].standing() {
            Standing::Aborted(reason) => reason.clone(),
            other => format!("{other:?}"),
        }
    }
}

/// At home, and nothing is felt or seen.
fn inputs(executor: &RoleExecutor, now: Time) -> RoleInputs {
    RoleInputs {
        joints: JointSample { q: executor.spec().home, qd: JointVector::zeros(), at: now },
        wrench: WrenchSample { flange: [0.0; 6], at: now },
        gripper: None,
        parts: Vec::new(),
        words: Vec::new(),
        topics: Vec::new(),
    }
}

fn spec(role: Role, document: &str) -> RoleSpec {
    let cell = CellConfig::parse(include_str!("../../../../config/cell.yaml")).unwrap();
    let robot = cell.robot_for(role).unwrap();
    let index = cell.robots.iter().position(|other| other.name == robot.name).unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../");
    let read = |file: &str| Ok(std::fs::read_to_string(format!("{root}{file}")).unwrap());
    let arm = arm_models::<ArmError>(&cell, read).unwrap().swap_remove(index);
    let projected = project("all.xml", document, role).unwrap_or_else(|errors| panic!("{errors}"));
    let tree = Loader::new(&registry()).document("all.xml", &projected).main_tree("Main").load();
    RoleSpec {
        role,
        robot: robot.name.clone(),
        tool: robot.load(),
        home: arm.joint_vector(&robot.home_rad).unwrap(),
        limits: MotionLimits::within(0.3, &JointVector::from_element(1.0), &JointVector::from_element(5.0)),
        input_timeout: INPUT_TIMEOUT,
        tree: Arc::new(tree.unwrap_or_else(|errors| panic!("{errors}"))),
        policy: None,
        arm: Arc::new(arm),
    }
}

/// The leader waits at the safe point while the others are on their way. A robot that is skipped there takes the first way of the
/// Fallback, and would count to 3.
const TAKEOVER: &str = r#"<root BTCPP_format="4">
  <BehaviorTree ID="Main">
    <Sequence>
      <EnterPhase phase="approach"/>
      <SubTree ID="Lead" role="leader" _autoremap="true"/>
      <SubTree ID="Follow" role="follower; spotter"/>
      <SafePoint point="prepared"/>
      <SubTree ID="GoOn" role="leader" _autoremap="true"/>
      <EnterPhase phase="retreat"/>
      <ScriptCondition code="cell_goal == 42"/>
    </Sequence>
  </BehaviorTree>
  <BehaviorTree ID="Lead">
    <Sequence>
      <Script code="role_count := 3"/>
      <Fallback>
        <ForceBelow limit_n="0"/>
        <Script code="role_count := 7"/>
      </Fallback>
      <Script code="cell_goal := 42"/>
    </Sequence>
  </BehaviorTree>
  <BehaviorTree ID="Follow">
    <Sleep msec="400"/>
  </BehaviorTree>
  <BehaviorTree ID="GoOn">
    <ScriptCondition code="role_count == 7"/>
  </BehaviorTree>
</root>"#;

#[test]
fn one_document_runs_in_every_role() {
    let mut cell = Cell::new(TAKEOVER, None);
    cell.run(100);
    assert_eq!([0, 1, 2].map(|index| cell.standing(index)), ["Done", "Done", "Done"]);
}

#[test]
fn a_robot_that_stands_by_goes_on_where_the_leader_stood_with_what_it_left() {
    let mut cell = Cell::new(TAKEOVER, Some(Role::Leader));
    cell.run(20);
    cell.running[0] = false;
    cell.run(200);
    assert_eq!([1, 2, 3].map(|index| cell.standing(index)), ["Done", "Done", "Done"]);

    // The old leader wakes up: it is refused, and ends.
    cell.running[0] = true;
    cell.run(5);
    assert!(
        cell.standing(0).contains("the run goes on under epoch 2 without this leader"),
        "{}",
        cell.standing(0)
    );
    assert_eq!(
        cell.executors[1].refused(),
        Some((Role::Leader, "its epoch is over: the role has been taken over by another robot"))
    );
}

#[test]
fn a_leader_that_nobody_stands_by_for_ends_the_run() {
    let mut cell = Cell::new(TAKEOVER, None);
    cell.run(20);
    cell.running[0] = false;
    cell.run(20 + 200 + 10);
    assert!(cell.standing(1).contains("no message from leader"), "{}", cell.standing(1));
}

const TOGETHER: &str = r#"<root BTCPP_format="4">
  <BehaviorTree ID="Main">
    <Sequence>
      <EnterPhase phase="work"/>
      <Lease resource="bench" timeout_s="5"><Sleep msec="100"/></Lease>
      <Barrier meeting="used" timeout_s="5"/>
      <Quorum meeting="two" k="2" timeout_s="5"/>
      <Handover item="peg" from="leader" to="follower" timeout_s="5"><Sleep msec="50"/></Handover>
      <ProgressSync work="sweep" value="{done}" delta="0.5">
        <Sequence>
          <Script code="done := 0.4"/>
          <Sleep msec="30"/>
          <Script code="done := 0.8"/>
          <Sleep msec="30"/>
        </Sequence>
      </ProgressSync>
      <OnRoleLost role="spotter"><AbortRun reason="nobody watches"/><Sleep msec="30"/></OnRoleLost>
    </Sequence>
  </BehaviorTree>
</root>"#;

#[test]
fn every_cooperative_node_runs_in_a_tree() {
    let mut cell = Cell::new(TOGETHER, None);
    cell.run(200);
    assert_eq!([0, 1, 2].map(|index| cell.standing(index)), ["Done", "Done", "Done"]);
    let tokens = &cell.held["bench"];
    assert_eq!(tokens.len(), 3, "each role had the bench once: {tokens:?}");
    assert!(tokens.is_sorted(), "{tokens:?}");
}

#[test]
fn a_lost_spotter_is_dealt_with_by_the_tree_that_watches_it() {
    let document = TOGETHER.replace("<Sleep msec=\"30\"/></OnRoleLost>", "<Hold/></OnRoleLost>");
    let mut cell = Cell::new(&document, None);
    cell.run(100);
    assert_eq!(cell.standing(0), "Active");
    cell.running[2] = false;
    cell.run(30);
    assert!(cell.standing(0).contains("nobody watches"), "{}", cell.standing(0));
}

/// The leader moves in the bench only, and leaves it in a way that the follower must not come in by.
fn in_turn(uses: &str) -> String {
    format!(
        r#"<root BTCPP_format="4">
             <BehaviorTree ID="Main">
               <Sequence>
                 <EnterPhase phase="work"/>
                 <SubTree ID="Move" role="leader"/>
                 <SubTree ID="Wait" role="follower"/>
               </Sequence>
             </BehaviorTree>
             <BehaviorTree ID="Move">{uses}</BehaviorTree>
             <BehaviorTree ID="Wait">
               <Lease resource="bench" timeout_s="5"><Sleep msec="50"/></Lease>
             </BehaviorTree>
           </root>"#
    )
}

#[test]
fn a_lease_is_given_back_when_the_arm_stands_however_its_use_ends() {
    let leased = |inside: &str| format!(r#"<Lease resource="bench" timeout_s="5">{inside}</Lease>"#);
    let away = r#"<MoveLinear xyz="0;0;0.2"/>"#;
    let until_felt = format!(r#"<Parallel success_count="1">{away}<Sleep msec="300"/></Parallel>"#);
    let too_slow = format!(r#"<ForceSuccess><Timeout msec="300">{away}</Timeout></ForceSuccess>"#);
    let cut_short = format!(r#"<ForceSuccess><Timeout msec="300">{}</Timeout></ForceSuccess>"#, leased(away));
    for uses in [leased(&until_felt), leased(&too_slow), cut_short] {
        let mut cell = Cell::new(&in_turn(&uses), None);
        let (mut fastest, mut standing) = (0.0_f64, 0.0);
        for _ in 0..200 {
            cell.run(1);
            let speed = cell.executors[0].outputs().velocity.amax();
            fastest = fastest.max(speed);
            if cell.executors[0].standing() == &Standing::Done {
                standing = speed;
            }
        }
        assert!(fastest > 0.01, "the leader has hardly moved: {fastest} rad/s in {uses}");
        assert!(standing == 0.0, "done at {standing} rad/s in {uses}");
        assert_eq!([0, 1, 2].map(|index| cell.standing(index)), ["Done", "Done", "Done"], "{uses}");
        assert_eq!(cell.held["bench"].len(), 2, "both had it in {uses}");
    }
}

#[test]
fn of_two_executors_of_one_role_the_second_is_refused_and_the_first_goes_on() {
    let mut cell = Cell::new(TAKEOVER, None);
    cell.run(10);
    let other = RunIdentity { instance: 9, ..cell.identity.clone() };
    let link = cell.spare.take().expect("nobody stands by");
    cell.executors.push(RoleExecutor::new(spec(Role::Leader, TAKEOVER), &other, link, cell.now));
    cell.running.push(true);
    cell.run(10);
    assert!(
        cell.standing(3).ends_with("hears instance 1, this is 9; a role is taken over at a safe point only"),
        "{}",
        cell.standing(3)
    );
    assert_eq!(
        cell.executors[1].refused(),
        Some((Role::Leader, "another executor plays its role; a role is taken over at a safe point only"))
    );
    cell.run(100);
    assert_eq!([0, 1, 2].map(|index| cell.standing(index)), ["Done", "Done", "Done"]);
}

#[test]
fn a_gripper_that_measures_nothing_ends_the_run_before_a_leaf_can_use_it() {
    let mut cell = Cell::new(TAKEOVER, None);
    cell.run(5);
    let executor = &mut cell.executors[0];
    let gripper = GripperSample { width_m: f64::NAN, force_n: 0.0, holding: false, at: cell.now };
    executor.tick(&RoleInputs { gripper: Some(gripper), ..inputs(executor, cell.now) }, cell.now);
    let robot = executor.spec().robot.clone();
    assert_eq!(
        cell.standing(0),
        format!("the gripper's width and force of {robot} is [NaN, 0.0], expected finite numbers")
    );
}

#[test]
fn a_gripper_that_has_fallen_silent_holds_nothing() {
    const GRIP: &str = r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><Sequence>
        <EnterPhase phase="grip"/><Grip force="40"/></Sequence></BehaviorTree></root>"#;
    let holds = |at| Some(GripperSample { width_m: 0.03, force_n: 40.0, holding: true, at });
    // Before the grip begins, and in the middle of it.
    for last in [1, 4] {
        let mut cell = Cell::new(GRIP, None);
        for tick in 1..=40 {
            if tick <= last {
                cell.gripper = holds(cell.now + TICK);
            }
            cell.run(1);
        }
        assert_eq!(
            cell.standing(0),
            "Grip: the gripper's state is 110 ms old, at most 100 ms are allowed",
            "silent from tick {last} on"
        );
    }
    let mut cell = Cell::new(GRIP, None);
    for _ in 0..40 {
        cell.gripper = holds(cell.now + TICK);
        cell.run(1);
    }
    assert_eq!([0, 1, 2].map(|index| cell.standing(index)), ["Done", "Done", "Done"]);
}

#[test]
fn an_image_from_before_a_leaf_began_locates_nothing_however_late_it_is_heard() {
    const LOCATE: &str = r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><Sequence>
        <EnterPhase phase="look"/><Locate part="peg" samples="1" timeout_s="0.3"/></Sequence></BehaviorTree></root>"#;
    let seen = |at| vec![PartSighting { part: "peg".into(), in_world: Isometry3::identity(), at }];
    let mut cell = Cell::new(LOCATE, None);
    cell.run(10);
    cell.parts = seen(Time::from_millis(5));
    cell.run(40);
    let standing = cell.standing(0);
    assert!(standing.ends_with("Locate: part 'peg' was seen 0 times in 0.3 s, expected 1"), "{standing}");

    let mut cell = Cell::new(LOCATE, None);
    cell.run(10);
    cell.parts = seen(cell.now);
    cell.run(10);
    assert_eq!(cell.standing(0), "Done");
}

#[test]
fn work_in_step_that_fails_keeps_nobody_waiting() {
    // What the leader says of its progress is none, from the first or after some was done.
    let goes_back = r#"<Script code="done := 0.4"/><Sleep msec="30"/><Script code="done := 0.1"/>"#;
    for (value, slip) in [("NaN", ""), ("{done}", goes_back)] {
        let document = format!(
            r#"<root BTCPP_format="4">
                 <BehaviorTree ID="Main">
                   <Sequence>
                     <EnterPhase phase="work"/>
                     <SubTree ID="Slip" role="leader"/>
                     <SubTree ID="Go" role="follower; spotter"/>
                     <EnterPhase phase="retreat"/>
                   </Sequence>
                 </BehaviorTree>
                 <BehaviorTree ID="Slip">
                   <Fallback>
                     <ProgressSync work="sweep" value="{value}" delta="0.5"><Sequence>{slip}<Hold/></Sequence></ProgressSync>
                     <Sleep msec="500"/>
                   </Fallback>
                 </BehaviorTree>
                 <BehaviorTree ID="Go">
                   <ProgressSync work="sweep" value="{{done}}" delta="0.5">
                     <Sequence><Script code="done := 1.2"/><Sleep msec="60"/></Sequence>
                   </ProgressSync>
                 </BehaviorTree>
               </root>"#
        );
        let mut cell = Cell::new(&document, None);
        cell.run(400);
        assert_eq!([0, 1, 2].map(|index| cell.standing(index)), ["Done", "Done", "Done"], "{value}");
    }
}
