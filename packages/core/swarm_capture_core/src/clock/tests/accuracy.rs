//! How near stamps come to the truth.

use super::simulated::{Camera, Stamped, World, clock, follow, quantile};
use crate::{Anchor, CameraClock, ClockSettings, ClockState};

fn stamped(world: World, seconds: f64) -> Vec<Stamped> {
    follow(&mut clock(), &Camera::new(world).run(0.0, seconds))
}

/// Differences between two cameras of the errors of frames that were captured at one time, from `from_s` on.
fn between(a: World, b: World, from_s: f64, to_s: f64) -> Vec<f64> {
    let (a, b) = (stamped(a, to_s), stamped(b, to_s));
    a.iter().zip(&b).filter(|(a, _)| a.true_s >= from_s).map(|(a, b)| a.error() - b.error()).collect()
}

/// One fast and one slow clock.
fn pair(world: fn(u64) -> World, seed: u64, report_s: f64) -> (World, World) {
    let fast = World { report_s, ..world(2 * seed) };
    let slow = World { ppm: -100.0, offset_s: -3600.0, report_s, ..world(2 * seed + 1) };
    (fast, slow)
}

#[test]
fn cameras_with_wrong_clocks_agree_within_100_us_on_a_quiet_network_from_5_s_on() {
    for seed in 0..20 {
        for report_s in [1.0, 5.0] {
            let (a, b) = pair(World::quiet, seed, report_s);
            let worst = quantile(between(a, b, 5.0, 60.0), 1.0);
            assert!(worst < 100e-6, "seed {seed}: {:.0} us", worst * 1e6);
        }
    }
}

#[test]
fn cameras_with_wrong_clocks_agree_within_100_us_under_load_from_30_s_on() {
    for seed in 0..20 {
        for report_s in [1.0, 5.0] {
            let (a, b) = pair(World::busy, seed, report_s);
            let worst = quantile(between(a, b, 30.0, 90.0), 0.99);
            assert!(worst < 100e-6, "seed {seed}: {:.0} us", worst * 1e6);
        }
    }
}

#[test]
fn what_was_learned_in_half_a_quiet_minute_is_held_through_load_and_jitter() {
    for seed in 0..8 {
        let follow_one = |seed, ppm| {
            let mut camera = Camera::new(World { ppm, ..World::quiet(seed) });
            let mut arrived = camera.run(0.0, 30.0);
            // Hardly any frame is on time now: the earliest of them must not vote the quiet ones down.
            camera.world = World { jitter_s: 20e-3, exponential_s: 2e-3, held: 0.7, ..camera.world };
            arrived.extend(camera.run(30.0, 180.0));
            follow(&mut clock(), &arrived)
        };
        let (a, b) = (follow_one(2 * seed, 100.0), follow_one(2 * seed + 1, -100.0));
        let errors = a.iter().zip(&b).filter(|(a, _)| a.true_s > 30.0).map(|(a, b)| a.error() - b.error());
        let worst = quantile(errors, 1.0);
        assert!(worst < 100e-6, "seed {seed}: {:.0} us", worst * 1e6);
    }
}

#[test]
fn jitter_of_20_ms_costs_what_its_density_says() {
    let mut early = Vec::new();
    let mut late = Vec::new();
    for seed in 0..12 {
        let (a, b) = pair(World::jittery, seed, 5.0);
        let errors = between(a, b, 30.0, 330.0);
        early.push(quantile(errors[..900].iter().copied(), 0.99));
        late.push(quantile(errors[errors.len() - 900..].iter().copied(), 0.99));
    }
    // Thirty points per second and 20 ms say no more than this; see the error budget of the clock.
    assert!(quantile(early.iter().copied(), 0.5) < 400e-6, "{early:?}");
    assert!(quantile(late.iter().copied(), 0.5) < 100e-6, "{late:?}");
}

#[test]
fn the_drift_is_that_of_the_camera_under_load_and_jitter() {
    for world in [World::quiet, World::busy, World::jittery] {
        for seed in 0..10 {
            let last = *stamped(world(seed), 60.0).last().unwrap();
            let drift = last.stamp.timing.drift_ppm.unwrap();
            assert!((drift - 100.0).abs() < 10.0, "seed {seed}: {drift} ppm");
        }
    }
}

#[test]
fn the_offset_is_that_of_the_camera_less_the_latency() {
    let last = *stamped(World::quiet(3), 40.0).last().unwrap();
    let offset_s = last.stamp.timing.offset_ns.unwrap() as f64 * 1e-9;
    let truth = 2.5 + last.true_s * 100e-6 - 0.0533 - 0.0003;
    assert!((offset_s - truth).abs() < 100e-6, "{offset_s} and not {truth}");
    assert!(last.stamp.timing.residual_ns.unwrap() < 12e3, "resolution of RTP");
    let latency_s = last.stamp.timing.latency_ns.unwrap() as f64 * 1e-9;
    assert!((latency_s - 0.0533).abs() < 200e-6, "{latency_s}");
}

