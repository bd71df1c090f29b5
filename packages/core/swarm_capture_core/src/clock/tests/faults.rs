//! What real cameras and networks do.

use super::simulated::{Arrived, Camera, Stamped, World, clock, follow, host};
use crate::{BaseChange, CameraTime, ClockEvent, ClockState, HostTime, SenderReport};

/// Stamps of one base grow strictly, whatever happens.
fn grows(stamped: &[Stamped]) {
    for pair in stamped.windows(2) {
        let [a, b] = [pair[0].stamp, pair[1].stamp];
        assert!(a.timing.base < b.timing.base || a.capture < b.capture, "{a:?} then {b:?}");
    }
}

fn error_at(stamped: &[Stamped], true_s: f64) -> f64 {
    stamped.iter().find(|s| s.true_s >= true_s).unwrap().error()
}

/// What frames are late by when all is well, s.
const LATE: f64 = 0.0536;

#[test]
fn when_reports_stop_the_state_falls_step_by_step_and_the_uncertainty_grows() {
    let mut camera = Camera::new(World::quiet(1));
    let mut clock = clock();
    follow(&mut clock, &camera.run(0.0, 30.0));
    camera.reports = false;
    let after = follow(&mut clock, &camera.run(30.0, 400.0));
    let at = |s: f64| after.iter().find(|stamped| stamped.true_s >= s).unwrap().stamp.timing;
    assert_eq!(at(31.0).state, ClockState::Locked);
    assert_eq!(at(60.0).state, ClockState::Holdover);
    assert!(at(300.0).uncertainty_ns > at(100.0).uncertainty_ns + 1e6, "{at:?}", at = at(300.0));
    assert_eq!(at(390.0).state, ClockState::ArrivalOnly);
    assert!((error_at(&after, 390.0) - LATE).abs() < 50e-6, "frames still tell the time");
    let states: Vec<ClockEvent> =
        clock.take_events().into_iter().filter(|event| matches!(event, ClockEvent::State { .. })).collect();
    assert_eq!(
        states,
        [
            (ClockState::ArrivalOnly, ClockState::Locked),
            (ClockState::Locked, ClockState::Holdover),
            (ClockState::Holdover, ClockState::ArrivalOnly),
        ]
        .map(|(from, to)| ClockEvent::State { from, to })
    );
    grows(&after);
}

#[test]
fn a_camera_without_reports_is_arrival_only_and_not_silently() {
    let mut camera = Camera::new(World::quiet(2));
    camera.reports = false;
    let stamped = follow(&mut clock(), &camera.run(0.0, 20.0));
    assert!(stamped.iter().all(|s| s.stamp.timing.state == ClockState::ArrivalOnly));
    assert!(stamped.iter().all(|s| s.stamp.timing.offset_ns.is_none()));
}

#[test]
fn a_reboot_with_a_new_origin_is_one_time_line_for_the_host() {
    let mut camera = Camera::new(World::quiet(3));
    let mut clock = clock();
    let mut stamped = follow(&mut clock, &camera.run(0.0, 40.0));
    camera.rtp_origin = 77;
    clock.begin_session();
    let after = follow(&mut clock, &camera.run(55.0, 90.0));
    assert_eq!(after[0].stamp.timing.state, ClockState::ArrivalOnly, "until a report confirms it");
    assert_eq!(after.last().unwrap().stamp.timing.state, ClockState::Locked);
    assert!((error_at(&after, 62.0) - LATE).abs() < 1e-3, "no jump against the time before");
    assert!((error_at(&after, 80.0) - LATE).abs() < 100e-6);
    stamped.extend(after);
    assert!(stamped.iter().all(|s| s.stamp.timing.base == 0));
    grows(&stamped);
}

#[test]
fn stamps_that_jump_begin_a_new_line_without_a_word_from_the_shell() {
    for jump_s in [3600.0, 30.0, 1.0, -0.6, -5.0, -3600.0] {
        let mut camera = Camera::new(World::quiet(4));
        let mut clock = clock();
        let mut stamped = follow(&mut clock, &camera.run(0.0, 40.0));
        camera.rtp_origin = camera.rtp_origin.wrapping_add((jump_s * 90e3) as i64 as u32);
        stamped.extend(follow(&mut clock, &camera.run(40.0, 80.0)));
        let events = clock.take_events();
        let jumped = events.iter().find_map(|event| match event {
            ClockEvent::StampsJumped { by_ns } => Some(*by_ns as f64 * 1e-9),
            _ => None,
        });
        assert!((jumped.unwrap() - jump_s).abs() < 0.5, "{jump_s}: {events:?}");
        assert!((error_at(&stamped, 60.0) - LATE).abs() < 200e-6, "{jump_s}: {}", error_at(&stamped, 60.0));
        let settled = stamped.iter().filter(|s| !(40.0..42.0).contains(&s.true_s) && s.true_s > 5.0);
        for s in settled {
            assert!((s.error() - LATE).abs() < 2e-3, "{jump_s}: {} at {}", s.error(), s.true_s);
        }
        assert_eq!(stamped.last().unwrap().stamp.timing.state, ClockState::Locked);
        grows(&stamped);
    }
}

