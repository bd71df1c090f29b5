//! Goals, runs and their ends, on a cell whose arms go where they are told and on a clock that is moved by hand.

use crate::common::cell::Cell;
use crate::common::{Around, Bench, SkillFolder};
use swarm_base::{Duration, Role};
use swarm_kinematics::JointVector;
use swarm_skill_core::{Activity, Outcome};
use swarm_skill_runtime::engine::{Finished, GoalUpdate, Turn};

#[test]
fn one_goal_runs_every_role_to_success() {
    let mut cell = Cell::new();
    let goal = cell.ask(None);
    let (finished, last) = cell.result(&goal);
    assert_eq!((finished.outcome, finished.trace_id.as_str()), (Outcome::Succeeded, "t1"));
    assert!(finished.duration > Duration::from_millis(300));
    assert!(
        last.commands.iter().all(|command| command.wish.velocity == JointVector::zeros()),
        "the last word is: stand"
    );
    assert!(last.commands.iter().all(|command| command.epoch == 3));
    for (q, spec) in cell.q.iter().zip(&cell.skill.skill.roles) {
        assert!((q - spec.home).amax() < 0.005, "{} is not at home", spec.robot);
    }
    let after = cell.turn();
    assert!(after.commands.is_empty() && !after.running, "silence after the end");
    assert!(after.roles.iter().all(|role| role.activity == Activity::Succeeded), "the end stays visible");
}

#[test]
fn three_goals_make_one_run_and_get_one_result() {
    let mut cell = Cell::new();
    let leader = cell.ask(Some(Role::Leader));
    let spotter = cell.ask(Some(Role::Spotter));
    let turn = cell.turn();
    assert!(turn.commands.is_empty());
    let joining = |turn: &Turn| turn.roles.iter().filter(|role| role.activity == Activity::Joining).count();
    assert_eq!(joining(&turn), 2);
    let follower = cell.ask(Some(Role::Follower));
    assert_eq!(cell.result(&follower).0.outcome, Outcome::Succeeded);
    for goal in [leader, spotter] {
        let ends: Vec<_> =
            goal.try_iter().filter(|update| matches!(update, GoalUpdate::Finished(_))).collect();
        assert!(
            matches!(&ends[..], [GoalUpdate::Finished(Finished { outcome: Outcome::Succeeded, .. })]),
            "{ends:?}"
        );
    }
}

#[test]
fn a_role_that_nobody_starts_ends_the_wait() {
    let mut cell = Cell::new();
    let goal = cell.ask(Some(Role::Leader));
    let (finished, last) = cell.result(&goal);
    assert_eq!(
        finished.outcome,
        Outcome::Aborted("waited 1.0 s for the other roles; still missing: follower, spotter".into())
    );
    assert!(last.commands.is_empty(), "nobody moved");
}

#[test]
fn a_cancel_of_one_role_halts_all_of_them() {
    let mut cell = Cell::new();
    let goals = Role::ALL.map(|role| cell.ask(Some(role)));
    for _ in 0..50 {
        cell.turn();
    }
    cell.engine.cancel(Some(Role::Spotter), "canceled by the operator");
    for goal in &goals {
        let (finished, _) = cell.result(goal);
        assert_eq!(finished.outcome, Outcome::Canceled("canceled by the operator".into()));
    }
}

#[test]
fn a_goal_that_waits_can_be_canceled_and_asked_again() {
    let mut cell = Cell::new();
    let goal = cell.ask(Some(Role::Leader));
    cell.engine.cancel(Some(Role::Leader), "canceled by the operator");
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Canceled("canceled by the operator".into()));
    let again = cell.ask(None);
    assert_eq!(cell.result(&again).0.outcome, Outcome::Succeeded);
}

#[test]
fn nothing_starts_without_leave_of_the_safety_monitor() {
    type Spoil = fn(&mut Cell);
    let cases: [(Spoil, &str); 4] = [
        (
            |cell| {
                cell.safety.permits_motion = false;
                cell.safety.state = "ESTOP: emergency_stop".into();
            },
            "the safety monitor permits no motion: ESTOP: emergency_stop; mend the cause and reset it \
             (/safety_monitor/reset with epoch 3)",
        ),
        (
            |cell| cell.safety.artifact.clear(),
            "the safety monitor holds no envelope, not the envelope of assembly 1.0.0; use /skill_runtime/reload",
        ),
        (
            |cell| cell.safety.artifact = "abc".into(),
            "the safety monitor holds abc, not the envelope of assembly 1.0.0; use /skill_runtime/reload",
        ),
        (
            |cell| cell.deaf = true,
            "the safety monitor permits no motion: no /safety_monitor status has been heard; is the safety monitor \
             running?; mend the cause and reset it (/safety_monitor/reset with epoch 0)",
        ),
    ];
    for (spoil, message) in cases {
        let mut cell = Cell::new();
        spoil(&mut cell);
        let goal = cell.ask(None);
        let (finished, last) = cell.result(&goal);
        assert_eq!(finished.outcome, Outcome::Aborted(message.into()));
        assert!(last.commands.is_empty());
    }
}

#[test]
fn a_goal_waits_for_the_first_word_of_every_arm() {
    let mut cell = Cell::new();
    cell.without_wrench = Some(1);
    let goal = cell.ask(None);
    for _ in 0..300 {
        assert!(!cell.turn().running);
    }
    assert!(goal.try_recv().is_err(), "it neither runs nor has ended");
    cell.without_wrench = None;
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Succeeded);
}

