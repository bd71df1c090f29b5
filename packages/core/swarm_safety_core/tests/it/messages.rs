//! Messages become samples whole or not at all.

use swarm_base::Time;
use swarm_safety_core::InputFault;
use swarm_safety_core::ingest::{
    CommandIngest, GripperIngest, JointStateIngest, Origin, PresenceIngest, Refused, Repeats, Stamp,
    StampRules, WrenchIngest, run_id,
};

use crate::bench::{LEFT, arms};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// A wall clock of some day in 2026.
const NOW: u64 = 1_790_000_000 * SECOND;

fn rules(repeats: Repeats) -> StampRules {
    StampRules { future_tolerance_s: 0.005, max_age_s: 0.02, repeats }
}

/// Sent `age_ns` before it arrived at `NOW + at_ns`.
fn stamp(at_ns: u64, age_ns: i64) -> Stamp {
    let received_ns = NOW + at_ns;
    Stamp { sent_ns: received_ns.saturating_add_signed(-age_ns), received_ns, arrival: Time(at_ns) }
}

fn names() -> Vec<String> {
    arms()[LEFT].model.joints().iter().map(|joint| joint.name.clone()).collect()
}

fn joint_states() -> JointStateIngest {
    JointStateIngest::new(&arms()[LEFT].model, rules(Repeats::Refused))
}

fn commands() -> CommandIngest {
    CommandIngest::new("ur5e_left", &arms()[LEFT].model, rules(Repeats::Allowed))
}

const ORIGIN: Origin = Origin { robot: "ur5e_left", artifact: "abc", trace_id: "run", epoch: 3, sequence: 9 };

fn fault<T: std::fmt::Debug>(result: Result<T, Refused>) -> InputFault {
    result.unwrap_err().fault
}

#[test]
fn joints_in_any_order_among_others_are_put_in_the_arms_order() {
    let mut shuffled: Vec<String> = names();
    shuffled.reverse();
    shuffled.insert(2, "panda_panda_joint1".to_owned());
    shuffled.push("ur5e_left_gripper_left_finger_joint".to_owned());
    let position = [6.0, 5.0, 99.0, 4.0, 3.0, 2.0, 1.0, 98.0];
    let velocity = position.map(|value| value / 10.0);
    let sample = joint_states().accept(&shuffled, &position, &velocity, &[], &stamp(0, 0)).unwrap().unwrap();
    assert_eq!(sample.q.as_slice(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0]);
    assert_eq!(sample.qd[0], 0.1);
    assert_eq!((sample.stamp_ns, sample.sequence), (NOW, 1));
}

#[test]
fn a_message_without_any_of_the_robots_joints_is_somebody_elses() {
    let sample = joint_states().accept(&["panda_panda_joint1"], &[f64::NAN], &[], &[], &stamp(0, 0));
    assert_eq!(sample, Ok(None));
}

#[test]
fn a_message_with_some_of_the_robots_joints_is_refused() {
    let refused = joint_states().accept(&names()[..4], &[0.0; 4], &[0.0; 4], &[], &stamp(0, 0)).unwrap_err();
    assert_eq!((refused.fault, refused.joint), (InputFault::MissingJoint, Some(4)));
}

#[test]
fn a_joint_named_twice_is_refused() {
    let mut twice = names();
    twice.push(twice[1].clone());
    let refused = joint_states().accept(&twice, &[0.0; 7], &[0.0; 7], &[], &stamp(0, 0)).unwrap_err();
    assert_eq!((refused.fault, refused.joint), (InputFault::DuplicateJoint, Some(1)));
}

#[test]
fn arrays_of_another_length_are_refused_with_both_lengths() {
    for (position, velocity, found) in [(5, 6, 5.0), (6, 5, 5.0), (7, 6, 7.0), (6, 0, 0.0)] {
        let refused = joint_states()
            .accept(&names(), &vec![0.0; position], &vec![0.0; velocity], &[], &stamp(0, 0))
            .unwrap_err();
        assert_eq!((refused.fault, refused.value, refused.limit), (InputFault::WrongSize, found, 6.0));
    }
}

#[test]
fn numbers_that_are_none_are_refused_in_every_message() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut values = [0.0; 6];
        values[3] = bad;
        let refused = joint_states().accept(&names(), &values, &[0.0; 6], &[], &stamp(0, 0)).unwrap_err();
        assert_eq!((refused.fault, refused.joint), (InputFault::NotFinite, Some(3)));
        assert_eq!(
            fault(joint_states().accept(&names(), &[0.0; 6], &values, &[], &stamp(0, 0))),
            InputFault::NotFinite
        );
        let mut wrench = WrenchIngest::new("tool", rules(Repeats::Refused));
        assert_eq!(
            fault(wrench.accept("tool", [0.0, bad, 0.0], [0.0; 3], &stamp(0, 0))),
            InputFault::NotFinite
        );
        assert_eq!(
            fault(wrench.accept("tool", [0.0; 3], [0.0, 0.0, bad], &stamp(0, 0))),
            InputFault::NotFinite
        );
        assert_eq!(
            fault(commands().accept(&ORIGIN, &names(), &values, Some("abc"), &stamp(0, 0))),
            InputFault::NotFinite
        );
        let mut gripper = GripperIngest::new("ur5e_left", rules(Repeats::Allowed));
        assert_eq!(
            fault(gripper.accept(&ORIGIN, bad, 1.0, Some("abc"), &stamp(0, 0))),
            InputFault::NotFinite
        );
        assert_eq!(
            fault(gripper.accept(&ORIGIN, 0.01, bad, Some("abc"), &stamp(0, 0))),
            InputFault::NotFinite
        );
    }
}

