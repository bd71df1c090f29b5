//! Limits from files: complete, consistent, and never looser than the cell's ceiling.

use nalgebra::{Unit, Vector3};
use proptest::prelude::*;
use swarm_kinematics::{JointVector, Load, Obstacle};
use swarm_safety_core::{
    Boxes, CellLimits, Config, ConfigError, Envelope, EnvelopeError, EnvelopeFile, Few, Fixture, HumanLimits,
    HumanZone, Label, MAX_BOXES, MAX_ROBOTS, PERMIT_TIMEOUT_S, RobotLimits, RobotShape, Timing, Tolerances,
    WorldBox, compose,
};

use crate::bench::{CEILING, LEFT, PANDA_ARM, RIGHT, arms, config};

const ROBOTS: [RobotShape; 3] = [
    RobotShape { name: "ur5e_left", role: Some("leader"), dof: 6 },
    RobotShape { name: "ur5e_right", role: Some("follower"), dof: 6 },
    RobotShape { name: "panda", role: Some("spotter"), dof: 7 },
];
const NAMES: [&str; 3] = ["ur5e_left", "ur5e_right", "panda"];

fn ceiling() -> Envelope {
    EnvelopeFile::parse(CEILING).unwrap().ceiling(&ROBOTS).unwrap()
}

fn under(text: &str) -> Result<Envelope, EnvelopeError> {
    EnvelopeFile::parse(text)?.under(&ceiling(), &ROBOTS)
}

#[test]
fn the_shipped_ceiling_is_complete_and_within_the_makers_limits() {
    let shipped = EnvelopeFile::parse(include_str!("../../../../../config/safety_ceiling.yaml")).unwrap();
    let config = Config::new(arms(), &shipped, Timing::default(), Tolerances::default()).unwrap();
    assert_eq!(config.ceiling(), config.in_force());
}

#[test]
fn a_ceiling_is_read_as_it_is_written() {
    let config = config();
    assert_eq!(config.ceiling().robots[LEFT].joints.velocity[5], 1.57);
    assert_eq!(config.ceiling().robots[PANDA_ARM].joints.upper[5], 3.7525);
    assert_eq!(config.ceiling().robots[LEFT], config.ceiling().robots[RIGHT]);
}

#[test]
fn an_envelope_tightens_what_it_names_and_inherits_the_rest() {
    let composed =
        under("schema: 1\nrobots: {follower: {tcp: {speed_m_s: 0.1}, joints: {velocity_rad_s: 0.5}}}");
    let (composed, ceiling) = (composed.unwrap(), ceiling());
    assert_eq!(composed.robots[1].tcp_speed_m_s, 0.1);
    assert_eq!(
        composed.robots[1].joints.velocity,
        JointVector::from_fn(|i, _| if i < 6 { 0.5 } else { 0.0 })
    );
    assert_eq!(composed.robots[1].joints.upper, ceiling.robots[1].joints.upper);
    assert_eq!((composed.robots[0], composed.robots[2]), (ceiling.robots[0], ceiling.robots[2]));
    assert_eq!(composed.cell, ceiling.cell);
}

#[test]
fn an_empty_envelope_is_the_ceiling() {
    assert_eq!(under("schema: 1").unwrap(), ceiling());
}

// SR-17
#[test]
fn a_looser_envelope_is_refused_with_every_looser_field() {
    let text = "
schema: 1
cell: {separation: {min_m: 0.005}, timeouts: {command_s: 0.2}}
robots:
  leader: {tcp: {speed_m_s: 0.6}, gripper: {max_force_n: 60}}
  panda: {joints: {velocity_rad_s: [1, 1, 1, 1, 1, 2.0, 1]}, workspace: {allowed: [{min_m: [-0.9, -0.6, -0.1], max_m: [0, 0, 1]}]}}
";
    let Err(EnvelopeError::Looser(looser)) = under(text) else { panic!("{:?}", under(text)) };
    let fields: Vec<&str> = looser.0.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "cell.separation.min_m",
            "cell.timeouts.command_s",
            "robots.ur5e_left.tcp.speed_m_s",
            "robots.ur5e_left.gripper.max_force_n",
            "robots.panda.joints.velocity_rad_s[5]",
            "robots.panda.workspace.allowed[0]",
        ]
    );
    let text = looser.to_string();
    assert!(text.starts_with("the skill's safety envelope is looser than the cell's ceiling: cell.separation.min_m is 0.005, the cell allows at least 0.01; "), "{text}");
}

