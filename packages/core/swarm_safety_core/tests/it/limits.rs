//! Measured motion, place, load and distance against the limits in force.

use nalgebra::{Point3, Vector3};
use swarm_base::Duration;
use swarm_kinematics::JointVector;
use swarm_safety_core::{
    CauseKind, Config, EnvelopeFile, Input, InputFault, MAX_ROBOTS, Other, SafetyState, Tolerances, Verdict,
};

use crate::bench::{Bench, CEILING, LEFT, PANDA_ARM, RIGHT, config, config_of, home, joint, slow};

/// A running cell under a tighter envelope.
fn running_under(envelope: &str) -> Bench {
    let file = EnvelopeFile::parse(&format!("schema: 1\n{envelope}")).unwrap();
    let mut bench = Bench::with(config().with_envelope(Some(&file), &[], 1).unwrap());
    bench.cycle();
    let verdict = bench.reset();
    assert_eq!(verdict.state, SafetyState::Ready, "{:?}", verdict.reset);
    for robot in 0..MAX_ROBOTS {
        bench.wish[robot] = Some(JointVector::zeros());
    }
    bench.cycles(5);
    bench
}

fn tcp(config: &Config, robot: usize, q: &JointVector) -> Point3<f64> {
    let model = &config.arms()[robot].model;
    Point3::from(model.tool(&model.forward(q)).translation.vector)
}

fn assert_cause(verdict: &Verdict, state: SafetyState, kind: CauseKind, robot: usize, joint: Option<usize>) {
    let cause = verdict.cause.expect("a stop has a cause");
    assert_eq!(
        (verdict.state, cause.kind, cause.robot, cause.joint),
        (state, kind, Some(robot), joint),
        "{cause:?}"
    );
}

/// Runs until the cell stops; every cycle before has passed `check`.
fn until_stop(bench: &mut Bench, mut check: impl FnMut(&Bench, &Verdict)) -> Verdict {
    for _ in 0..5000 {
        let verdict = bench.cycle();
        check(bench, &verdict);
        if verdict.state.is_stop() {
            for _ in 0..500 {
                let after = bench.cycle();
                check(bench, &after);
            }
            return verdict;
        }
    }
    panic!("the cell did not stop within 10 s");
}

// SR-06
#[test]
fn a_joint_faster_than_allowed_stops_the_cell() {
    let mut bench = Bench::running();
    bench.qd[LEFT][1] = 1.57 * 1.1 + 0.01;
    let verdict = bench.cycle();
    assert_cause(&verdict, SafetyState::Stop1, CauseKind::JointVelocity, LEFT, Some(1));
    let cause = verdict.cause.unwrap();
    assert!((cause.value - 1.737).abs() < 1e-9 && (cause.limit - 1.727).abs() < 1e-9, "{cause:?}");
}

#[test]
fn a_joint_that_jumps_is_an_acceleration_fault() {
    let mut bench = Bench::running();
    bench.qd[PANDA_ARM][2] = 0.9;
    let verdict = bench.cycle();
    assert_cause(&verdict, SafetyState::Stop1, CauseKind::JointAcceleration, PANDA_ARM, Some(2));
}

#[test]
fn a_tool_faster_than_allowed_stops_the_cell() {
    let mut bench = running_under("robots: {ur5e_right: {tcp: {speed_m_s: 0.1}}}");
    // 0.25 rad/s about the base moves the tool, 0.5 m away, faster than 0.11 m/s; the excess is small enough for the drive.
    bench.wish[RIGHT] = Some(joint(0, 0.2));
    bench.cycles(100);
    for step in 1..20 {
        bench.qd[RIGHT] = joint(0, 0.2 + 0.05 * f64::from(step) / 19.0);
        bench.cycle();
        if bench.state.state().is_stop() {
            break;
        }
    }
    let cause = bench.state.cause().unwrap();
    assert_eq!((cause.kind, cause.robot), (CauseKind::TcpSpeed, Some(RIGHT)));
    assert!(cause.value > 0.11 && cause.limit > 0.109 && cause.limit < 0.111, "{cause:?}");
}