#[test]
fn an_arm_that_is_never_heard_is_named_after_five_seconds() {
    let mut cell = Cell::new();
    cell.without_wrench = Some(1);
    let goal = cell.ask(None);
    let Outcome::Aborted(reason) = cell.result(&goal).0.outcome else { panic!("the run has started") };
    assert_eq!(reason, format!("no wrench of {} has been heard", cell.robots.robots[1].name));
    assert_eq!(cell.now.as_secs_f64().round(), 5.0);
}

#[test]
fn silence_of_the_safety_monitor_ends_a_run() {
    let mut cell = Cell::new();
    let goal = cell.ask(None);
    for _ in 0..30 {
        cell.turn();
    }
    cell.deaf = true;
    let Outcome::Aborted(reason) = cell.result(&goal).0.outcome else { panic!("the run goes on") };
    // The joint states are missed first: they are allowed 100 ms, the monitor 500 ms.
    assert!(reason.contains("ms old, at most 100 ms are allowed"), "{reason}");
}

#[test]
fn a_second_run_waits_for_nobody_and_is_refused() {
    let mut cell = Cell::new();
    let first = cell.ask(None);
    cell.turn();
    let second = cell.ask(None);
    let (finished, _) = cell.result(&second);
    assert_eq!(
        finished.outcome,
        Outcome::Aborted("run t1 is in progress; cancel it or wait for its end".into())
    );
    assert_eq!(cell.result(&first).0.outcome, Outcome::Succeeded, "the first one does not mind");
}

#[test]
fn nothing_starts_on_measurements_of_a_robot_that_has_fallen_silent() {
    let mut cell = Cell::new();
    cell.turn();
    cell.deaf = true;
    cell.now = cell.now + Duration::from_millis(200);
    let goal = cell.ask(None);
    // The safety monitor is heard; the arms are not.
    cell.world.hear_safety(cell.safety.clone(), cell.now + Duration::from_millis(1));
    let (finished, last) = cell.result(&goal);
    assert_eq!(
        finished.outcome,
        Outcome::Aborted("the joint state of ur5e_left is 210 ms old, at most 100 ms are allowed".into())
    );
    assert!(last.commands.is_empty(), "nothing was commanded");
}

#[test]
fn leave_to_move_that_is_heard_just_after_the_goal_counts() {
    let mut cell = Cell::new();
    cell.safety.permits_motion = false;
    cell.turn();
    let goal = cell.ask(None);
    cell.turn();
    assert!(goal.try_recv().is_err(), "the goal waits");
    cell.safety.permits_motion = true;
    let (finished, _) = cell.result(&goal);
    assert_eq!(finished.outcome, Outcome::Succeeded);
}

/// Version 1.1.0 is deployed in a cell in which 1.0.0 was in force.
fn deploy_next(bench: &Bench, cell: &mut Cell) {
    let order = bench.order("1.1.0", &SkillFolder::default());
    cell.skill = bench.deployer().carry_out(&order, &Around::default()).unwrap();
    cell.safety.artifact = cell.skill.artifact.to_string();
}

#[test]
fn a_goal_that_waited_while_another_version_was_deployed_starts_nothing_of_it() {
    let bench = Bench::new();
    let mut cell = Cell::of(&bench, "1.0.0", &SkillFolder::default());
    let old = cell.ask(Some(Role::Leader));
    cell.turn();
    deploy_next(&bench, &mut cell);
    let others = [Role::Follower, Role::Spotter].map(|role| cell.ask(Some(role)));
    let (finished, last) = cell.result(&old);
    let reason =
        "the skill in force was assembly 1.0.0 when the goal came and is assembly 1.1.0 now; start again";
    assert_eq!(finished.outcome, Outcome::Aborted(reason.into()));
    assert!(last.commands.is_empty(), "nobody moved");
    let new = cell.ask(Some(Role::Leader));
    assert_eq!(cell.result(&new).0.outcome, Outcome::Succeeded, "the others have joined the new version");
    drop(others);
}

#[test]
fn a_goal_for_all_roles_of_a_version_that_is_gone_is_refused_too() {
    let bench = Bench::new();
    let mut cell = Cell::of(&bench, "1.0.0", &SkillFolder::default());
    let goal = cell.ask(None);
    deploy_next(&bench, &mut cell);
    let Outcome::Aborted(reason) = cell.result(&goal).0.outcome else { panic!("the new version has run") };
    assert!(reason.starts_with("the skill in force was assembly 1.0.0"), "{reason}");
}

#[test]
fn no_run_starts_while_an_order_is_being_carried_out() {
    let mut cell = Cell::new();
    cell.changing = true;
    let goal = cell.ask(None);
    for _ in 0..100 {
        let turn = cell.turn();
        assert!(!turn.running && turn.commands.is_empty());
    }
    assert!(goal.try_recv().is_err(), "it waits");
    cell.changing = false;
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Succeeded);
}

#[test]
fn commands_name_the_skill_that_runs_whatever_is_in_force() {
    let bench = Bench::new();
    let mut cell = Cell::of(&bench, "1.0.0", &SkillFolder::default());
    let goal = cell.ask(None);
    while !cell.turn().running {}
    let runs = cell.skill.artifact.to_string();
    let loaded = cell.safety.artifact.clone();
    deploy_next(&bench, &mut cell);
    cell.safety.artifact = loaded;
    let turn = cell.turn();
    assert_eq!((turn.skill.as_str(), turn.artifact), ("assembly@1.0.0", runs));
    assert_eq!(cell.result(&goal).0.outcome, Outcome::Succeeded);
}