// SR-17
#[test]
fn an_envelope_that_has_expired_or_is_for_another_cell_is_refused() {
    let check = |valid: &str, cell: &str, now: i64| {
        let file = EnvelopeFile::parse(&format!("schema: 1\nvalid: {valid}\n")).unwrap();
        file.validity()?.check(cell, now).map_err(|error| error.to_string()).map_err(EnvelopeText)
    };
    let until = 1_798_761_599;
    assert_eq!(check("{until: 2026-12-31T23:59:59Z, cells: [a, b]}", "b", until), Ok(()));
    let expired = check("{until: 2026-12-31T23:59:59Z}", "b", until + 1).unwrap_err();
    assert_eq!(
        expired.0,
        "the envelope was valid until 2026-12-31T23:59:59Z; have it looked at, and package the skill with a newer one"
    );
    let other = check("{cells: [a, b]}", "c", until).unwrap_err();
    assert_eq!(
        other.0,
        "the envelope is for a, b, and this cell is 'c'; package the skill with an envelope for this cell"
    );
    let mistakes = check("{until: tomorrow, cells: [], form: 3}", "c", until).unwrap_err().0;
    for part in ["valid.until: expected a time", "valid.cells: for no cell at all", "valid.form: unknown"] {
        assert!(mistakes.contains(part), "{mistakes}");
    }
}

#[derive(Debug, PartialEq)]
struct EnvelopeText(String);

impl From<EnvelopeError> for EnvelopeText {
    fn from(error: EnvelopeError) -> Self {
        Self(error.to_string())
    }
}

/// Of a ceiling, all mistakes: what is missing, unknown, of the wrong type, out of range, or not in order.
#[test]
fn a_ceiling_lists_everything_that_is_wrong_or_missing() {
    let text = "
schema: 1
cell:
  separation: {provenance: '', min_m: 0.01}
robots:
  ur5e_left:
    joints: {lower_rad: -3, upper_rad: 3, velocity_rad_s: fast, acceleration_rad_s2: [8, 8, 8, 8, 8, 0]}
    tcp: {provenance: chosen, speed_ms: 0.5}
    workspace: {provenance: measured, allowed: []}
    gripper: {provenance: its data sheet, min_width_m: -0.001, max_width_m: 0.085, max_force_n: .inf}
";
    let file = EnvelopeFile::parse(text).unwrap();
    assert_eq!(
        file.ceiling(&ROBOTS[..2]).unwrap_err().to_string(),
        "the limits are not usable: 20 mistakes\n  \
         line 4, column 3: cell.fixtures: missing; expected a list of fixtures\n  \
         line 4, column 3: cell.humans: missing; expected how people are looked for, or unmonitored\n  \
         line 4, column 3: cell.timeouts: missing; expected the longest age of each input\n  \
         line 4, column 15: cell.separation.slow_m: missing; expected a number (m)\n  \
         line 4, column 15: cell.separation.self_m: missing; expected a number (m)\n  \
         line 4, column 15: cell.separation.fixture_m: missing; expected a number (m)\n  \
         line 4, column 28: cell.separation.provenance: expected where the figures come from, found ''\n  \
         line 6, column 3: robots: expected the limits of each robot, found none of ur5e_right\n  \
         line 7, column 5: robots.ur5e_left.dynamics: missing; expected the limits of momentum and power\n  \
         line 7, column 5: robots.ur5e_left.wrench: missing; expected the limits of force and torque\n  \
         line 7, column 13: robots.ur5e_left.joints.provenance: missing; expected where the figures come from\n  \
         line 7, column 13: robots.ur5e_left.joints.effort_nm: missing; expected a number or one per joint (N m)\n  \
         line 7, column 59: robots.ur5e_left.joints.velocity_rad_s: expected a number above 0 rad/s, found 'fast'\n  \
         line 7, column 102: robots.ur5e_left.joints.acceleration_rad_s2[5]: expected a number above 0 rad/s^2, found the number 0\n  \
         line 8, column 10: robots.ur5e_left.tcp.speed_m_s: missing; expected a number (m/s)\n  \
         line 8, column 10: robots.ur5e_left.tcp.elbow_speed_m_s: missing; expected a number (m/s)\n  \
         line 8, column 31: robots.ur5e_left.tcp.speed_ms: unknown field; did you mean speed_m_s?\n  \
         line 9, column 48: robots.ur5e_left.workspace.allowed: expected at least one box, found a list of 0\n  \
         line 10, column 56: robots.ur5e_left.gripper.min_width_m: expected a number from 0 m, found the number -0.001\n  \
         line 10, column 97: robots.ur5e_left.gripper.max_force_n: expected a finite number from 0 N, found the number inf"
    );
}