#[test]
fn a_single_wrong_stamp_moves_neither_the_line_nor_the_others() {
    for ticks in [-3_000_i64, -9_000, 2_000, 5_000] {
        let mut camera = Camera::new(World::quiet(5));
        let mut arrived = camera.run(0.0, 40.0);
        let victim = arrived.iter().position(|a| matches!(a, Arrived::Frame(_, s) if *s > 20.0)).unwrap();
        if let Arrived::Frame(head, _) = &mut arrived[victim] {
            head.rtp = head.rtp.wrapping_add(ticks as u32);
        }
        let stamped = follow(&mut clock(), &arrived);
        grows(&stamped);
        for s in stamped.iter().filter(|s| s.true_s > 20.5) {
            assert!((s.error() - LATE).abs() < 100e-6, "{ticks}: {} at {}", s.error(), s.true_s);
        }
        assert!(stamped.iter().all(|s| s.stamp.timing.base == 0));
    }
}

#[test]
fn stamps_that_stand_still_are_replaced_by_arrivals_and_that_is_said() {
    let mut camera = Camera::new(World::quiet(6));
    let mut clock = clock();
    let mut stamped = follow(&mut clock, &camera.run(0.0, 20.0));
    let mut still = camera.run(20.0, 25.0);
    let frozen = camera.rtp(20.0);
    for arrived in &mut still {
        if let Arrived::Frame(head, _) = arrived {
            head.rtp = frozen;
        }
    }
    let during = follow(&mut clock, &still);
    for s in &during[4..] {
        assert_eq!(s.stamp.timing.state, ClockState::ArrivalOnly);
        assert_eq!(s.stamp.capture, s.head.first_arrival);
    }
    assert!(clock.take_events().contains(&ClockEvent::StampsStandStill));
    stamped.extend(during);
    let after = follow(&mut clock, &camera.run(25.0, 40.0));
    assert_eq!(after.last().unwrap().stamp.timing.state, ClockState::Locked);
    assert!((error_at(&after, 35.0) - LATE).abs() < 200e-6);
    stamped.extend(after);
    grows(&stamped);
}

#[test]
fn reports_that_contradict_the_frames_are_not_used_and_end_locked() {
    let mut camera = Camera::new(World::quiet(7));
    let mut clock = clock();
    let before = follow(&mut clock, &camera.run(0.0, 20.0));
    let offset = before.last().unwrap().stamp.timing.offset_ns.unwrap();
    let mut arrived = camera.run(20.0, 40.0);
    for arrived in &mut arrived {
        if let Arrived::Report(report) = arrived {
            report.rtp = report.rtp.wrapping_add(90_000 * 600);
        }
    }
    let after = follow(&mut clock, &arrived);
    let last = after.last().unwrap().stamp.timing;
    assert_eq!(last.state, ClockState::Holdover);
    assert!((last.offset_ns.unwrap() - offset).abs() < 3_000_000, "only drift");
    assert!(clock.take_events().contains(&ClockEvent::ReportsContradict));
    assert!((error_at(&after, 39.0) - LATE).abs() < 50e-6);
}

#[test]
fn when_the_cameras_clock_is_set_the_offset_follows_and_the_stamps_do_not() {
    let mut camera = Camera::new(World::quiet(8));
    let mut clock = clock();
    let before = follow(&mut clock, &camera.run(0.0, 30.0));
    camera.set_by_s = -2.5;
    let after = follow(&mut clock, &camera.run(30.0, 60.0));
    let by = before.last().unwrap().stamp.timing.offset_ns.unwrap()
        - after.last().unwrap().stamp.timing.offset_ns.unwrap();
    assert!((by - 2_500_000_000).abs() < 5_000_000, "{by}");
    let told = clock.take_events().into_iter().find_map(|event| match event {
        ClockEvent::CameraStepped { by_ns } => Some(by_ns),
        _ => None,
    });
    assert!((told.unwrap() + 2_500_000_000).abs() < 2_000_000, "{told:?}");
    let (last, first) = (before.last().unwrap().error(), after[0].error());
    assert!((last - first).abs() < 10e-6);
    assert!((after.last().unwrap().stamp.timing.drift_ppm.unwrap() - 100.0).abs() < 10.0);
}

