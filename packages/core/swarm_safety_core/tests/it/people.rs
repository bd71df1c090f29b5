//! People near the robots: speed and separation monitoring.

use proptest::prelude::*;
use swarm_base::{Duration, Time};
use swarm_kinematics::JointVector;
use swarm_safety_core::{CauseKind, Input, Other, PresenceSample, SafetyState, Tolerances, Verdict};

use crate::bench::{Bench, CEILING, LEFT, PANDA_ARM, PERIOD, RIGHT, config_of, joint};

/// How fast a person walks, m/s.
const WALK: f64 = 1.6;

/// A cell with a scanner at the foot of the left arm.
fn bench() -> Bench {
    bench_with(&["door"])
}

/// The same with scanners of these names, all there.
fn bench_with(zones: &[&str]) -> Bench {
    let zones: Vec<String> =
        zones.iter().map(|name| format!("{{name: {name}, point_m: [-0.55, 0, 0]}}")).collect();
    let humans = format!(
        "humans:\n    provenance: test\n    zones: [{}]\n    timeout_s: 0.1\n    \
         speed_m_s: {WALK}\n    intrusion_m: 0.1\n    sensor_uncertainty_m: 0.05\n    robot_uncertainty_m: 0.01\n",
        zones.join(", ")
    );
    let ceiling = CEILING.replace("humans: unmonitored\n", &humans);
    assert_ne!(ceiling, CEILING);
    Bench::with(config_of(&ceiling, Tolerances::default()))
}

fn sees(bench: &mut Bench, range_m: f64) {
    bench.inputs.presence[0] = Some(seen_before(bench, 0, range_m));
}

/// What a scanner said so many milliseconds ago.
fn seen_before(bench: &Bench, milliseconds: u64, range_m: f64) -> PresenceSample {
    let sent = Time(bench.now.0 - Duration::from_millis(milliseconds).0);
    PresenceSample { range_m, stamp_ns: sent.0, sent }
}

/// A running left arm, nobody near.
fn running() -> Bench {
    let mut bench = bench();
    sees(&mut bench, f64::INFINITY);
    bench.cycle();
    assert_eq!(bench.reset().state, SafetyState::Ready);
    bench.wish[LEFT] = Some(joint(0, 0.5));
    for _ in 0..100 {
        sees(&mut bench, f64::INFINITY);
        bench.cycle();
    }
    assert_eq!(bench.state.state(), SafetyState::Run);
    bench
}

/// Cycles during which the nearest person is where `range` says at each time.
fn walk(bench: &mut Bench, cycles: usize, mut range: impl FnMut(f64) -> f64) -> Verdict {
    let begin: Time = bench.now;
    let mut last = None;
    for _ in 0..cycles {
        let range = range(bench.now.since(begin).as_secs_f64());
        sees(bench, range);
        last = Some(bench.cycle());
        if bench.state.state().is_stop() {
            break;
        }
    }
    last.unwrap()
}

#[test]
fn a_person_who_walks_up_slows_the_robot_and_then_stops_it() {
    let mut bench = running();
    let mut least = 1.0_f64;
    let mut slowed = false;
    let begin = bench.now;
    let verdict = loop {
        // To and fro within half a radian, so that nothing else stops the arm.
        let time = bench.now.since(begin).as_secs_f64();
        let turn = if ((time / 0.5) as u64).is_multiple_of(2) { 0.5 } else { -0.5 };
        bench.wish[LEFT] = Some(joint(0, turn));
        sees(&mut bench, 4.0 - WALK / 2.0 * time);
        let verdict = bench.cycle();
        if verdict.state == SafetyState::Slow {
            slowed = true;
            least = least.min(verdict.robots[LEFT].scale);
        }
        if verdict.state.is_stop() {
            break verdict;
        }
        assert!(time < 10.0, "nothing stops it: {:?}", verdict.robots[LEFT].measures);
    };
    let cause = verdict.cause.unwrap();
    assert_eq!((verdict.state, cause.kind), (SafetyState::Stop2, CauseKind::HumanSeparation), "{cause:?}");
    assert_eq!((cause.robot, cause.other), (Some(LEFT), Some(Other::Zone(0))));
    assert!(slowed && least < 0.5, "slowed to {least} only");
    assert!(cause.detail(&bench.config).starts_with("ur5e_left door: a person is nearer"));
}