#[test]
fn an_envelope_lists_everything_that_is_wrong() {
    let text = "
schema: 2
cell: {separation: {min_m: 0.2, slow_m: 0.1}, timeouts: {wrench_s: -1}}
robots:
  nobody: {}
  panda:
    joints: {lower_rad: 1, upper_rad: [1, 1], velocity_rad_s: 0}
    tcp: {speed_m_s: .nan}
    workspace:
      allowed: [{min_m: [1, 0, 0], max_m: [0, 1, 1]}]
      keep_out: [{min_m: [0, 0], max_m: low}]
    wrench: {contact_force_n: 50, collision_force_n: 40}
  leader:
    joints: {lower_rad: 2, upper_rad: [3, 3, 3, 3, 2, 1]}
    gripper: {min_width_m: 0.1}
  spotter: {}
";
    assert_eq!(
        under(text).unwrap_err().to_string(),
        "the limits are not usable: 15 mistakes\n  \
         line 2, column 9: schema: expected 1 (the form that this program reads), found the number 2\n  \
         line 3, column 20: cell.separation: min_m 0.2 is above slow_m 0.1\n  \
         line 3, column 68: cell.timeouts.wrench_s: expected a number above 0 s, found the number -1\n  \
         line 5, column 11: robots.nobody: the cell has no such robot or role; its robots are ur5e_left, ur5e_right, panda\n  \
         line 7, column 39: robots.panda.joints.upper_rad: expected 7 numbers (rad), one per joint, found a list of 2\n  \
         line 7, column 63: robots.panda.joints.velocity_rad_s: expected a number above 0 rad/s, found the number 0\n  \
         line 8, column 22: robots.panda.tcp.speed_m_s: expected a finite number above 0 m/s, found the number NaN\n  \
         line 10, column 17: robots.panda.workspace.allowed[0]: min_m [1.0, 0.0, 0.0] is not below max_m [0.0, 1.0, 1.0] on every axis\n  \
         line 11, column 26: robots.panda.workspace.keep_out[0].min_m: expected three numbers (m), found a list of 2\n  \
         line 11, column 41: robots.panda.workspace.keep_out[0].max_m: expected three numbers (m), found 'low'\n  \
         line 12, column 13: robots.panda.wrench: contact_force_n 50 is above collision_force_n 40\n  \
         line 14, column 13: robots.leader.joints: lower_rad[4] 2 is not below upper_rad[4] 2\n  \
         line 14, column 13: robots.leader.joints: lower_rad[5] 2 is not below upper_rad[5] 1\n  \
         line 15, column 14: robots.leader.gripper: min_width_m 0.1 is above max_width_m 0.085\n  \
         line 16, column 12: robots.spotter: panda has limits already, under its name or its role"
    );
}

