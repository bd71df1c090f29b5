//! What a controller is told while the arm moves, brakes and stands.

use proptest::prelude::*;
use swarm_base::Duration;
use swarm_driver_core::{Doing, Effect, Kind, MeansOffered, MonitorState, Output, Point, Said, StopCause};

use crate::bench::{Bench, PERIOD, assert_stands};

const V: [f64; 2] = [0.5, -0.25];

#[track_caller]
fn points(said: &Said) -> &[Point] {
    match &said.output {
        Output::Trajectory(points) => points,
        other => panic!("expected a trajectory, found {other:?}"),
    }
}

#[test]
fn with_a_deceleration_the_stop_is_a_ramp_along_the_direction_of_motion() {
    let kind = Kind::ForwardVelocity { deceleration_rad_s2: Some(5.0) };
    let mut bench = Bench::new(kind, MeansOffered::default()).running(V);
    bench.status(MonitorState::Stop1);
    let mut last = V.to_vec();
    let mut cycles = 0;
    while last != [0.0, 0.0] {
        let Output::Velocity(velocity) = bench.cycle().output else { panic!("velocities") };
        assert!((velocity[0] * V[1] - velocity[1] * V[0]).abs() < 1e-12, "the direction is kept");
        let change = last[0] - velocity[0];
        assert!(
            velocity[0] >= 0.0 && change <= 5.0 * 0.004 + 1e-12 && change > 0.0,
            "{last:?} -> {velocity:?}"
        );
        last = velocity;
        cycles += 1;
    }
    // 0.5 rad/s at 5 rad/s^2 are 0.1 s; the sum of 25 rounded steps may leave a rest.
    assert!((25..=26).contains(&cycles), "{cycles}");
}

#[test]
fn a_trajectory_leads_on_and_ends_standing() {
    let mut bench = Bench::trajectory().running(V);
    bench.position = [0.3 + 0.5 * 0.004, -0.4 - 0.25 * 0.004];
    let said = bench.good(V);
    let [ahead, stand] = points(&said) else { panic!("two points") };
    assert_eq!((ahead.from_start, ahead.velocity_rad_s.as_slice()), (Duration::from_millis(8), V.as_slice()));
    // One period was followed, two lie ahead.
    assert!((ahead.position_rad[0] - (0.3 + 0.5 * 0.012)).abs() < 1e-12, "{ahead:?}");
    // Braking from 0.5 rad/s at 5 rad/s^2: 0.1 s, half the way of constant speed.
    assert_eq!(
        (stand.from_start, stand.velocity_rad_s.as_slice()),
        (Duration::from_millis(108), [0.0, 0.0].as_slice())
    );
    assert!((stand.position_rad[0] - (ahead.position_rad[0] + 0.5 * 0.05)).abs() < 1e-12, "{stand:?}");
}

#[test]
fn the_stop_of_a_trajectory_brakes_from_the_measured_state_and_is_repeated() {
    let mut bench = Bench::trajectory().running(V);
    bench.position = [0.31, -0.41];
    bench.measure(V);
    bench.status(MonitorState::Estop);
    let said = bench.cycle();
    assert_stands(&said, StopCause::MonitorStopped);
    let [stand] = points(&said) else { panic!("one point") };
    assert_eq!(stand.from_start, Duration::from_millis(100));
    assert!((stand.position_rad[0] - (0.31 + 0.5 * 0.05)).abs() < 1e-12, "{stand:?}");
    let first = stand.clone();
    // The arm sags; the stand stays where it was.
    bench.position = [0.30, -0.42];
    let mut told = Vec::new();
    for _ in 0..60 {
        bench.measure([0.0; 2]);
        if let Output::Trajectory(points) = bench.cycle().output {
            told.extend(points);
        }
    }
    assert_eq!(told.len(), 2, "every 100 ms");
    assert!(told.iter().all(|point| point.position_rad == first.position_rad));
    assert_eq!(told[1].from_start, Duration::from_millis(8));
}