#[test]
fn a_person_who_appears_near_stops_the_robot_at_once() {
    let mut bench = running();
    sees(&mut bench, 0.8);
    let verdict = bench.cycle();
    assert_eq!(verdict.state, SafetyState::Stop2);
    assert_eq!(verdict.cause.unwrap().kind, CauseKind::HumanSeparation);
}

/// Of what the arm does and what it is about to be told the faster counts: one that lags behind a slow-down is as fast as it is.
// SR-11
#[test]
fn the_separation_asked_for_is_the_formulas() {
    for (measured, late_ms) in [(0.5, 0), (0.55, 0), (0.3, 0), (0.55, 10)] {
        let mut bench = running();
        let told = bench.outputs[LEFT][0];
        bench.qd[LEFT] = joint(0, measured);
        bench.late = Duration::from_millis(late_ms);
        sees(&mut bench, 0.8);
        let verdict = bench.cycle();
        let cause = verdict.cause.unwrap();
        assert_eq!(cause.kind, CauseKind::HumanSeparation, "{cause:?}");
        let config = &bench.config;
        let model = &config.arms()[LEFT].model;
        // The wish is scaled to nothing, so that the arm is about to be told one ramp step less.
        let speed = f64::max(measured, told - 8.0 * PERIOD.as_secs_f64());
        let (reaction, braking) = (config.timing().reaction_s, speed / 8.0);
        let sampled = bench.q[LEFT] - bench.qd[LEFT] * PERIOD.as_secs_f64();
        let poses = model.forward(&sampled);
        let way = model.capsule_levers(&poses, &model.capsules(&poses)).travel(&joint(0, speed)).longest();
        let age = Duration::from_millis(late_ms).as_secs_f64();
        let expected =
            WALK * (reaction + braking) + way * (age + reaction + braking / 2.0) + 0.1 + 0.05 + 0.01;
        let limit = cause.limit;
        assert!(
            (limit - expected).abs() < 1e-9,
            "at {measured}: {limit} asked for, {expected} by the formula"
        );
    }
}

/// By the time that the sensor's word is heard the person has walked on.
// SR-11
#[test]
fn a_person_who_was_seen_a_while_ago_may_have_come_nearer_since() {
    let separation = |milliseconds| {
        let mut bench = running();
        bench.inputs.presence[0] = Some(seen_before(&bench, milliseconds, 4.0));
        bench.cycle().robots[LEFT].measures.human_separation_m
    };
    let walked = separation(0) - separation(90);
    assert!((walked - WALK * 0.09).abs() < 1e-9, "{walked} m");
}

/// The zone that asks for most decides, and that need not be the one that saw somebody nearest.
// SR-11
#[test]
fn of_several_zones_the_most_demanding_decides() {
    let separation = |door: Option<(u64, f64)>, gate: Option<(u64, f64)>| {
        let mut bench = bench_with(&["door", "gate"]);
        bench.now = Time::from_millis(500);
        let nobody = seen_before(&bench, 0, f64::INFINITY);
        for (presence, seen) in [door, gate].into_iter().enumerate() {
            let sample = seen.map(|(milliseconds, range_m)| seen_before(&bench, milliseconds, range_m));
            bench.inputs.presence[presence] = Some(sample.unwrap_or(nobody));
        }
        bench.cycle().robots[LEFT].measures.human_separation_m
    };
    let (near, demanding) = (Some((0, 2.0)), Some((90, 2.05)));
    let expected = separation(None, demanding);
    assert!(expected < separation(near, None));
    assert_eq!((separation(near, demanding), separation(demanding, near)), (expected, expected));
}

