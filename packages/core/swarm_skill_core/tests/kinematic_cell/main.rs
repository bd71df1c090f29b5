//! The demo skill's trees, run by three executors against a cell that is only kinematic: arms go where they are told at once, a part
//! in closed fingers goes with them, nothing pushes. It shows that the skill as a whole works, and what happens when it does not;
//! contact is the physics simulator's.

mod cell;
mod previewed;

use cell::{Cell, PART_A, PART_B, StraightDown, Stream, TCP_SPEED_M_PER_S, TICK, TREES};
use swarm_base::{Duration, Role, Time};
use swarm_bt_log::{Recording, Replay, Tail};
use swarm_kinematics::JointVector;
use swarm_skill_core::{Activity, JointSample, Outcome, RunState};

#[test]
fn the_demo_skill_mates_the_parts() {
    let mut cell = Cell::new(StraightDown::default());
    let outcome = cell.run_to_end();
    assert_eq!(outcome, Outcome::Succeeded, "{:#?}", cell.run.role_states());
    let peg_in_pocket = cell.part_in(PART_B, PART_A);
    assert!(peg_in_pocket.translation.z <= -0.026, "the peg is at {}", peg_in_pocket.translation);
    assert!(
        cell.run
            .role_states()
            .iter()
            .all(|state| state.activity == Activity::Succeeded && state.phase == "retreat")
    );
}

#[test]
fn the_scripted_policy_keeps_the_contract_of_policies() {
    swarm_skill_core::policy_contract::check(&mut StraightDown::default());
}

#[test]
fn every_role_keeps_its_limits_at_every_tick() {
    let mut cell = Cell::new(StraightDown::default());
    cell.run_to_end();
    assert!(cell.fastest_tcp_m_per_s <= TCP_SPEED_M_PER_S, "tool speed {} m/s", cell.fastest_tcp_m_per_s);
    assert!(
        cell.largest_velocity_share <= 1.0 + 1e-9,
        "joint speed {} of its limit",
        cell.largest_velocity_share
    );
    assert!(
        cell.largest_change_share <= 1.0 + 1e-9,
        "joint acceleration {} of its limit",
        cell.largest_change_share
    );
}

#[test]
fn the_same_start_gives_the_same_run() {
    let (mut a, mut b) = (Cell::new(StraightDown::default()), Cell::new(StraightDown::default()));
    a.run_to_end();
    b.run_to_end();
    assert_eq!(a.now, b.now);
    assert_eq!(a.positions(), b.positions());
}

#[test]
fn the_trees_of_a_recorded_run_are_replayed_bit_for_bit() {
    let (mut cell, streams) = Cell::new(StraightDown::default()).record();
    assert_eq!(cell.run_to_end(), Outcome::Succeeded);
    replays(&mut cell, streams);
}

/// The recordings of a run that has ended are carried out again.
fn replays(cell: &mut Cell, streams: Vec<(Role, Stream)>) {
    for recorder in cell.run.take_recorders() {
        recorder.finish().expect("memory");
    }
    assert_eq!(streams.len(), 3);
    for (role, stream) in streams {
        let recording = Recording::read(stream.bytes()).expect("whole");
        assert!(recording.len() > 100 && recording.tail == Tail::Closed, "{role}: {} steps", recording.len());
        let mut replay = Replay::new(&recording).expect("the same engine");
        replay.seek(recording.len()).unwrap_or_else(|parted| panic!("{role}: {parted}"));
    }
}

/// Beside something, a node after whose every round the engine ticks the tree again within the same tick of the role.
fn beside_rounds(inside: &str) -> String {
    format!(
        r#"<Parallel success_count="1" failure_count="1">{inside}
             <Repeat num_cycles="-1"><ForceBelow limit_n="1000"/></Repeat></Parallel>"#
    )
}

