//! Every kind of mistake in a declaration gets its exact words, and all mistakes of a file come at once in the order of
//! their lines. The declaration that is spoilt is the shipped one, so a test names the text it replaces.

use proptest::prelude::*;
use swarm_base::Role;
use swarm_cell::{CellConfig, ControllerKind, Cpu, Lifecycle, PeripheralKind, SchedulePolicy};

const SHIPPED: &str = include_str!("../../../../config/cell.yaml");

/// The shipped declaration with the first `from` replaced by `to`.
fn spoilt(from: &str, to: &str) -> String {
    assert!(SHIPPED.contains(from), "the shipped declaration has no '{from}'");
    SHIPPED.replacen(from, to, 1)
}

/// The mistakes of `text` without their places, which move whenever a comment is added to the shipped file.
fn mistakes(text: &str) -> Vec<String> {
    let Err(error) = CellConfig::parse(text) else { return Vec::new() };
    error
        .mistakes
        .as_slice()
        .iter()
        .map(|mistake| format!("{}: {}", mistake.field, mistake.problem))
        .collect()
}

#[track_caller]
fn assert_mistake(from: &str, to: &str, expected: &str) {
    assert_eq!(mistakes(&spoilt(from, to)), [expected]);
}

#[test]
fn the_shipped_declaration_is_read() {
    let cell = CellConfig::parse(SHIPPED).unwrap();
    assert_eq!(cell.robots.len(), 3);
    assert_eq!(cell.robot_for(Role::Spotter).unwrap().name, "panda");
    assert_eq!(
        cell.robot("ur5e_left").unwrap().gripper_urdf.as_deref(),
        Some("urdf/gripper/parallel_gripper.urdf")
    );
    let monitor = cell.node("safety_monitor").unwrap();
    assert_eq!(monitor.schedule.policy, SchedulePolicy::Fifo);
    assert_eq!(monitor.schedule.cpu, Cpu::Any);
    assert_eq!(monitor.lifecycle, Lifecycle::Managed);
    assert!(cell.node("swarm_sim").unwrap().simulation_only);
}

#[test]
fn a_core_is_read_as_a_number() {
    let cell = CellConfig::parse(&spoilt("cpu: any", "cpu: 1")).unwrap();
    assert_eq!(cell.nodes[0].schedule.cpu, Cpu::Core(1));
}

#[test]
fn text_that_is_not_yaml() {
    let error = CellConfig::parse("schema: 1\ncell: [demo\nrobots: x").unwrap_err().to_string();
    assert!(
        error.starts_with("the cell's declaration cannot be used: line 3, column 7: not YAML: "),
        "{error}"
    );
}

#[test]
fn an_empty_file() {
    assert_eq!(
        CellConfig::parse("# nothing here\n").unwrap_err().to_string(),
        "the cell's declaration cannot be used: line 1, column 1: the file is empty"
    );
}

#[test]
fn a_second_document() {
    assert_eq!(
        CellConfig::parse("schema: 1\n---\nschema: 1\n").unwrap_err().to_string(),
        "the cell's declaration cannot be used: line 2, column 1: a second document; a file has one"
    );
}

#[test]
fn an_alias_stands_for_what_its_anchor_names() {
    let text = spoilt("payload: {mass_kg: 0.1}", "payload: &held {mass_kg: 0.3}").replacen(
        "payload: {mass_kg: 0.1}",
        "payload: *held",
        1,
    );
    assert_eq!(CellConfig::parse(&text).unwrap().robots[1].payload.mass_kg, 0.3);
}

#[test]
fn a_declaration_that_is_no_mapping() {
    assert_eq!(
        CellConfig::parse("- robots\n").unwrap_err().to_string(),
        "the cell's declaration cannot be used: line 1, column 1: expected a mapping with schema, cell, robots, \
         roles, peripherals, artifacts, safety, registry, nodes, found a list of 1"
    );
}

#[test]
fn the_place_of_a_mistake_counts_from_one() {
    let text = SHIPPED.replace("schema: 1", "\n\nschema: 2");
    let error = CellConfig::parse(&text).unwrap_err();
    let line = text.lines().position(|line| line == "schema: 2").unwrap() + 1;
    assert_eq!((error.mistakes.as_slice()[0].line, error.mistakes.as_slice()[0].column), (line, 9));
}

#[test]
fn another_schema() {
    assert_mistake(
        "schema: 1",
        "schema: 2",
        "schema: expected 1 (the form that this program reads), found the number 2",
    );
}