// SR-06
#[test]
fn a_joint_never_passes_its_limit_and_the_stop_comes_no_earlier_than_braking_needs() {
    let limit = home(LEFT)[5] + 0.8;
    let envelope =
        format!("robots: {{ur5e_left: {{joints: {{upper_rad: [3.6, 3.6, 3.1, 3.6, 3.6, {limit}]}}}}}}");
    let mut bench = running_under(&envelope);
    bench.wish[LEFT] = Some(joint(5, 1.2));
    let verdict =
        until_stop(&mut bench, |bench, _| assert!(bench.q[LEFT][5] <= limit, "{}", bench.q[LEFT][5]));
    assert_cause(&verdict, SafetyState::Stop2, CauseKind::JointPosition, LEFT, Some(5));
    // 26 ms of reaction that an ideal robot does not need, at 1.2 rad/s.
    assert!(bench.q[LEFT][5] > limit - 0.035, "stopped at {}, limit {limit}", bench.q[LEFT][5]);
}

// SR-06
#[test]
fn an_arm_whose_joint_states_are_late_is_taken_to_have_gone_on_since() {
    let limit = home(LEFT)[5] + 0.8;
    let envelope =
        format!("robots: {{ur5e_left: {{joints: {{upper_rad: [3.6, 3.6, 3.1, 3.6, 3.6, {limit}]}}}}}}");
    let [prompt, late] = [0, 10].map(|milliseconds| {
        let mut bench = running_under(&envelope);
        bench.late = Duration::from_millis(milliseconds);
        bench.wish[LEFT] = Some(joint(5, 1.2));
        let verdict = until_stop(&mut bench, |_, _| ());
        assert_cause(&verdict, SafetyState::Stop2, CauseKind::JointPosition, LEFT, Some(5));
        bench.q[LEFT][5]
    });
    // 10 ms at 1.2 rad/s, give or take a cycle.
    assert!(
        (prompt - late - 0.012).abs() < 0.003,
        "it stopped at {prompt}, and at {late} with late joint states"
    );
}

#[test]
fn a_stop_that_is_foreseen_while_speeding_up_brakes_in_the_same_step() {
    let limit = home(LEFT)[5] + 0.05;
    let envelope =
        format!("robots: {{ur5e_left: {{joints: {{upper_rad: [3.6, 3.6, 3.1, 3.6, 3.6, {limit}]}}}}}}");
    let mut bench = running_under(&envelope);
    bench.wish[LEFT] = Some(joint(5, 1.5));
    loop {
        let before = bench.outputs[LEFT][5];
        let verdict = bench.cycle();
        let output = verdict.robots[LEFT].velocity[5];
        if verdict.state.is_stop() {
            assert!(before > 0.1 && before < 1.5, "it was still speeding up: {before}");
            assert!((before - output - 8.0 * 0.002).abs() < 1e-12, "{before} then {output}");
            return;
        }
        assert!(output > before, "{before} then {output}");
    }
}

#[test]
fn a_robot_near_its_limit_may_move_away_from_it() {
    let limit = home(LEFT)[5] + 0.001;
    let envelope =
        format!("robots: {{ur5e_left: {{joints: {{upper_rad: [3.6, 3.6, 3.1, 3.6, 3.6, {limit}]}}}}}}");
    let mut bench = running_under(&envelope);
    bench.wish[LEFT] = Some(joint(5, -0.5));
    assert_eq!(bench.cycles(50).state, SafetyState::Run);
}

// SR-08
#[test]
fn the_tool_never_leaves_its_workspace() {
    let config = config();
    let start = tcp(&config, LEFT, &home(LEFT));
    let (low, high) = (start.coords.add_scalar(-0.05), start.coords.add_scalar(0.05));
    let envelope = format!(
        "robots: {{ur5e_left: {{workspace: {{allowed: [{{min_m: [{}, {}, {}], max_m: [{}, {}, {}]}}]}}}}}}",
        low.x, low.y, low.z, high.x, high.y, high.z
    );
    for index in 0..3 {
        for speed in [-0.5, 0.5] {
            let mut bench = running_under(&envelope);
            bench.wish[LEFT] = Some(joint(index, speed));
            let verdict = until_stop(&mut bench, |bench, _| {
                let at = tcp(&bench.config, LEFT, &bench.q[LEFT]);
                let inside = (0..3).all(|axis| at[axis] >= low[axis] && at[axis] <= high[axis]);
                assert!(inside, "joint {index} at {speed}: tool at {at}");
            });
            assert_cause(&verdict, SafetyState::Stop2, CauseKind::Workspace, LEFT, None);
        }
    }
}

