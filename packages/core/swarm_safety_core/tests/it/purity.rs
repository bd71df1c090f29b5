//! The decision neither allocates nor frees, in whatever state it is: the allocator aborts the test if it does.

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use swarm_kinematics::JointVector;
use swarm_safety_core::{Inputs, SafetyState, State, step};

use crate::bench::{self, Bench};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

fn step_without_allocation(bench: &mut Bench) {
    bench.sample();
    let (config, inputs, now) = (&bench.config, &bench.inputs, bench.now);
    let state = &bench.state;
    assert_no_alloc(|| std::hint::black_box(step(config, state, inputs, now)));
    bench.step();
}

// SR-19
#[test]
fn a_step_never_allocates() {
    let mut seen = Vec::new();
    let mut note = |bench: &Bench| {
        if !seen.contains(&bench.state.state()) {
            seen.push(bench.state.state());
        }
    };
    // Nothing has ever come.
    let mut silent = Bench::new();
    let (config, state) = (&silent.config, State::new(&silent.config, 1));
    let now = silent.now;
    assert_no_alloc(|| std::hint::black_box(step(config, &state, &Inputs::default(), now)));
    note(&silent);
    step_without_allocation(&mut silent);

    let mut bench = Bench::ready();
    for round in 0..6 {
        note(&bench);
        let speed = [0.1, 2.0, f64::NAN, 40.0, 0.1, 0.1][round];
        for robot in 0..3 {
            bench.wish[robot] = Some(bench::joint(5, speed));
        }
        for _ in 0..100 {
            step_without_allocation(&mut bench);
            note(&bench);
        }
        match round {
            4 => bench.mute_joints[1] = true,
            5 => bench.inputs.hear_emergency_stop(true),
            _ => {}
        }
        if round == 3 {
            bench.wish = [Some(JointVector::zeros()); 3];
            bench.wish[0] = None;
        }
        for _ in 0..100 {
            step_without_allocation(&mut bench);
            note(&bench);
        }
        bench.inputs.hear_emergency_stop(false);
        bench.mute_joints = [false; 3];
        bench.wish = [None; 3];
        for _ in 0..400 {
            step_without_allocation(&mut bench);
            note(&bench);
        }
        bench.inputs.reset = Some(swarm_safety_core::ResetRequest { epoch: bench.state.epoch() });
        step_without_allocation(&mut bench);
    }
    // Commands that cease in motion.
    bench.wish[0] = Some(bench::slow(0));
    for _ in 0..20 {
        step_without_allocation(&mut bench);
    }
    bench.wish[0] = None;
    for _ in 0..50 {
        step_without_allocation(&mut bench);
        note(&bench);
    }
    for state in SafetyState::ALL {
        assert!(seen.contains(&state), "{} was not tried, only {seen:?}", state.name());
    }
}

#[test]
fn the_trap_itself_works() {
    const CHILD: &str = "SWARM_ALLOCATE_IN_THE_TRAP";
    if std::env::var_os(CHILD).is_some() {
        assert_no_alloc(|| drop(std::hint::black_box(vec![1_u8; 100])));
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "purity::the_trap_itself_works"]).env(CHILD, "1");
    let output = child.output().unwrap();
    assert!(!output.status.success(), "an allocation inside the trap went unnoticed");
}