#[test]
fn stamps_that_stand_still_go_back_lie_ahead_or_are_old_are_refused() {
    let mut ingest = joint_states();
    let mut hear = |at, age| ingest.accept(&names(), &[0.0; 6], &[0.0; 6], &[], &stamp(at, age));
    assert!(hear(0, 0).is_ok());
    assert!(hear(2 * MS, 0).is_ok());
    // Sent at 2 ms again.
    assert_eq!(fault(hear(4 * MS, 2_000_000)), InputFault::StampFrozen);
    assert_eq!(fault(hear(4 * MS, 3_000_000)), InputFault::StampBackwards);
    assert_eq!(fault(hear(4 * MS, -6_000_000)), InputFault::StampFuture);
    assert_eq!(fault(hear(40 * MS, 21_000_000)), InputFault::StampOld);
    // A refused message leaves no trace: the next good one is taken and counted on.
    assert_eq!(hear(6 * MS, 0).unwrap().unwrap().sequence, 3);
}

// SR-04
#[test]
fn a_sample_counts_as_sent_when_its_stamp_says_and_never_later_than_it_was_heard() {
    // (ms under way by the stamp, ms between sending and hearing)
    for (age, counted) in [(0, 0), (15, 15), (-4, 0)] {
        let stamp = stamp(100 * MS, age * MS.cast_signed());
        let joints = joint_states().accept(&names(), &[0.0; 6], &[0.0; 6], &[], &stamp).unwrap().unwrap();
        let mut wrench = WrenchIngest::new("tool", rules(Repeats::Refused));
        let wrench = wrench.accept("tool", [1.0; 3], [0.0; 3], &stamp).unwrap();
        let command = commands().accept(&ORIGIN, &names(), &[0.0; 6], Some("abc"), &stamp).unwrap();
        let presence = PresenceIngest::new(rules(Repeats::Refused)).accept(1.0, &stamp).unwrap();
        for sent in [joints.sent, wrench.sent, command.sent, presence.sent] {
            assert_eq!(sent, Time((100 - counted) * MS));
        }
    }
    // A machine that has just started knows no time before.
    let young = Stamp { arrival: Time(MS), ..stamp(0, 15 * MS.cast_signed()) };
    let sample = joint_states().accept(&names(), &[0.0; 6], &[0.0; 6], &[], &young).unwrap().unwrap();
    assert_eq!(sample.sent, Time::ZERO);
}

#[test]
fn a_clock_that_is_set_back_and_forth_is_refused() {
    let mut ingest = joint_states();
    let mut hear = |at, age| ingest.accept(&names(), &[0.0; 6], &[0.0; 6], &[], &stamp(at, age));
    assert!(hear(10 * SECOND, 0).is_ok());
    assert_eq!(fault(hear(9 * SECOND, 0)), InputFault::StampBackwards);
    assert_eq!(fault(hear(10 * SECOND, -3_600_000_000_000)), InputFault::StampFuture);
}

#[test]
fn a_wrench_in_another_frame_is_refused() {
    let mut wrench = WrenchIngest::new("ur5e_left_tool0", rules(Repeats::Refused));
    let refused = wrench.accept("ur5e_right_tool0", [0.0; 3], [0.0; 3], &stamp(0, 0));
    assert_eq!(fault(refused), InputFault::WrongRobot);
    let sample = wrench.accept("ur5e_left_tool0", [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], &stamp(0, 0)).unwrap();
    assert_eq!((sample.force.z, sample.torque.x), (3.0, 4.0));
}

#[test]
fn a_command_for_another_robot_or_with_strange_joints_is_refused() {
    let other = Origin { robot: "ur5e_right", ..ORIGIN };
    let refused = commands().accept(&other, &names(), &[0.0; 6], Some("abc"), &stamp(0, 0));
    assert_eq!(fault(refused), InputFault::WrongRobot);
    let mut strange = names();
    strange[2] = "ur5e_right_elbow_joint".to_owned();
    let refused = commands().accept(&ORIGIN, &strange, &[0.0; 6], Some("abc"), &stamp(0, 0));
    assert_eq!(fault(refused), InputFault::UnknownJoint);
    let none: [&str; 0] = [];
    assert_eq!(
        fault(commands().accept(&ORIGIN, &none, &[], Some("abc"), &stamp(0, 0))),
        InputFault::WrongSize
    );
    let mut gripper = GripperIngest::new("ur5e_left", rules(Repeats::Allowed));
    assert_eq!(fault(gripper.accept(&other, 0.01, 1.0, Some("abc"), &stamp(0, 0))), InputFault::WrongRobot);
}

#[test]
fn a_command_matches_only_the_artifact_whose_envelope_is_loaded() {
    let taken = |loaded, artifact| {
        let origin = Origin { artifact, ..ORIGIN };
        commands().accept(&origin, &names(), &[0.0; 6], loaded, &stamp(0, 0)).unwrap().artifact_matches
    };
    assert!(taken(Some("abc"), "abc"));
    assert!(!taken(Some("abd"), "abc"));
    assert!(!taken(None, "abc"));
    assert!(!taken(None, ""));
    assert!(!taken(Some(""), ""));
}

#[test]
fn runs_are_told_apart_by_their_trace_ids() {
    assert_eq!(run_id("a"), run_id("a"));
    assert_ne!(run_id("a"), run_id("b"));
    // FNV-1a test vector of its authors.
    assert_eq!(run_id("foobar"), 0x8594_4171_f739_67e8);
}