#[test]
fn the_tool_never_enters_a_keep_out_box() {
    let config = config();
    let start = tcp(&config, LEFT, &home(LEFT));
    // A wall 0.1 m to the left of the tool.
    let wall = start.y + 0.1;
    let envelope = format!(
        "robots: {{ur5e_left: {{workspace: {{keep_out: [{{min_m: [-2, {wall}, -1], max_m: [2, 2, 2]}}]}}}}}}"
    );
    let mut bench = running_under(&envelope);
    let turn = if tcp(&config, LEFT, &(home(LEFT) + joint(0, 0.01))).y > start.y { 0.6 } else { -0.6 };
    bench.wish[LEFT] = Some(joint(0, turn));
    let verdict = until_stop(&mut bench, |bench, _| {
        let at = tcp(&bench.config, LEFT, &bench.q[LEFT]);
        assert!(at.y <= wall, "tool at {at}, wall at {wall}");
    });
    assert_cause(&verdict, SafetyState::Stop2, CauseKind::KeepOut, LEFT, None);
}

// SR-09
#[test]
fn a_load_at_the_collision_level_stops_the_cell() {
    let mut bench = Bench::running();
    bench.contact[RIGHT].0 = Vector3::new(0.0, 60.0, 53.0);
    let verdict = bench.cycle();
    assert_cause(&verdict, SafetyState::Stop1, CauseKind::CollisionForce, RIGHT, None);
    assert!((verdict.cause.unwrap().value - 6409.0_f64.sqrt()).abs() < 1e-6);
    let mut bench = Bench::running();
    bench.contact[PANDA_ARM].1 = Vector3::new(0.0, 0.0, -10.1);
    let verdict = bench.cycle();
    assert_cause(&verdict, SafetyState::Stop1, CauseKind::CollisionTorque, PANDA_ARM, None);
}

// SR-09
#[test]
fn a_load_between_contact_and_collision_level_slows_the_robot_down_the_more_the_nearer() {
    let mut bench = Bench::running();
    let mut last = 1.0;
    for force in [30.0, 45.0, 60.0, 79.0] {
        bench.contact[LEFT].0 = Vector3::new(force, 0.0, 0.0);
        let verdict = bench.cycles(3);
        assert_eq!(verdict.state, SafetyState::Slow);
        assert!(verdict.robots[LEFT].scale < last && verdict.robots[LEFT].scale >= 0.1);
        assert_eq!(verdict.robots[RIGHT].scale, 1.0, "the others are not concerned");
        last = verdict.robots[LEFT].scale;
    }
    bench.contact[LEFT].0 = Vector3::zeros();
    assert_eq!(bench.cycles(3).state, SafetyState::Run, "a slow-down ends with its reason");
}

#[test]
fn the_weight_of_the_payload_is_no_contact_in_any_posture() {
    let mut bench = Bench::running();
    for turn in 0..8 {
        bench.q[LEFT][3] = -1.57 + 0.1 * f64::from(turn);
        let verdict = bench.cycle();
        let force = verdict.robots[LEFT].measures.contact_force_n;
        assert!(force < 1e-9, "{force} N measured without contact");
    }
}

#[test]
fn the_torque_of_the_payload_is_no_contact_either() {
    // The tool points aside: its weight of 9.8 N acts 6 cm before the flange.
    for (torque, state) in [(9.9, SafetyState::Slow), (10.1, SafetyState::Stop1)] {
        for direction in [Vector3::x(), Vector3::y(), -Vector3::x(), -Vector3::y()] {
            let mut bench = Bench::new();
            bench.q[LEFT][3] = -0.8;
            bench.cycle();
            bench.reset();
            bench.wish[LEFT] = Some(slow(LEFT));
            bench.cycles(5);
            bench.contact[LEFT].1 = direction * torque;
            assert_eq!(bench.cycle().state, state, "{torque} N m along {direction}");
        }
    }
}