#[test]
fn an_unknown_field_that_is_nearly_a_known_one() {
    assert_eq!(
        mistakes(&spoilt("    model: ur5e", "    modle: ur5e")),
        [
            "robots[0].model: missing; expected ur5e or panda",
            "robots[0].modle: unknown field; did you mean model?"
        ]
    );
}

#[test]
fn an_unknown_field_that_is_near_to_none() {
    assert_mistake(
        "safety:\n  file:",
        "safety:\n  colour: red\n  file:",
        "safety.colour: unknown field; known: file",
    );
}

#[test]
fn a_field_that_stands_twice() {
    assert_mistake(
        "    lifecycle: managed\n",
        "    lifecycle: managed\n    lifecycle: managed\n",
        &format!(
            "nodes[0].lifecycle: stands a second time, first on line {}",
            SHIPPED.lines().position(|line| line == "    lifecycle: managed").unwrap() + 1
        ),
    );
}

#[test]
fn a_missing_field() {
    assert_mistake(
        "  store: /var/lib/swarm/store\n",
        "",
        "artifacts.store: missing; expected the folder of the artifact store",
    );
}

#[test]
fn a_wrong_type() {
    assert_mistake(
        "max_force_n: 60.0",
        "max_force_n: sixty",
        "robots[0].gripper.max_force_n: expected a number from 0 to 1000 N, found 'sixty'",
    );
}

#[test]
fn a_number_that_is_none() {
    assert_mistake(
        "max_force_n: 60.0",
        "max_force_n: .nan",
        "robots[0].gripper.max_force_n: expected a finite number from 0 to 1000 N, found the number NaN",
    );
}

#[test]
fn a_value_out_of_range() {
    assert_mistake(
        "min_width_m: 0.0",
        "min_width_m: -0.01",
        "robots[0].gripper.min_width_m: expected a number from 0 to 1 m, found the number -0.01",
    );
}

#[test]
fn a_gripper_that_does_not_open() {
    assert_mistake(
        "max_width_m: 0.085",
        "max_width_m: 0.0",
        "robots[0].gripper.max_width_m: expected more than min_width_m, 0 m, found the number 0.0",
    );
}

#[test]
fn a_vector_of_two() {
    assert_mistake(
        "com_m: [0.0, 0.0, 0.058]",
        "com_m: [0.0, 0.058]",
        "robots[0].gripper.com_m: expected three numbers (m), found a list of 2",
    );
}

#[test]
fn a_robot_name_that_no_topic_may_have() {
    assert_eq!(
        mistakes(&SHIPPED.replace("ur5e_left", "UR5e-left")),
        [
            "robots[0].name: expected a name of lower-case letters, digits and _, a letter first, found 'UR5e-left'",
            "roles.leader: expected a robot of this cell (ur5e_right, panda), found 'UR5e-left'"
        ]
    );
}

#[test]
fn an_unknown_model() {
    assert_mistake("model: panda", "model: puma", "robots[2].model: expected ur5e or panda, found 'puma'");
}

#[test]
fn two_robots_of_one_name() {
    let first = SHIPPED.lines().position(|line| line == "  - name: ur5e_left").unwrap() + 1;
    assert_eq!(
        mistakes(&spoilt("- name: ur5e_right", "- name: ur5e_left")),
        [
            format!(
                "robots[1].name: expected a name of its own, found 'ur5e_left' a second time (first on line {first})"
            ),
            "roles.follower: expected a robot of this cell (ur5e_left, panda), found 'ur5e_right'".into(),
        ]
    );
}

#[test]
fn more_than_three_robots() {
    let start = SHIPPED.find("  - name: panda").unwrap();
    let end = SHIPPED.find("# Which robot plays").unwrap();
    let fourth =
        SHIPPED[start..end].replace("panda\n", "panda_two\n").replace("model: panda_two", "model: panda");
    let text = format!("{}{fourth}{}", &SHIPPED[..end], &SHIPPED[end..]);
    assert_eq!(mistakes(&text), ["robots: expected one to three robots, found 4"]);
}

#[test]
fn no_robot() {
    let start = SHIPPED.find("robots:").unwrap();
    let end = SHIPPED.find("# Which robot plays").unwrap();
    let text = format!("{}robots: []\n{}", &SHIPPED[..start], &SHIPPED[end..]);
    assert_eq!(mistakes(&text)[0], "robots: expected one to three robots, found 0");
}

#[test]
fn a_path_that_leaves_the_folder() {
    assert_mistake(
        "urdf: urdf/panda/panda.urdf",
        "urdf: ../panda.urdf",
        "robots[2].urdf: expected a path below the folder that holds config/, without '..', found '../panda.urdf'",
    );
}