#[test]
fn a_motion_keeps_its_speed_however_often_the_tree_is_ticked_until_it_settles() {
    const SHARE: f64 = 0.1;
    let moves = beside_rounds(&format!(r#"<MoveLinear xyz="0;0;0.05" speed="{SHARE}"/>"#));
    let trees = TREES.map(|(role, _)| {
        let moves = if role == Role::Leader { &moves } else { "<AlwaysSuccess/>" };
        let tree = format!(r#"<Sequence><EnterPhase phase="go"/>{moves}</Sequence>"#);
        (role, format!(r#"<root BTCPP_format="4"><BehaviorTree ID="Main">{tree}</BehaviorTree></root>"#))
    });
    let mut cell = Cell::of(trees, StraightDown::default());
    assert_eq!(cell.run_to_end(), Outcome::Succeeded);
    let fastest = cell.run.outputs().map(|(spec, _)| spec.limits.linear_m_per_s * SHARE).next().unwrap();
    assert!(cell.fastest_tcp_m_per_s > 0.9 * fastest, "tool speed {} m/s", cell.fastest_tcp_m_per_s);
    assert!(cell.fastest_tcp_m_per_s <= 1.05 * fastest, "tool speed {} m/s", cell.fastest_tcp_m_per_s);
}

#[test]
fn a_policy_is_asked_once_per_tick_however_often_the_tree_is_ticked_until_it_settles() {
    let leaf = r#"<RunPolicy name="insert" policy="insert_peg" pocket="part_a" tip="part_b"/>"#;
    let trees = TREES.map(|(role, xml)| (role, xml.replace(leaf, &beside_rounds(leaf))));
    let (mut cell, streams) = Cell::of(trees, StraightDown::default()).record();
    cell.run_until("mate");
    while cell.questions() == 0 {
        cell.run_for(TICK);
    }
    for asked in 1..=50 {
        assert_eq!(cell.questions(), asked);
        cell.run_for(TICK);
    }
    assert_eq!(cell.run_to_end(), Outcome::Succeeded);
    replays(&mut cell, streams);
}

#[test]
fn a_late_policy_aborts_the_run_with_its_deadline() {
    let mut cell = Cell::new(StraightDown { late_after: Some(20), ..StraightDown::default() });
    assert_eq!(
        cell.run_to_end(),
        Outcome::Aborted(
            "follower: RunPolicy 'insert': inference took 9000 us, its deadline is 2000 us".into()
        )
    );
    assert!(cell.run.role_states().iter().all(|state| state.activity == Activity::Aborted));
}

#[test]
fn an_answer_that_is_no_number_aborts_the_run() {
    let mut cell = Cell::new(StraightDown { nan_after: Some(5), ..StraightDown::default() });
    assert_eq!(
        cell.run_to_end(),
        Outcome::Aborted("follower: RunPolicy 'insert': the policy's answer is not finite".into())
    );
}

#[test]
fn a_cancel_stops_every_arm_and_is_answered_when_they_stand() {
    let mut cell = Cell::new(StraightDown::default());
    cell.run_until("bring");
    cell.run_for(Duration::from_millis(500));
    assert!(cell.moving_robots() > 0);
    cell.run.cancel("the operator said so");
    assert!(matches!(cell.run.state(), RunState::Stopping(_)), "arms still move");
    assert_eq!(cell.run_to_end(), Outcome::Canceled("the operator said so".into()));
    assert_eq!(cell.moving_robots(), 0);
    assert!(cell.run.role_states().iter().all(|state| state.activity == Activity::Canceled));
}

#[test]
fn an_arm_that_nobody_knows_to_stand_keeps_a_run_from_its_end_until_the_stop_times_out() {
    let no_number: fn(&mut JointSample) = |joints| joints.qd[0] = f64::NAN;
    let outdated: fn(&mut JointSample) = |joints| {
        joints.qd = JointVector::zeros();
        joints.at = Time(joints.at.0 - 110_000_000);
    };
    for spoil in [no_number, outdated] {
        let mut cell = Cell::new(StraightDown::default());
        cell.run_until("bring");
        cell.spoilt_joints = Some(spoil);
        cell.run.cancel("the operator said so");
        let cancelled = cell.now;
        assert_eq!(cell.run_to_end(), Outcome::Canceled("the operator said so".into()));
        let waited = cell.now.since(cancelled);
        assert!(waited >= Duration::from_millis(3_000), "ended after {:.2} s", waited.as_secs_f64());
    }
}

#[test]
fn a_stop_of_the_safety_monitor_ends_the_run_for_good() {
    let mut cell = Cell::new(StraightDown::default());
    cell.run_until("grip");
    cell.safety.permits_motion = false;
    cell.safety.state = "ESTOP: emergency_stop".into();
    assert_eq!(
        cell.run_to_end(),
        Outcome::Aborted("the safety monitor stopped the cell: ESTOP: emergency_stop".into())
    );
}

#[test]
fn a_reset_of_the_safety_monitor_does_not_revive_a_run() {
    let mut cell = Cell::new(StraightDown::default());
    cell.run_until("grip");
    cell.safety.epoch += 1;
    let Outcome::Aborted(reason) = cell.run_to_end() else { panic!("the run goes on under a new epoch") };
    assert_eq!(reason, "the safety monitor was reset (epoch 5, the run was started under 4)");
}

#[test]
fn a_silent_sensor_aborts_the_run() {
    let mut cell = Cell::new(StraightDown::default());
    cell.run_until("bring");
    cell.silent_wrench = Some(Role::Leader);
    let Outcome::Aborted(reason) = cell.run_to_end() else { panic!("the run goes on without its sensor") };
    assert_eq!(reason, "leader: the wrench of ur5e_left is 110 ms old, at most 100 ms are allowed");
}

#[test]
fn a_part_that_is_not_seen_is_named() {
    let mut cell = Cell::new(StraightDown::default());
    cell.hidden = Some(PART_B);
    assert_eq!(
        cell.run_to_end(),
        Outcome::Aborted("follower: Locate: part 'part_b' was seen 0 times in 3.0 s, expected 10".into())
    );
}

#[test]
fn fingers_that_close_on_nothing_are_noticed() {
    let mut cell = Cell::new(StraightDown::default());
    cell.make_slippery(PART_A);
    assert_eq!(
        cell.run_to_end(),
        Outcome::Aborted(
            "leader: Grip 'take part A': the fingers are 0.0 mm apart after 3.0 s, expected a part between them".into()
        )
    );
}

#[test]
fn a_force_that_the_spotter_sees_aborts_the_run() {
    let mut cell = Cell::new(StraightDown::default());
    cell.run_until("mate");
    cell.push_n = 60.0;
    let Outcome::Aborted(reason) = cell.run_to_end() else { panic!("the spotter looks away") };
    assert!(
        reason.starts_with("spotter: the mating force is too large") || reason.contains("contact force"),
        "{reason}"
    );
}

#[test]
fn a_lost_role_makes_the_others_hold_and_then_abort() {
    let mut cell = Cell::new(StraightDown::default());
    cell.run_until("bring");
    cell.cut_off(Role::Spotter);
    cell.run_for(Duration::from_millis(300));
    let holding = |cell: &Cell| {
        cell.run.role_states().iter().filter(|state| state.activity == Activity::Holding).count()
    };
    assert_eq!(holding(&cell), 3, "{:#?}", cell.run.role_states());
    cell.run_for(Duration::from_millis(500));
    assert_eq!(cell.moving_robots(), 0, "who holds stands");
    let Outcome::Aborted(reason) = cell.run_to_end() else { panic!("the run goes on without its spotter") };
    assert!(reason.contains("no message from"), "{reason}");
}