#[test]
fn when_the_hosts_clock_is_set_stamps_follow_in_a_new_base() {
    for by_s in [-3.0, 0.2, 7200.0] {
        let by_ns = (by_s * 1e9) as i64;
        let mut camera = Camera::new(World::quiet(9));
        let mut clock = clock();
        let mut stamped = follow(&mut clock, &camera.run(0.0, 30.0));
        clock.host_stepped(by_ns);
        let mut arrived = camera.run(30.0, 60.0);
        for arrived in &mut arrived {
            match arrived {
                Arrived::Frame(head, _) => {
                    head.first_arrival.0 += by_ns;
                    head.arrival.0 += by_ns;
                }
                Arrived::Report(report) => report.arrival.0 += by_ns,
            }
        }
        let after = follow(&mut clock, &arrived);
        for s in &after {
            assert!((s.error() - LATE - by_s).abs() < 100e-6, "{by_s}: {}", s.error());
            assert_eq!(s.stamp.timing.base, 1);
            assert_eq!(s.stamp.timing.state, ClockState::Locked);
        }
        let told = ClockEvent::NewBase { base: 1, step_ns: by_ns, why: BaseChange::HostStepped { by_ns } };
        assert!(clock.take_events().contains(&told));
        stamped.extend(after);
        grows(&stamped);
    }
}

#[test]
fn a_network_that_stands_for_five_seconds_changes_nothing() {
    let mut camera = Camera::new(World::quiet(10));
    let mut arrived = camera.run(0.0, 60.0);
    let end = host(35.0);
    for arrived in &mut arrived {
        match arrived {
            Arrived::Frame(head, s) if (30.0..35.0).contains(s) => {
                head.first_arrival = head.first_arrival.max(end);
                head.arrival = head.arrival.max(end);
            }
            Arrived::Report(report) if (host(30.0)..end).contains(&report.arrival) => report.arrival = end,
            _ => {}
        }
    }
    let mut clock = clock();
    let stamped = follow(&mut clock, &arrived);
    for s in stamped.iter().filter(|s| s.true_s > 10.0) {
        assert!((s.error() - LATE).abs() < 100e-6, "{} at {}", s.error(), s.true_s);
        assert_eq!(s.stamp.timing.state, ClockState::Locked);
    }
    grows(&stamped);
}

#[test]
fn b_frames_are_stamped_in_order_and_do_not_bend_the_line() {
    // I P B B P B B: in the order of decoding each P is two frames ahead.
    let mut camera = Camera::new(World::quiet(11));
    let mut arrived = camera.run(0.0, 40.0);
    for arrived in &mut arrived {
        if let Arrived::Frame(head, s) = arrived {
            let k = (*s * 30.0).round() as i64;
            let moved = match k % 3 {
                0 => 2,
                _ => -1,
            };
            head.rtp = head.rtp.wrapping_add((moved * 3_000) as u32);
        }
    }
    let stamped = follow(&mut clock(), &arrived);
    grows(&stamped);
    assert!(stamped.iter().all(|s| s.stamp.timing.base == 0));
    assert_eq!(stamped.last().unwrap().stamp.timing.state, ClockState::Locked);
}

#[test]
fn absurd_values_neither_panic_nor_stop_later_good_ones() {
    let mut clock = clock();
    let report =
        |camera, rtp, arrival| SenderReport { camera: CameraTime(camera), rtp, arrival: HostTime(arrival) };
    clock.report(&report(i64::MAX, u32::MAX, i64::MIN / 4));
    clock.report(&report(i64::MIN, 0, 0));
    let mut camera = Camera::new(World::quiet(12));
    follow(&mut clock, &camera.run(0.0, 3.0));
    clock.report(&report(i64::MIN, 5, i64::MAX / 4));
    clock.report(&report(i64::MAX, 5, i64::MIN / 4));
    let after = follow(&mut clock, &camera.run(3.0, 30.0));
    assert!((error_at(&after, 25.0) - LATE).abs() < 100e-6);
    assert_eq!(after.last().unwrap().stamp.timing.state, ClockState::Locked);
    let timing = after.last().unwrap().stamp.timing;
    assert!((timing.drift_ppm.unwrap() - 100.0).abs() < 20.0);
}