// SR-10
#[test]
fn robots_that_approach_each_other_slow_down_and_stop_before_the_smallest_distance() {
    // Both UR5e lean towards each other over the table; or one leans towards the other, which stands already leaning.
    for (left, right) in [(true, true), (true, false), (false, true)] {
        let mut bench = Bench::new();
        for (robot, moves) in [(LEFT, left), (RIGHT, right)] {
            if !moves {
                bench.q[robot][1] += 0.3;
            }
        }
        bench.cycle();
        assert_eq!(bench.reset().state, SafetyState::Ready);
        bench.wish[LEFT] = left.then(|| joint(1, 0.4));
        bench.wish[RIGHT] = right.then(|| joint(1, 0.4));
        let mut slowed = false;
        let mut nearest = f64::INFINITY;
        let verdict = until_stop(&mut bench, |_, verdict| {
            slowed |= verdict.state == SafetyState::Slow;
            nearest = nearest.min(verdict.robots[LEFT].measures.separation_m);
        });
        assert_cause(&verdict, SafetyState::Stop2, CauseKind::Separation, LEFT, None);
        assert!(slowed, "a graded slow-down comes before the stop");
        let name = verdict.cause.unwrap().joint_name(&bench.config);
        assert!(name.starts_with("ur5e_left_") && name.contains(" - ur5e_right_"), "{name}");
        let standing = bench.cycles(200).robots[LEFT].measures.separation_m;
        assert!(standing >= 0.01, "{standing} m left");
        assert!(nearest.min(standing) < 0.03, "and the stop not before it is needed: nearest {nearest} m");
    }
}

#[test]
fn the_verdict_shows_each_measure_beside_its_limit() {
    let mut bench = Bench::running();
    bench.contact[LEFT].0 = Vector3::new(0.0, 0.0, 5.0);
    let measures = bench.cycle().robots[LEFT].measures;
    assert!((measures.contact_force_n - 5.0).abs() < 1e-9 && measures.contact_force_limit_n == 80.0);
    assert_eq!((measures.tcp_speed_limit_m_s, measures.separation_limit_m), (0.5, 0.01));
    assert!((measures.joint_velocity_ratio - slow(LEFT).amax() / 1.57).abs() < 1e-9);
    assert!(measures.separation_m > 0.05 && measures.separation_m < 1.0);
    assert_eq!(measures.input_age_s, 0.0);
}

// SR-06
#[test]
fn an_effort_above_its_limit_stops_the_cell() {
    let mut bench = Bench::running();
    bench.effort[RIGHT][4] = -28.1;
    assert_cause(&bench.cycle(), SafetyState::Stop1, CauseKind::JointEffort, RIGHT, Some(4));
}

#[test]
fn efforts_that_are_limited_must_be_there() {
    let mut bench = Bench::running();
    bench.sample();
    bench.inputs.robots[LEFT].joints.as_mut().unwrap().effort = None;
    let kind = CauseKind::Malformed(Input::JointState, InputFault::NoEffort);
    assert_cause(&bench.step(), SafetyState::Stop1, kind, LEFT, None);
    let unmonitored = CEILING
        .replace("effort_nm: [150.0, 150.0, 150.0, 28.0, 28.0, 28.0]", "effort_nm: unmonitored")
        .replace("power_w: 300.0", "power_w: unmonitored");
    let mut bench = Bench::with(config_of(&unmonitored, Tolerances::default()));
    bench.cycle();
    assert_eq!(bench.reset().state, SafetyState::Ready);
    bench.sample();
    bench.inputs.robots[LEFT].joints.as_mut().unwrap().effort = None;
    assert_eq!(bench.step().state, SafetyState::Ready);
}

// SR-07
#[test]
fn more_power_than_allowed_stops_the_cell() {
    let mut bench = running_under("robots: {panda: {dynamics: {power_w: 20.0}}}");
    bench.wish[PANDA_ARM] = Some(joint(0, 0.4));
    bench.cycles(100);
    bench.effort[PANDA_ARM][0] = 49.0;
    assert_eq!(bench.cycle().state, SafetyState::Run);
    bench.effort[PANDA_ARM][0] = 51.0;
    assert_cause(&bench.cycle(), SafetyState::Stop1, CauseKind::Power, PANDA_ARM, None);
}