#[test]
fn a_rest_pose_of_too_few_joints() {
    assert_mistake(
        "home_rad: [0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785]",
        "home_rad: [0.0, -0.785, 0.0, -2.356, 0.0, 1.571]",
        "robots[2].home_rad: expected 7 positions, one per joint of a panda, found 6",
    );
}

#[test]
fn a_rest_pose_outside_the_joint_range() {
    assert_mistake(
        "home_rad: [0.0, -0.785, 0.0, -2.356,",
        "home_rad: [0.0, -0.785, 0.0, 2.356,",
        "robots[2].home_rad[3]: expected a number from -3.0718 to -0.0698 rad, found the number 2.356",
    );
}

#[test]
fn more_payload_than_the_arm_carries() {
    let gripper_kg = CellConfig::parse(SHIPPED).unwrap().robots[2].gripper.mass_kg;
    assert_mistake(
        "payload: {mass_kg: 0.2}",
        "payload: {mass_kg: 2.5}",
        &format!(
            "robots[2].payload.mass_kg: expected at most 3 kg in all, \
             what a panda may carry, found 2.5 kg on a gripper of {gripper_kg} kg"
        ),
    );
}

#[test]
fn a_role_of_an_unknown_robot() {
    assert_mistake(
        "spotter: panda",
        "spotter: pandora",
        "roles.spotter: expected a robot of this cell (ur5e_left, ur5e_right, panda), found 'pandora'",
    );
}

#[test]
fn one_robot_in_two_roles() {
    assert_mistake(
        "spotter: panda",
        "spotter: ur5e_left",
        "roles.spotter: expected another robot: this one plays roles.leader already, found 'ur5e_left'",
    );
}

#[test]
fn an_unknown_role() {
    assert_mistake("spotter: panda", "spoter: panda", "roles.spoter: unknown field; did you mean spotter?");
}

#[test]
fn a_priority_without_fifo() {
    assert_mistake(
        "policy: fifo, priority: 70",
        "policy: other, priority: 10",
        "nodes[0].schedule.priority: expected 0 with policy other: only fifo has priorities, found the number 10",
    );
}

#[test]
fn fifo_without_a_priority() {
    assert_mistake(
        "policy: fifo, priority: 80",
        "policy: fifo, priority: 0",
        "nodes[1].schedule.priority: expected 1 to 99 with policy fifo, found the number 0",
    );
}

#[test]
fn a_period_of_zero() {
    assert_mistake(
        "period_us: 2000, deadline_us: 2000",
        "period_us: 0, deadline_us: 2000",
        "nodes[0].schedule.period_us: expected a whole number from 1 to 10000000, found the number 0",
    );
}

#[test]
fn a_deadline_after_the_period() {
    assert_mistake(
        "period_us: 2000, deadline_us: 2000",
        "period_us: 2000, deadline_us: 3000",
        "nodes[0].schedule.deadline_us: expected at most period_us, 2000, found the number 3000",
    );
}

#[test]
fn a_core_that_is_neither_any_nor_a_number() {
    assert_mistake(
        "cpu: any",
        "cpu: fast",
        "nodes[0].schedule.cpu: expected any, or a core's number from 0 to 1023, found 'fast'",
    );
}

#[test]
fn an_unknown_life_cycle() {
    assert_mistake(
        "lifecycle: managed",
        "lifecycle: manged",
        "nodes[0].lifecycle: expected managed or unmanaged, found 'manged'",
    );
}

#[test]
fn two_nodes_of_one_name() {
    let first = SHIPPED.lines().position(|line| line == "  - name: safety_monitor").unwrap() + 1;
    assert_eq!(
        mistakes(&spoilt("- name: skill_runtime", "- name: safety_monitor")),
        [format!(
            "nodes[2].name: expected a name of its own, found 'safety_monitor' a second time (first on line {first})"
        )]
    );
}

#[test]
fn a_cell_without_a_safety_monitor() {
    assert_mistake(
        "package: swarm_safety_monitor",
        "package: swarm_skill_runtime",
        "nodes: expected exactly one node of package swarm_safety_monitor that is not simulation_only (it alone gives arms \
         leave to move), found 0",
    );
}

#[test]
fn a_remapping_is_read() {
    let cell = CellConfig::parse(&spoilt(
        "    simulation_only: true\n",
        "    simulation_only: true\n    remappings: {~/state: /cell/state}\n",
    ))
    .unwrap();
    assert_eq!(cell.nodes[0].remappings["~/state"], "/cell/state");
}