#[test]
fn limits_that_are_not_yaml_are_refused_with_their_place() {
    let error = EnvelopeFile::parse("schema: 1\nrobots: {panda: {}\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the limits are not usable: line 3, column 1: not YAML: while parsing a flow mapping, did not find expected ',' or '}' \
         (in what begins on line 2, column 9)"
    );
}

#[test]
fn an_unknown_field_is_refused() {
    assert_eq!(
        under("schema: 1\nrobots: {panda: {tcp: {sped_m_s: 0.1}}}").unwrap_err().to_string(),
        "the limits are not usable: line 2, column 24: robots.panda.tcp.sped_m_s: unknown field; did you mean speed_m_s?"
    );
}

#[test]
fn more_robots_than_limits_are_known_for_are_refused() {
    let four = [ROBOTS[0], ROBOTS[1], ROBOTS[2], RobotShape { name: "fourth", role: None, dof: 6 }];
    let error = EnvelopeFile::parse("schema: 1").unwrap().under(&ceiling(), &four).unwrap_err();
    assert!(error.to_string().ends_with("the cell has 4 robots; limits are known for 1 to 3"), "{error}");
}

#[test]
fn a_box_wider_than_any_number_is_refused() {
    let error = under(
        "schema: 1\nrobots: {panda: {workspace: {allowed: [{min_m: [-1e308, 0, 0], max_m: [1e308, 1, 1]}]}}}",
    );
    assert!(error.unwrap_err().to_string().contains("robots.panda.workspace.allowed[0]: min_m [-1e308, "));
}

#[test]
fn more_boxes_than_the_gate_holds_are_refused() {
    let boxes = ["{min_m: [0, 0, 0], max_m: [0.1, 0.1, 0.1]}"; MAX_BOXES + 1].join(", ");
    let error =
        under(&format!("schema: 1\nrobots: {{panda: {{workspace: {{allowed: [{boxes}]}}}}}}")).unwrap_err();
    assert!(error.to_string().ends_with("expected at most 8 boxes, found a list of 9"), "{error}");
}

#[test]
fn keep_out_boxes_of_both_hold() {
    let wall = "{min_m: [0, 0, 0], max_m: [1, 1, 1]}";
    let text = CEILING
        .replace("max_m: [0.9, 1.1, 1.3]}]", &format!("max_m: [0.9, 1.1, 1.3]}}]\n      keep_out: [{wall}]"));
    let ceiling = EnvelopeFile::parse(&text).unwrap().ceiling(&ROBOTS).unwrap();
    assert_eq!(ceiling.robots[2].keep_out.as_slice().len(), 1);
    let envelope = EnvelopeFile::parse(
        "schema: 1\nrobots: {panda: {workspace: {keep_out: [{min_m: [2, 2, 2], max_m: [3, 3, 3]}]}}}",
    );
    let composed = envelope.unwrap().under(&ceiling, &ROBOTS).unwrap();
    assert_eq!(composed.robots[2].keep_out.as_slice().len(), 2);
    // An envelope that names none can't take the ceiling's away.
    let envelope = EnvelopeFile::parse("schema: 1\nrobots: {panda: {workspace: {keep_out: []}}}").unwrap();
    assert_eq!(envelope.under(&ceiling, &ROBOTS).unwrap().robots[2].keep_out.as_slice().len(), 1);
}