#[test]
fn a_calibrated_bias_makes_stamps_absolute() {
    let settings = ClockSettings { bias_ns: 53_600_000, ..ClockSettings::default() };
    let stamped = follow(&mut CameraClock::new(settings), &Camera::new(World::quiet(1)).run(0.0, 20.0));
    let last = stamped.last().unwrap();
    assert!(last.error().abs() < 50e-6, "{}", last.error());
    assert_eq!(last.stamp.timing.bias_ns, 53_600_000);
}

#[test]
fn anchored_in_reports_different_latencies_cancel_on_a_quiet_network() {
    let settings = ClockSettings { anchor: Anchor::Reports, ..ClockSettings::default() };
    let run = |world| follow(&mut CameraClock::new(settings), &Camera::new(world).run(0.0, 90.0));
    let a = run(World { report_s: 1.0, ..World::quiet(4) });
    let b = run(World { latency_s: 0.120, report_s: 1.0, ..World::quiet(5) });
    let errors = a.iter().zip(&b).filter(|(a, _)| a.true_s > 75.0).map(|(a, b)| a.error() - b.error());
    let worst = quantile(errors, 1.0);
    assert!(worst < 100e-6, "{:.0} us", worst * 1e6);
}

#[test]
fn nominal_time_stamps_of_a_camera_whose_rate_is_off_are_followed() {
    // 29.97 frames per second, stamped as if they were 30.
    let world = World { nominal: true, ..World::quiet(6) };
    let mut camera = Camera::new(world);
    let mut arrived = camera.run(0.0, 120.0);
    for arrived in &mut arrived {
        if let super::simulated::Arrived::Frame(head, true_s) = arrived {
            let k = (*true_s * 30.0).round();
            let later = (k / 29.97 - *true_s) * 1e9;
            head.first_arrival.0 += later as i64;
            *true_s = k / 29.97;
        }
    }
    arrived.retain(|arrived| matches!(arrived, super::simulated::Arrived::Frame(..)));
    let stamped = follow(&mut clock(), &arrived);
    let settled: Vec<f64> = stamped.iter().filter(|s| s.true_s > 30.0).map(|s| s.error() - 0.0536).collect();
    assert!(quantile(settled.iter().copied(), 1.0) < 100e-6, "{}", quantile(settled.iter().copied(), 1.0));
}

#[test]
fn steps_between_stamps_are_within_the_slew_and_grow_strictly() {
    for world in [World::quiet, World::busy, World::jittery] {
        for seed in 0..10 {
            let stamped = stamped(world(seed), 60.0);
            let slew = ClockSettings::default().slew_ppm * 1e-6;
            for pair in stamped.windows(2) {
                let step = (pair[1].stamp.capture.0 - pair[0].stamp.capture.0) as f64 * 1e-9;
                let by_rtp = f64::from(pair[1].head.rtp.wrapping_sub(pair[0].head.rtp)) / 90e3;
                // A slope of half a percent is the steepest that is believed of a clock.
                assert!((step / by_rtp - 1.0).abs() < slew + 5e-3, "{step} after {by_rtp}");
                assert!(step > 0.0);
            }
            assert!(stamped.iter().all(|s| s.stamp.timing.base == 0));
        }
    }
}

#[test]
fn the_uncertainty_is_that_of_the_errors() {
    let mut within = 0;
    let mut all = 0;
    for seed in 0..30 {
        let world =
            World { base_s: 0.0, exponential_s: 1e-9, held: 0.0, latency_s: 0.0, ..World::jittery(seed) };
        for stamped in stamped(world, 60.0).iter().filter(|s| s.true_s > 20.0).step_by(300) {
            all += 1;
            within += usize::from(stamped.error().abs() * 1e9 < 2.5 * stamped.stamp.timing.uncertainty_ns);
        }
    }
    let share = f64::from(u32::try_from(within).unwrap()) / f64::from(all as u32);
    assert!(share > 0.85, "{share} of the errors are within 2.5 standard deviations");
}

#[test]
fn the_first_report_locks_and_the_stamps_make_no_step() {
    let stamped = stamped(World::quiet(7), 3.0);
    let locked = stamped.iter().position(|s| s.stamp.timing.state == ClockState::Locked).unwrap();
    assert!((stamped[locked].true_s - 1.45).abs() < 0.1);
    assert!(stamped[locked..].iter().all(|s| s.stamp.timing.state == ClockState::Locked));
    let step = stamped[locked].error() - stamped[locked - 1].error();
    assert!(step.abs() < 50e-6, "{step}");
}