#[test]
fn a_path_that_becomes_shorter_for_good_is_slewed_if_little_and_a_new_base_if_much() {
    for (by_s, base) in [(0.02, 0), (0.15, 1)] {
        let mut camera = Camera::new(World { base_s: 0.2, ..World::quiet(13) });
        let mut clock = clock();
        let mut stamped = follow(&mut clock, &camera.run(0.0, 40.0));
        camera.world.base_s -= by_s;
        stamped.extend(follow(&mut clock, &camera.run(40.0, 80.0)));
        let truth = 0.0533 + 0.2 - by_s;
        assert!((error_at(&stamped, 75.0) - truth).abs() < 200e-6, "{}", error_at(&stamped, 75.0) - truth);
        assert_eq!(stamped.last().unwrap().stamp.timing.base, base);
        grows(&stamped);
        let during = stamped.iter().find(|s| s.true_s > 41.0).unwrap();
        let off_ns = (during.error() - truth).abs() * 1e9;
        // What is still to be slewed is said, and what is left after a step is small.
        assert!(during.stamp.timing.uncertainty_ns > 0.9 * off_ns || off_ns < 100e3, "{off_ns}: {during:?}");
    }
}

#[test]
fn frames_that_waited_through_two_jumps_come_out_by_arrival() {
    let mut camera = Camera::new(World::quiet(14));
    camera.reports = false;
    let mut clock = clock();
    let mut placed = Vec::new();
    for (jump, from) in [(0, 0.0), (90_000_000, 2.0), (90_000_000, 4.0)] {
        camera.rtp_origin = camera.rtp_origin.wrapping_add(jump);
        for arrived in camera.run(from, from + 2.0) {
            if let Arrived::Frame(head, _) = arrived {
                placed.push((head, clock.place(&head)));
            }
        }
    }
    let mut last = HostTime(i64::MIN);
    for (head, placed) in placed {
        let stamp = clock.stamp(&placed);
        assert!((stamp.capture.0 - head.first_arrival.0).abs() < 3_000_000, "{stamp:?}");
        assert!(stamp.capture > last);
        last = stamp.capture;
    }
}

/// Lateness that is added to what arrives, by the true time.
fn delayed(camera: &mut Camera, from_s: f64, to_s: f64, late_s: impl Fn(f64) -> f64) -> Vec<Arrived> {
    let mut arrived = camera.run(from_s, to_s);
    for arrived in &mut arrived {
        match arrived {
            Arrived::Frame(head, s) => {
                let late_ns = (late_s(*s) * 1e9) as i64;
                head.first_arrival.0 += late_ns;
                head.arrival.0 += late_ns;
            }
            Arrived::Report(report) => {
                let sent_s = (report.arrival.0 - host(0.0).0) as f64 * 1e-9;
                report.arrival.0 += (late_s(sent_s) * 1e9) as i64;
            }
        }
    }
    arrived
}

#[test]
fn a_camera_that_falls_eight_seconds_behind_and_catches_up_keeps_its_line() {
    let mut camera = Camera::new(World::quiet(15));
    let behind = |s: f64| ((s - 40.0) / 7.5).min((160.0 - s) / 7.5).max(0.0);
    let stamped = follow(&mut clock(), &delayed(&mut camera, 0.0, 200.0, behind));
    for s in stamped.iter().filter(|s| s.true_s > 10.0) {
        assert!((s.error() - LATE).abs() < 1e-3, "{} at {}", s.error(), s.true_s);
    }
    assert!(stamped.iter().all(|s| s.stamp.timing.base == 0));
    grows(&stamped);
}

#[test]
fn a_camera_whose_stamps_have_lost_a_second_for_good_is_followed() {
    let mut camera = Camera::new(World::quiet(16));
    let mut clock = clock();
    let stamped = follow(&mut clock, &delayed(&mut camera, 0.0, 120.0, |s| if s < 40.0 { 0.0 } else { 1.0 }));
    assert!((error_at(&stamped, 110.0) - 1.0 - LATE).abs() < 1e-3, "{}", error_at(&stamped, 110.0));
    assert!(clock.take_events().iter().any(|event| matches!(event, ClockEvent::StampsJumped { .. })));
    assert_eq!(stamped.last().unwrap().stamp.timing.state, ClockState::Locked);
    grows(&stamped);
}