#[test]
fn a_command_with_too_much_momentum_or_elbow_speed_is_scaled_down() {
    for (envelope, measure) in [
        ("robots: {ur5e_left: {dynamics: {momentum_kg_m_s: 1.0}}}", 0),
        ("robots: {ur5e_left: {tcp: {elbow_speed_m_s: 0.05}}}", 1),
    ] {
        let mut bench = running_under(envelope);
        let mut most = 0.0_f64;
        for cycle in 0..400 {
            // To and fro about the base.
            bench.wish[LEFT] = Some(joint(1, if (cycle / 100) % 2 == 0 { -0.5 } else { 0.5 }));
            let verdict = bench.cycle();
            assert!(!verdict.state.is_stop(), "{:?}", verdict.cause);
            let measures = verdict.robots[LEFT].measures;
            let (value, limit) = [
                (measures.momentum_kg_m_s, measures.momentum_limit_kg_m_s),
                (measures.elbow_speed_m_s, measures.elbow_speed_limit_m_s),
            ][measure];
            assert!(value <= limit * 1.02, "{value} of {limit}");
            most = most.max(value / limit);
        }
        assert!(most > 0.95, "it used {most} of its limit");
    }
}

// SR-07
#[test]
fn an_elbow_or_an_arm_that_is_faster_than_commanded_stops_the_cell() {
    for (envelope, kind) in [
        ("robots: {ur5e_left: {dynamics: {momentum_kg_m_s: 1.0}}}", CauseKind::Momentum),
        ("robots: {ur5e_left: {tcp: {elbow_speed_m_s: 0.05}}}", CauseKind::ElbowSpeed),
    ] {
        let mut bench = running_under(envelope);
        bench.wish[LEFT] = Some(joint(1, -0.5));
        bench.cycles(40);
        bench.qd[LEFT] *= 1.3;
        assert_cause(&bench.cycle(), SafetyState::Stop1, kind, LEFT, None);
    }
}

// SR-10
#[test]
fn links_stop_before_they_meet_a_fixture_and_tools_may_touch_what_they_may() {
    // A shelf beside the right arm, in the way of its elbow and tool.
    let shelf = |touch: bool| {
        let list = format!(
            "fixtures:\n    - {{name: shelf, box: {{min_m: [0.0, -0.6, 0.0], max_m: [0.9, -0.3, 0.9]}}, tool_may_touch: {touch}}}\n"
        );
        CEILING.replace("fixtures:\n", &list)
    };
    let mut gaps = Vec::new();
    for touch in [false, true] {
        let mut bench = Bench::with(config_of(&shelf(touch), Tolerances::default()));
        bench.cycle();
        bench.reset();
        bench.wish[RIGHT] = Some(joint(0, 0.5));
        let verdict = until_stop(&mut bench, |_, verdict| {
            let gap = verdict.robots[RIGHT].measures.fixture_separation_m;
            assert!(gap >= 0.005 - 1e-9, "a link is {gap} m from the shelf");
        });
        let cause = verdict.cause.unwrap();
        assert_eq!(
            (verdict.state, cause.kind),
            (SafetyState::Stop2, CauseKind::FixtureSeparation),
            "{cause:?}"
        );
        let text = cause.joint_name(&bench.config);
        assert!(text.ends_with(" - shelf") && text.contains("gripper") != touch, "{text}");
        gaps.push(bench.q[RIGHT][0]);
    }
    assert!(gaps[1] > gaps[0] + 0.01, "with a tool that may touch the arm turns farther: {gaps:?}");
}

// SR-10
#[test]
fn an_arm_that_folds_stops_before_it_meets_itself() {
    let mut bench = Bench::ready();
    bench.wish[LEFT] = Some(joint(2, 0.5));
    let verdict = until_stop(&mut bench, |_, verdict| {
        let gap = verdict.robots[LEFT].measures.self_separation_m;
        assert!(gap >= 0.005 - 1e-9, "links are {gap} m apart");
    });
    let cause = verdict.cause.unwrap();
    assert_eq!((verdict.state, cause.kind), (SafetyState::Stop2, CauseKind::SelfSeparation), "{cause:?}");
    assert!(matches!(cause.other, Some(Other::Own { .. })));
}

// SR-08
#[test]
fn the_tool_stays_on_the_inner_side_of_a_plane() {
    let envelope = "robots: {panda: {workspace: {planes: [{normal: [1, 0, 0], offset_m: -0.1}, {normal: [-1, 0, 0], offset_m: -0.1}]}}}";
    let mut bench = running_under(envelope);
    bench.wish[PANDA_ARM] = Some(joint(0, 0.4));
    let verdict = until_stop(&mut bench, |bench, _| {
        let at = tcp(&bench.config, PANDA_ARM, &bench.q[PANDA_ARM]);
        assert!(at.x.abs() <= 0.1, "the tool is at {at}");
    });
    assert_eq!(verdict.cause.unwrap().kind, CauseKind::Workspace);
}