#[test]
fn a_remapping_to_no_name() {
    assert_mistake(
        "    simulation_only: true\n",
        "    simulation_only: true\n    remappings: {/a: /b c}\n",
        "nodes[0].remappings./a: expected the name of a topic or service, found '/b c'",
    );
}

#[test]
fn a_parameter_that_is_a_mapping() {
    assert_mistake(
        "{realtime_factor: 1.0,",
        "{realtime_factor: {of: 1.0},",
        "nodes[0].parameters.realtime_factor: expected a value ROS parameters have: true/false, a \
         number, a text, or a list of one of these, found a mapping of 1",
    );
}

#[test]
fn a_parameter_that_mixes_types() {
    assert_mistake(
        "{realtime_factor: 1.0,",
        "{realtime_factor: [1, two],",
        "nodes[0].parameters.realtime_factor: expected a value ROS parameters have: \
         true/false, a number, a text, or a list of one of these, found a list of several types",
    );
}

/// One file, eight mistakes in as many parts: eight lines, top to bottom.
#[test]
fn eight_mistakes_are_eight_lines_in_the_order_of_the_file() {
    let text = include_str!("eight_mistakes.yaml");
    let expected = include_str!("eight_mistakes.txt").trim_end();
    assert_eq!(CellConfig::parse(text).unwrap_err().to_string(), expected);
}

proptest! {
    /// Whatever is cut out of a declaration, or put into it: a declaration or mistakes inside the text, never a panic.
    #[test]
    fn a_damaged_declaration_is_read_or_refused(at in 0..SHIPPED.len(), cut in 0..200_usize, put in "[\\[\\]{}:,&*\\-#'\"| \n0a]{0,6}") {
        prop_assume!(SHIPPED.is_ascii() && at + cut <= SHIPPED.len());
        let text = format!("{}{put}{}", &SHIPPED[..at], &SHIPPED[at + cut..]);
        if let Err(error) = CellConfig::parse(&text) {
            prop_assert!(!error.mistakes.as_slice().is_empty());
            for mistake in error.mistakes.as_slice() {
                prop_assert!((1..=text.lines().count() + 1).contains(&mistake.line), "{mistake}");
            }
        }
    }
}

/// The shipped declaration with a `driver:` block for the first robot.
fn with_driver(block: &str) -> String {
    spoilt("\n  - name: ur5e_right", &format!("\n    driver: {block}\n  - name: ur5e_right"))
}

#[test]
fn a_driver_is_read_and_nobody_has_to_have_one() {
    let text = with_driver(
        "{kind: joint_trajectory, controller: /left/scaled_joint_trajectory_controller, period_us: 8000, priority: 70, \
         deceleration_rad_s2: 6.0, stop: /left/dashboard_client/stop, \
         speed_slider: {service: /left/io_and_status_controller/set_speed_slider, fraction: 0.5}}",
    );
    let cell = CellConfig::parse(&text).unwrap();
    let driver = cell.robots[0].driver.as_ref().unwrap();
    assert_eq!(driver.controller_kind, ControllerKind::JointTrajectory);
    assert_eq!(driver.controller, "/left/scaled_joint_trajectory_controller");
    assert_eq!((driver.period_us, driver.deceleration_rad_s2, driver.priority), (8_000, Some(6.0), Some(70)));
    assert_eq!(driver.speed_slider.as_ref().unwrap().fraction, 0.5);
    assert_eq!(driver.stop.as_deref(), Some("/left/dashboard_client/stop"));
    assert_eq!((&driver.protective_stop, &driver.error_recovery), (&None, &None));
    assert!(cell.robots[1].driver.is_none());
}

#[test]
fn every_mistake_in_a_driver_is_named() {
    let text = with_driver(
        "{kind: joint_trajectory, controller: velocity_controller, period_us: 10, stop: /a b, \
         speed_slider: {service: /slider, fraction: 0.0}, slider: 1}",
    );
    assert_eq!(
        mistakes(&text),
        [
            "robots[0].driver.deceleration_rad_s2: missing; expected the deceleration of a stop (rad/s^2): a trajectory ends with it",
            "robots[0].driver.controller: expected a name that begins with /: ROS names joined by /, found 'velocity_controller'",
            "robots[0].driver.period_us: expected a whole number from 1000 to 100000, found the number 10",
            "robots[0].driver.stop: expected a name that begins with /: ROS names joined by /, found '/a b'",
            "robots[0].driver.speed_slider.fraction: expected a number from 0.01 to 1 of full speed, found the number 0.0",
            "robots[0].driver.slider: unknown field; known: kind, controller, period_us, priority, deceleration_rad_s2, speed_slider, protective_stop, stop, error_recovery",
        ]
    );
}