#[test]
fn a_reset_makes_the_arm_stand_where_it_is_before_anything_else() {
    let mut bench = Bench::trajectory().running(V);
    bench.status(MonitorState::Stop1);
    bench.cycle();
    // While it stood it was moved, by hand or by what a paused program had left.
    bench.position = [0.9, 0.1];
    bench.reset();
    bench.measure([0.0; 2]);
    let said = bench.good([0.0; 2]);
    let [stand] = points(&said) else { panic!("one point") };
    assert_eq!(stand.position_rad, [0.9, 0.1]);
    assert_stands(&said, StopCause::ArmNotReady);
}

#[test]
fn a_trajectory_does_not_begin_where_nobody_has_measured() {
    let mut bench = Bench::trajectory().running(V);
    for _ in 0..30 {
        bench.permit(1.0);
        bench.status(MonitorState::Run);
        bench.command(&V);
        bench.cycle();
    }
    assert_eq!(bench.driver.doing(), Doing::Standing(StopCause::NotMeasured));
}

#[test]
fn an_arm_that_does_not_follow_is_not_run_away_from() {
    let mut bench = Bench::trajectory().running(V);
    let mut last = bench.good(V);
    for _ in 0..300 {
        // It is commanded and stays where it is.
        last = bench.good(V);
    }
    assert_stands(&last, StopCause::NotFollowing);
    bench.position = [0.3, -0.4];
    assert_stands(&bench.good(V), StopCause::NotFollowing);
    bench.running(V);
}

#[test]
fn an_arm_that_moves_though_it_was_told_to_stand_is_noticed() {
    let mut bench = Bench::velocity().running(V);
    assert_eq!(bench.driver.effect(bench.now), Effect::NotJudged);
    bench.status(MonitorState::Stop1);
    for _ in 0..260 {
        bench.measure([0.0, 0.3]);
        bench.cycle();
    }
    assert_eq!(bench.driver.effect(bench.now), Effect::Moves { joint: 1, speed_rad_s: 0.3 });
    bench.measure([0.01, 0.0]);
    assert_eq!(bench.driver.effect(bench.now), Effect::Stands);
    bench.now = bench.now + Duration::from_millis(200);
    assert_eq!(bench.driver.effect(bench.now), Effect::Unseen);
}

#[test]
fn an_arm_that_follows_again_is_not_judged_by_an_earlier_stand() {
    let mut bench = Bench::velocity().running(V);
    bench.status(MonitorState::Stop1);
    for _ in 0..500 {
        bench.measure([0.0; 2]);
        bench.cycle();
    }
    assert_eq!(bench.driver.effect(bench.now), Effect::Stands);
    let mut bench = bench.running(V);
    bench.measure(V);
    assert_eq!(bench.driver.effect(bench.now), Effect::NotJudged);
}

proptest! {
    /// Whatever is commanded, two consecutive trajectories meet: at the time of the second, the first is where the second
    /// says it comes from, so that the arm is never asked to jump.
    #[test]
    fn consecutive_trajectories_meet(commands in prop::collection::vec((-1.5..1.5f64, -1.5..1.5f64), 2..60)) {
        let mut bench = Bench::trajectory().running([0.0; 2]);
        let mut position = bench.position;
        let mut before: Option<Point> = None;
        for (a, b) in commands {
            bench.position = position;
            let said = bench.good([a, b]);
            prop_assert_eq!(said.doing, Doing::Following);
            let ahead = points(&said)[0].clone();
            let stands = points(&said).last().unwrap();
            prop_assert_eq!(&stands.velocity_rad_s, &vec![0.0, 0.0]);
            let lead = PERIOD.as_secs_f64() * 2.0;
            let start: Vec<f64> = ahead.position_rad.iter().zip(&ahead.velocity_rad_s).map(|(p, v)| p - v * lead).collect();
            if let Some(before) = before {
                let there: Vec<f64> =
                    before.position_rad.iter().zip(&before.velocity_rad_s).map(|(p, v)| p - v * PERIOD.as_secs_f64()).collect();
                for (told, was) in start.iter().zip(&there) {
                    prop_assert!((told - was).abs() < 1e-9, "{} after {}", told, was);
                }
            }
            position = [start[0], start[1]];
            before = Some(ahead);
        }
    }
}