#[test]
fn a_configuration_lists_all_its_mistakes() {
    let mut arms = arms();
    arms[1].payload = Load { mass_kg: -1.0, ..arms[1].payload };
    arms[2].payload.com_m.x = f64::NAN;
    let text = CEILING.replace("velocity_rad_s: 1.5\n", "velocity_rad_s: 2.3\n");
    let timing = Timing { period_s: 0.0, reaction_s: 0.016, ..Timing::default() };
    let (measured_speed, slowest_scale, max_joint_state_gap_s) = (0.5, 2.0, 0.001);
    let tolerances =
        Tolerances { measured_speed, slowest_scale, max_joint_state_gap_s, ..Tolerances::default() };
    let file = EnvelopeFile::parse(&text).unwrap();
    let Err(ConfigError::Invalid(problems)) = Config::new(arms, &file, timing, tolerances) else { panic!() };
    let text = problems.join("\n");
    for expected in [
        "robot 'ur5e_right': payload",
        "robot 'panda': payload",
        "robot 'panda' joint 'panda_panda_joint1': velocity_rad_s 2.3 is beyond the maker's 2.175",
        "timing.period_s is 0",
        "timing.reaction_s is 0.016, expected at least 0.024",
        "tolerances.measured_speed is 0.5, expected at least 1",
        "tolerances.max_joint_state_gap_s is 0.001, expected at least 0.005",
        "tolerances.slowest_scale is 2, expected at most 1",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

/// A monitor that dies right after a decision: its drivers move on until they know.
#[test]
fn a_reaction_time_covers_a_step_a_permit_and_the_drivers_patience() {
    let file = EnvelopeFile::parse(CEILING).unwrap();
    let with = |timing| Config::new(arms(), &file, timing, Tolerances::default());
    assert_eq!(Timing::default().reaction_s, 0.025);
    for period_s in [0.001, 0.002, 0.0007, 0.01] {
        let timing = Timing::every(period_s);
        assert!((timing.reaction_s - period_s - 0.004 - PERMIT_TIMEOUT_S).abs() < 1e-12);
        assert!(with(timing).is_ok(), "{timing:?}");
        assert!(with(Timing { reaction_s: timing.reaction_s + 0.01, ..timing }).is_ok());
        for less in [timing.reaction_s - 1e-6, 0.0, f64::NAN] {
            let refused = with(Timing { reaction_s: less, ..timing }).unwrap_err().to_string();
            assert!(refused.contains("after which drivers stop without a permit"), "{refused}");
        }
    }
}

// SR-11
#[test]
fn an_envelope_that_asks_for_care_with_people_is_refused_where_nobody_is_looked_for() {
    let refused =
        under("schema: 1\ncell: {humans: {timeout_s: 0.1, speed_m_s: 1.6}}").unwrap_err().to_string();
    assert_eq!(
        refused,
        "the skill's safety envelope is looser than the cell's ceiling: cell.humans is asked for, the cell allows nothing there: it \
         declares no zone in which anybody would be seen"
    );
    assert_eq!(under("schema: 1\ncell: {humans: unmonitored}").unwrap(), ceiling());
}

/// Any limits, also absurd ones.
fn envelope() -> impl Strategy<Value = Envelope> {
    let number = || prop_oneof![8 => 0.0..2.0f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
    let boxes = || {
        prop::collection::vec(prop::array::uniform6(-1.0..1.0f64), 0..4).prop_map(|corners| {
            let boxes: Vec<WorldBox> = corners
                .iter()
                .map(|c| WorldBox {
                    min: [c[0].min(c[3]), c[1].min(c[4]), c[2].min(c[5])].into(),
                    max: [c[0].max(c[3]), c[1].max(c[4]), c[2].max(c[5])].into(),
                })
                .collect();
            Boxes::from_slice(&boxes, WorldBox::NONE).unwrap()
        })
    };
    let robot =
        (prop::collection::vec(number(), 46), boxes(), boxes()).prop_map(|(v, workspace, keep_out)| {
            let mut limits = RobotLimits::NONE;
            let joints = |at: usize, sign: f64| JointVector::from_fn(|i, _| sign * v[at + i]);
            limits.joints.lower = joints(0, -1.0);
            limits.joints.upper = joints(7, 1.0);
            limits.joints.velocity = joints(14, 1.0);
            limits.joints.acceleration = joints(21, 1.0);
            limits.tcp_speed_m_s = v[28];
            limits.wrench.contact_force_n = v[29];
            limits.wrench.contact_torque_nm = v[30];
            limits.wrench.collision_force_n = v[31];
            limits.wrench.collision_torque_nm = v[32];
            limits.gripper.min_width_m = v[33];
            limits.gripper.max_width_m = v[34];
            limits.gripper.max_force_n = v[35];
            limits.joints.effort = joints(36, 1.0);
            limits.elbow_speed_m_s = v[43];
            limits.momentum_kg_m_s = v[44];
            limits.power_w = v[45];
            limits.workspace = workspace;
            limits.keep_out = keep_out;
            limits
        });
    let fixture = prop::array::uniform4(-1.0..1.0f64).prop_map(|[x, y, z, offset_m]| Fixture {
        name: Label::new("fixture").unwrap(),
        obstacle: Obstacle::HalfSpace { normal: Unit::new_normalize(Vector3::new(x, y, z + 2.0)), offset_m },
        tool_may_touch: offset_m > 0.0,
    });
    let zone = HumanZone { name: Label::new("door").unwrap(), point: [1.0, 2.0, 0.0].into() };
    let cell = (prop::collection::vec(number(), 13), prop::collection::vec(fixture, 0..4));
    (prop::array::uniform3(robot), cell).prop_map(move |(robots, (cell, fixtures))| Envelope {
        cell: CellLimits {
            min_separation_m: cell[0],
            slow_separation_m: cell[1],
            self_separation_m: cell[2],
            fixture_separation_m: cell[3],
            joint_state_timeout_s: cell[4],
            wrench_timeout_s: cell[5],
            command_timeout_s: cell[6],
            release_after_s: cell[7],
        },
        fixtures: Few::from_slice(&fixtures, fixtures.first().copied().unwrap_or(FIXTURE)).unwrap(),
        humans: HumanLimits {
            zones: Few::from_slice(&[zone], zone).unwrap(),
            timeout_s: cell[8],
            speed_m_s: cell[9],
            intrusion_m: cell[10],
            sensor_uncertainty_m: cell[11],
            robot_uncertainty_m: cell[12],
        },
        robots,
    })
}

const FIXTURE: Fixture = Fixture {
    name: Label::EMPTY,
    obstacle: Obstacle::Box {
        min: nalgebra::Point3::new(0.0, 0.0, 0.0),
        max: nalgebra::Point3::new(1.0, 1.0, 1.0),
    },
    tool_may_touch: false,
};

/// Every scalar limit of one side that must not exceed the other's: (inner, outer).
fn scalars(inner: &Envelope, outer: &Envelope) -> Vec<(f64, f64)> {
    let (i, o) = (&inner.cell, &outer.cell);
    let mut pairs = vec![
        (-i.min_separation_m, -o.min_separation_m),
        (-i.slow_separation_m, -o.slow_separation_m),
        (i.joint_state_timeout_s, o.joint_state_timeout_s),
        (i.wrench_timeout_s, o.wrench_timeout_s),
        (i.command_timeout_s, o.command_timeout_s),
        (-i.self_separation_m, -o.self_separation_m),
        (-i.fixture_separation_m, -o.fixture_separation_m),
        (-i.release_after_s, -o.release_after_s),
    ];
    let (i, o) = (&inner.humans, &outer.humans);
    pairs.extend([
        (i.timeout_s, o.timeout_s),
        (-i.speed_m_s, -o.speed_m_s),
        (-i.intrusion_m, -o.intrusion_m),
        (-i.sensor_uncertainty_m, -o.sensor_uncertainty_m),
        (-i.robot_uncertainty_m, -o.robot_uncertainty_m),
    ]);
    for (i, o) in inner.robots.iter().zip(&outer.robots) {
        for joint in 0..7 {
            pairs.push((-i.joints.lower[joint], -o.joints.lower[joint]));
            pairs.push((i.joints.upper[joint], o.joints.upper[joint]));
            pairs.push((i.joints.velocity[joint], o.joints.velocity[joint]));
            pairs.push((i.joints.acceleration[joint], o.joints.acceleration[joint]));
        }
        for joint in 0..7 {
            pairs.push((i.joints.effort[joint], o.joints.effort[joint]));
        }
        pairs.push((i.elbow_speed_m_s, o.elbow_speed_m_s));
        pairs.push((i.momentum_kg_m_s, o.momentum_kg_m_s));
        pairs.push((i.power_w, o.power_w));
        pairs.push((i.tcp_speed_m_s, o.tcp_speed_m_s));
        pairs.push((i.wrench.contact_force_n, o.wrench.contact_force_n));
        pairs.push((i.wrench.contact_torque_nm, o.wrench.contact_torque_nm));
        pairs.push((i.wrench.collision_force_n, o.wrench.collision_force_n));
        pairs.push((i.wrench.collision_torque_nm, o.wrench.collision_torque_nm));
        pairs.push((-i.gripper.min_width_m, -o.gripper.min_width_m));
        pairs.push((i.gripper.max_width_m, o.gripper.max_width_m));
        pairs.push((i.gripper.max_force_n, o.gripper.max_force_n));
    }
    pairs
}

/// A tighter envelope: each limit moved inwards by a share.
fn tightened(outer: &Envelope, share: f64) -> Envelope {
    let mut inner = *outer;
    inner.cell.min_separation_m *= 1.0 + share;
    inner.cell.slow_separation_m *= 1.0 + share;
    inner.cell.command_timeout_s *= 1.0 - share;
    for robot in &mut inner.robots {
        let half = (robot.joints.upper - robot.joints.lower) * (share / 2.0);
        robot.joints.lower += half;
        robot.joints.upper -= half;
        robot.joints.velocity *= 1.0 - share;
        robot.tcp_speed_m_s *= 1.0 - share;
        robot.wrench.collision_force_n *= 1.0 - share;
        robot.gripper.max_force_n *= 1.0 - share;
    }
    inner
}

proptest! {
    #[test]
    fn whatever_is_composed_is_nowhere_looser_than_the_ceiling(
        ceiling in envelope(), envelope in envelope(), point in prop::array::uniform3(-1.0..1.0f64),
    ) {
        let composed = compose(&ceiling, &envelope, &NAMES);
        let all_tighter = scalars(&envelope, &ceiling).iter().all(|(inner, outer)| inner <= outer);
        if let Ok(composed) = &composed {
            prop_assert!(all_tighter);
            prop_assert!(scalars(composed, &ceiling).iter().all(|(inner, outer)| inner <= outer));
            for robot in 0..MAX_ROBOTS {
                let (inner, outer) = (&composed.robots[robot], &ceiling.robots[robot]);
                let point = point.into();
                prop_assert!(inner.workspace.depth(&point) < 0.0 || outer.workspace.depth(&point) >= 0.0);
                prop_assert!(inner.keep_out.depth(&point) >= outer.keep_out.depth(&point));
            }
        }
    }

    #[test]
    fn a_tighter_envelope_is_taken_and_one_loosened_field_is_found(share in 0.0..0.9f64, which in 0..4usize) {
        let ceiling = ceiling();
        let mut envelope = tightened(&ceiling, share);
        prop_assert!(compose(&ceiling, &envelope, &NAMES).is_ok());
        let field = match which {
            0 => { envelope.robots[2].joints.velocity[6] = 1.5001; "robots.panda.joints.velocity_rad_s[6]" }
            1 => { envelope.robots[0].joints.lower[0] = -3.61; "robots.ur5e_left.joints.lower_rad[0]" }
            2 => { envelope.robots[1].wrench.contact_force_n = f64::NAN; "robots.ur5e_right.wrench.contact_force_n" }
            _ => { envelope.cell.min_separation_m = 0.0; "cell.separation.min_m" }
        };
        let looser = compose(&ceiling, &envelope, &NAMES).unwrap_err();
        prop_assert_eq!(looser.0.len(), 1);
        prop_assert_eq!(&looser.0[0].field, field);
    }
}
