//! What holds whatever the inputs do: random cells of good, late, absurd and hostile inputs, checked at every step.

use nalgebra::Vector3;
use proptest::prelude::*;
use swarm_base::Duration;
use swarm_kinematics::JointVector;
use swarm_safety_core::ingest::Refused;
use swarm_safety_core::{
    CauseKind, Input, InputFault, MAX_ROBOTS, ResetRequest, SafetyState, State, Verdict, step,
};

use crate::bench::{Bench, PERIOD};

/// Something that happens before a step.
#[derive(Clone, Debug)]
enum Event {
    Nothing,
    Wish { robot: usize, velocity: [f64; 7] },
    Silence { robot: usize },
    MuteJoints { robot: usize, mute: bool },
    MuteWrench { robot: usize, mute: bool },
    Refuse { robot: usize, fault: InputFault },
    Push { robot: usize, force: f64 },
    Kick { robot: usize, joint: usize, velocity: f64 },
    NotANumber { robot: usize },
    EmergencyStop { pressed: bool },
    Reset { epoch_offset: i64 },
    OldCommand { robot: usize },
    Late { millis: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let robot = || 0..MAX_ROBOTS;
    prop_oneof![
        12 => Just(Event::Nothing),
        8 => (robot(), prop::array::uniform7(-0.4..0.4f64)).prop_map(|(robot, velocity)| Event::Wish { robot, velocity }),
        1 => (robot(), prop::array::uniform7(-4.0..4.0f64)).prop_map(|(robot, velocity)| Event::Wish { robot, velocity }),
        2 => robot().prop_map(|robot| Event::Silence { robot }),
        1 => (robot(), any::<bool>()).prop_map(|(robot, mute)| Event::MuteJoints { robot, mute }),
        1 => (robot(), any::<bool>()).prop_map(|(robot, mute)| Event::MuteWrench { robot, mute }),
        1 => robot().prop_map(|robot| Event::Refuse { robot, fault: InputFault::StampBackwards }),
        2 => (robot(), 0.0..120.0f64).prop_map(|(robot, force)| Event::Push { robot, force }),
        1 => (robot(), 0..6usize, -3.0..3.0f64).prop_map(|(robot, joint, velocity)| Event::Kick { robot, joint, velocity }),
        1 => robot().prop_map(|robot| Event::NotANumber { robot }),
        2 => any::<bool>().prop_map(|pressed| Event::EmergencyStop { pressed }),
        6 => prop_oneof![4 => Just(0), 1 => -2..3i64].prop_map(|epoch_offset| Event::Reset { epoch_offset }),
        1 => robot().prop_map(|robot| Event::OldCommand { robot }),
        1 => (0..40u64).prop_map(|millis| Event::Late { millis }),
    ]
}

/// Lets it happen; true if it alone is a reason to stop a moving cell in the step that follows.
fn apply(bench: &mut Bench, event: &Event) -> bool {
    match event {
        Event::Wish { robot, velocity } => {
            let dof = bench.config.arms()[*robot].model.dof();
            bench.wish[*robot] = Some(JointVector::from_fn(|i, _| if i < dof { velocity[i] } else { 0.0 }));
        }
        Event::Silence { robot } => bench.wish[*robot] = None,
        Event::MuteJoints { robot, mute } => bench.mute_joints[*robot] = *mute,
        Event::MuteWrench { robot, mute } => bench.mute_wrench[*robot] = *mute,
        Event::Push { robot, force } => bench.contact[*robot].0 = Vector3::new(0.0, *force, 0.0),
        Event::Kick { robot, joint, velocity } => bench.qd[*robot][*joint] = *velocity,
        Event::Late { millis } => bench.now = bench.now + Duration::from_millis(*millis),
        _ => {}
    }
    bench.sample();
    match event {
        Event::Refuse { robot, fault } => {
            bench.inputs.robots[*robot]
                .refuse(Input::JointState, Refused { fault: *fault, joint: None, value: 0.0, limit: 0.0 });
            true
        }
        Event::NotANumber { robot } => match &mut bench.inputs.robots[*robot].joints {
            Some(joints) => {
                joints.qd[1] = f64::NAN;
                true
            }
            None => false,
        },
        Event::EmergencyStop { pressed } => {
            bench.inputs.hear_emergency_stop(*pressed);
            *pressed
        }
        Event::Reset { epoch_offset } => {
            let epoch = bench.state.epoch().saturating_add_signed(*epoch_offset);
            bench.inputs.reset = Some(ResetRequest { epoch });
            false
        }
        Event::OldCommand { robot } => {
            if let Some(command) = &mut bench.inputs.robots[*robot].command {
                command.epoch -= 1;
            }
            false
        }
        // Contact may grow over the collision level, but may be another robot's turn first; checked elsewhere.
        _ => false,
    }
}

fn check(
    before: &State,
    after: &State,
    verdict: &Verdict,
    bench: &Bench,
    outputs: &[JointVector; 3],
    must_stop: bool,
    reset_asked: bool,
) -> Result<(), TestCaseError> {
    let limits = &bench.config.in_force().robots;
    let (from, to) = (before.state(), verdict.state);
    prop_assert_eq!(to, after.state());
    prop_assert!(!must_stop || !to.moves(), "a fault lets {:?} go on as {:?}", from, to);
    prop_assert!(!must_stop || to != SafetyState::Ready, "a fault leaves the cell ready");
    // Nothing but a granted reset leaves a stop or DENY, it leads to READY, and begins an epoch.
    let granted = matches!(verdict.reset, Some(Ok(_)));
    if from.is_stop() || from == SafetyState::Deny {
        let left = !(to.is_stop() || to == SafetyState::Deny);
        prop_assert_eq!(left, granted, "{:?} to {:?}, reset {:?}", from, to, verdict.reset);
        prop_assert!(!left || (to == SafetyState::Ready && after.epoch() == before.epoch() + 1));
    }
    if from.is_stop() && to.is_stop() {
        let depth = |state| match state {
            SafetyState::Estop => 3,
            SafetyState::Stop1 => 2,
            _ => 1,
        };
        prop_assert!(depth(to) >= depth(from), "{:?} became the milder {:?}", from, to);
    }
    prop_assert!(!granted || reset_asked);
    // In READY a reset has nothing to do, and a command of the same step may start motion.
    prop_assert!(!granted || from == SafetyState::Ready || !to.moves(), "a reset never starts motion");
    prop_assert!(from != SafetyState::Deny || !to.moves());
    prop_assert!(after.epoch() >= before.epoch());
    // A cause exactly while motion is refused.
    let open = to.moves() || to == SafetyState::Ready;
    prop_assert_eq!(open, verdict.cause.is_none());
    if let Some(cause) = &verdict.cause {
        prop_assert!(!cause.kind.code().is_empty() && !cause.detail(&bench.config).is_empty());
        prop_assert!(cause.kind != CauseKind::StartUp || to == SafetyState::Deny);
    }
    for (i, robot) in verdict.robots.iter().enumerate() {
        // The permit, and the output against every cap on it.
        prop_assert!((0.0..=1.0).contains(&robot.scale));
        prop_assert!(to.moves() || robot.scale == 0.0, "{:?} with a permit of {}", to, robot.scale);
        for (joint, before) in outputs[i].iter().enumerate() {
            let (velocity, limit) = (robot.velocity[joint], limits[i].joints.velocity[joint]);
            prop_assert!(
                velocity.abs() <= limit * (1.0 + 1e-12),
                "robot {i} joint {joint}: {velocity} of {limit}"
            );
            let change = (velocity - before).abs();
            let most = limits[i].joints.acceleration[joint] * 2.0 * PERIOD.as_secs_f64();
            prop_assert!(
                change <= most + 1e-12,
                "robot {i} joint {joint} changed by {change}, at most {most}"
            );
            // Where motion is refused, nothing speeds up.
            if !to.moves() {
                prop_assert!(velocity.abs() <= before.abs() + 1e-12);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    // SR-16 SR-21
    #[test]
    fn no_history_of_inputs_breaks_an_invariant(
        start in 0..3usize, events in prop::collection::vec((event(), 1..15usize), 1..60),
    ) {
        let mut bench = match start {
            0 => Bench::new(),
            1 => Bench::ready(),
            _ => Bench::running(),
        };
        for (event, cycles) in &events {
            for cycle in 0..*cycles {
                let event = if cycle == 0 { event } else { &Event::Nothing };
                let must_stop = apply(&mut bench, event);
                let before = bench.state;
                let outputs = bench.outputs;
                let inputs = bench.inputs;
                let reset_asked = inputs.reset.is_some();
                let now = bench.now;
                let verdict = bench.step();
                // The same arguments give the same answer, bit for bit.
                let again = step(&bench.config, &before, &inputs, now);
                let (once, twice) = (format!("{:?}", (bench.state, verdict)), format!("{again:?}"));
                prop_assert!(once == twice, "two answers to the same arguments");
                check(&before, &bench.state, &verdict, &bench, &outputs, must_stop, reset_asked)?;
            }
        }
    }

    #[test]
    fn after_any_history_a_healthy_cell_at_rest_can_be_reset(
        events in prop::collection::vec((event(), 1..10usize), 1..40),
    ) {
        let mut bench = Bench::running();
        for (event, cycles) in &events {
            for cycle in 0..*cycles {
                apply(&mut bench, if cycle == 0 { event } else { &Event::Nothing });
                bench.step();
            }
        }
        // Everything is repaired, and the robots are put back where they are safe.
        let healthy = Bench::new();
        bench.q = healthy.q;
        bench.qd = healthy.qd;
        bench.contact = healthy.contact;
        bench.mute_joints = [false; MAX_ROBOTS];
        bench.mute_wrench = [false; MAX_ROBOTS];
        bench.inputs.hear_emergency_stop(false);
        bench.inputs.forget_events();
        bench.wish = [None; MAX_ROBOTS];
        // To be put back all at once contradicts the velocities; that fades with a time constant of a second, from 4 rad at most here.
        for _ in 0..500 {
            bench.q = healthy.q;
            bench.now = bench.now + Duration::from_millis(8);
            bench.cycle();
        }
        if bench.state.state() != SafetyState::Ready {
            let verdict = bench.reset();
            prop_assert_eq!(verdict.state, SafetyState::Ready, "{:?}", verdict.reset);
        }
    }
}