/// The shipped declaration with these lines under `peripherals`.
fn with_peripherals(lines: &str) -> String {
    spoilt("\nartifacts:", &format!("\nperipherals:\n{lines}\n\nartifacts:"))
}

#[test]
fn peripherals_are_read_with_how_they_are_called() {
    let cell = CellConfig::parse(&with_peripherals(
        "  - {name: screwdriver, action: /screwdriver/turn, type: driver_msgs/action/Turn}\n\
         \x20 - {name: torque, subscribe: /screwdriver/torque, type: std_msgs/msg/Float64}",
    ))
    .unwrap();
    let kinds: Vec<_> = cell.peripherals.iter().map(|one| (one.name.as_str(), one.kind)).collect();
    assert_eq!(kinds, [("screwdriver", PeripheralKind::Action), ("torque", PeripheralKind::Subscribe)]);
    assert_eq!(cell.peripherals[0].ros_name, "/screwdriver/turn");
    assert_eq!(CellConfig::parse(SHIPPED).unwrap().peripherals, []);
}

#[test]
fn a_peripheral_is_called_in_one_way_by_a_type_that_fits() {
    for (line, mistake) in [
        (
            "{name: light, type: std_srvs/srv/SetBool}",
            "peripherals[0]: expected one of action, service, publish, subscribe, found 0 of them",
        ),
        (
            "{name: light, service: /light, publish: /light, type: std_srvs/srv/SetBool}",
            "peripherals[0]: expected one of action, service, publish, subscribe, found 2 of them",
        ),
        (
            "{name: light, service: light, type: std_srvs/srv/SetBool}",
            "peripherals[0].service: expected an absolute ROS name such as /screwdriver/turn, found 'light'",
        ),
        (
            "{name: light, service: /light, type: std_msgs/msg/Bool}",
            "peripherals[0].type: expected a type such as package/srv/Name, found 'std_msgs/msg/Bool'",
        ),
    ] {
        assert_eq!(mistakes(&with_peripherals(&format!("  - {line}"))), [mistake]);
    }
    let twice = "  - {name: light, service: /light, type: std_srvs/srv/SetBool}\n\
                 \x20 - {name: light, service: /lamp, type: std_srvs/srv/SetBool}";
    let found = mistakes(&with_peripherals(twice));
    assert!(found.len() == 1 && found[0].contains("found 'light' a second time"), "{found:?}");
}

#[test]
fn a_skill_gets_no_way_past_the_safety_monitor() {
    for (kind, name, whose) in [
        ("publish", "/ur5e_left/joint_command", "part of robot ur5e_left"),
        ("publish", "/panda/gripper_command", "part of robot panda"),
        ("service", "/safety_monitor/reset", "the cell's own (/safety_monitor)"),
        ("publish", "/emergency_stop", "the cell's own (/emergency_stop)"),
        ("publish", "/human_presence", "the cell's own (/human_presence)"),
        ("action", "/skill_runtime/execute", "the cell's own (/skill_runtime)"),
    ] {
        let middle = match kind {
            "publish" => "msg",
            "service" => "srv",
            other => other,
        };
        let line = format!("  - {{name: way, {kind}: {name}, type: some_msgs/{middle}/Name}}");
        let expected = format!(
            "peripherals[0].{kind}: expected something beside the robots and their guard, found {name}, which is {whose}: \
             a skill moves arms through the safety monitor and never past it"
        );
        assert_eq!(mistakes(&with_peripherals(&line)), [expected]);
    }
    let heard = "  - {name: stop, subscribe: /emergency_stop, type: std_msgs/msg/Bool}";
    assert_eq!(mistakes(&with_peripherals(heard)), [] as [String; 0], "to listen harms nobody");
    let beside = "  - {name: io, service: /safety_monitors/io, type: ur_msgs/srv/SetIO}";
    assert_eq!(mistakes(&with_peripherals(beside)), [] as [String; 0]);
}

#[test]
fn what_a_robots_driver_is_reached_by_is_no_peripheral() {
    let driver = "  - name: ur5e_left\n    driver: {kind: forward_velocity, controller: /left/velocity, period_us: 4000, \
                  protective_stop: /left/dashboard/pause}\n";
    for name in ["/left/velocity/commands", "/left/dashboard/pause"] {
        let line = format!("  - {{name: way, service: {name}, type: std_srvs/srv/Trigger}}");
        let text = with_peripherals(&line).replacen("  - name: ur5e_left\n", driver, 1);
        let found = mistakes(&text);
        assert!(found.len() == 1 && found[0].contains("which is part of robot ur5e_left"), "{found:?}");
    }
}