#[test]
fn a_silent_sensor_counts_as_a_person() {
    let mut bench = running();
    let limit = 50;
    let mut cycles = 0;
    while !bench.cycle().state.is_stop() {
        cycles += 1;
        assert!(cycles < limit + 3, "time-out and one cycle");
    }
    let cause = *bench.state.cause().unwrap();
    assert_eq!(cause.kind, CauseKind::Timeout(Input::HumanPresence));
    assert!(cycles >= limit - 1 && cause.value > 0.1, "{cycles} {cause:?}");
}

#[test]
fn a_sensor_that_never_spoke_lets_nothing_move() {
    let mut bench = bench();
    bench.cycle();
    assert_eq!(bench.reset().state, SafetyState::Ready, "people may be near a cell at rest");
    bench.wish[LEFT] = Some(joint(0, 0.5));
    let verdict = bench.cycles(3);
    assert_eq!(verdict.state, SafetyState::Stop2);
    assert_eq!(verdict.cause.unwrap().kind, CauseKind::Timeout(Input::HumanPresence));
    assert_eq!(bench.q[LEFT], Bench::new().q[LEFT], "it has not moved");
}

#[test]
fn a_range_that_is_no_number_is_no_distance() {
    let mut bench = running();
    sees(&mut bench, f64::NAN);
    assert_eq!(bench.cycle().state, SafetyState::Stop2);
}

#[test]
fn only_robots_that_move_are_concerned() {
    let mut bench = running();
    bench.wish[LEFT] = Some(JointVector::zeros());
    walk(&mut bench, 200, |_| f64::INFINITY);
    bench.wish[LEFT] = None;
    let verdict = walk(&mut bench, 100, |_| f64::INFINITY);
    assert_eq!(verdict.state, SafetyState::Ready);
    let verdict = walk(&mut bench, 100, |_| 0.0);
    assert_eq!(verdict.state, SafetyState::Ready, "nobody is stopped from working beside a cell at rest");
    assert_eq!(verdict.robots[RIGHT].measures.human_separation_m, 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// The sense of the formula: whoever walks towards the robot at the speed that it reckons with finds it at rest before
    /// reaching where a link is, whatever happens before.
    // SR-11
    #[test]
    fn nobody_is_reached_by_a_moving_robot(
        start in 1.5..4.0f64, speed in 0.0..=1.0f64, wish in -1.0..1.0f64, sensor_period in 1..20usize,
    ) {
        let mut bench = running();
        let begin = bench.now;
        for cycle in 0..1500 {
            let time = bench.now.since(begin).as_secs_f64();
            let turn = if ((time / 0.4) as u64).is_multiple_of(2) { wish } else { -wish };
            bench.wish[LEFT] = Some(joint(0, turn));
            bench.wish[PANDA_ARM] = Some(joint(5, turn / 4.0));
            let person = (start - WALK * speed * time).max(0.0);
            if cycle % sensor_period == 0 {
                sees(&mut bench, person);
            }
            bench.cycle();
            for arm in [LEFT, PANDA_ARM] {
                let model = &bench.config.arms()[arm].model;
                let capsules = model.capsules(&model.forward(&bench.q[arm]));
                let zone = nalgebra::Point3::new(-0.55, 0.0, 0.0);
                let farthest = model
                    .link_capsules()
                    .iter()
                    .zip(capsules.as_slice())
                    .filter(|(link, _)| link.body > 0)
                    .map(|(_, c)| (c.a - zone).norm().max((c.b - zone).norm()) + c.radius)
                    .fold(0.0, f64::max);
                let moves = bench.qd[arm].amax() > 0.0;
                prop_assert!(
                    !moves || person > farthest,
                    "after {:.3} s robot {arm} moves at {:.3} rad/s, a person is {person:.3} m away, it reaches {farthest:.3} m",
                    cycle as f64 * PERIOD.as_secs_f64(),
                    bench.qd[arm].amax()
                );
            }
        }
    }
}
