//! SR-16: silence means stop, and so does everything else that is not a fresh leave.

use proptest::prelude::*;
use swarm_base::{Duration, Time};
use swarm_driver_core::{Doing, MonitorState, Output, StopCause};

use crate::bench::{Bench, ROBOT, assert_stands};

const V: [f64; 2] = [0.5, -0.25];

#[test]
fn a_fresh_leave_passes_the_command_on() {
    let mut bench = Bench::velocity().running(V);
    assert_eq!(bench.good(V).output, Output::Velocity(V.to_vec()));
}

/// Goes on in cycles of `period_ms` with no more than `say`, and tells when the shell stands, and why.
fn stood(bench: &mut Bench, period_ms: u64, say: fn(&mut Bench)) -> (Time, Doing) {
    loop {
        let now = bench.now;
        say(bench);
        let said = bench.cycle_every(Duration::from_millis(period_ms));
        if said.doing != Doing::Following {
            assert!(said.output.stands(), "{:?}", said.output);
            return (now, said.doing);
        }
    }
}

fn all_but_permits(bench: &mut Bench) {
    bench.status(MonitorState::Run);
    bench.command(&V);
}

/// Some of which twenty milliseconds are no multiple, and some that are longer.
const PERIODS_MS: [u64; 4] = [4, 7, 8, 100];

#[test]
fn twenty_milliseconds_without_permits_and_no_longer() {
    for period_ms in PERIODS_MS {
        let mut bench = Bench::velocity().running(V);
        bench.permit(1.0);
        let end = bench.now + Duration::from_millis(20);
        let old = Doing::Standing(StopCause::PermitOld);
        assert_eq!(stood(&mut bench, period_ms, all_but_permits), (end, old), "cycles of {period_ms} ms");
        for _ in 0..1000 {
            all_but_permits(&mut bench);
            assert_eq!(bench.cycle().output, Output::Velocity(vec![0.0, 0.0]), "zeros do not end");
        }
    }
}

/// What is wrong, and what the shell makes of it in the cycle in which it hears it.
type Wrong = (&'static str, fn(&mut Bench), StopCause);

const NS_PER_MS: i64 = 1_000_000;

/// A permit that is off by so much: epoch, sequence against the next, and the stamp.
fn off_by(bench: &mut Bench, epoch: i64, sequence: i64, stamp_ms: i64) {
    let (epoch, sequence) =
        (bench.epoch.strict_add_signed(epoch), (bench.sequence + 1).strict_add_signed(sequence));
    let sent = bench.wall_ns().strict_add_signed(stamp_ms * NS_PER_MS);
    bench.permit_of(epoch, sequence, &[ROBOT], &[1.0], sent);
}

/// The next permit, for `robots` with `scales`.
fn naming(bench: &mut Bench, robots: &[&str], scales: &[f64]) {
    let (epoch, sequence, sent) = (bench.epoch, bench.sequence + 1, bench.wall_ns());
    bench.permit_of(epoch, sequence, robots, scales, sent);
}

#[test]
fn every_wrong_message_stops_in_the_cycle_that_hears_it() {
    use StopCause as Cause;
    let wrongs: [Wrong; 16] = [
        ("a permit of zero", |b| b.permit(0.0), Cause::PermitZero),
        ("a permit for others", |b| naming(b, &["right"], &[1.0]), Cause::PermitNamesOthers),
        ("named twice", |b| naming(b, &[ROBOT, ROBOT], &[1.0, 1.0]), Cause::PermitMalformed),
        ("lists of unlike length", |b| naming(b, &["right", ROBOT], &[1.0]), Cause::PermitMalformed),
        ("a scale that is no number", |b| b.permit(f64::NAN), Cause::PermitMalformed),
        ("a scale above one", |b| b.permit(1.5), Cause::PermitMalformed),
        ("a negative scale", |b| b.permit(-0.5), Cause::PermitMalformed),
        ("an older sequence", |b| off_by(b, 0, -2, 0), Cause::PermitBackwards),
        ("an older epoch", |b| off_by(b, -1, 8, 0), Cause::PermitBackwards),
        ("a newer epoch than the status", |b| off_by(b, 1, 0, 0), Cause::EpochDiffers),
        ("a stamp from the future", |b| off_by(b, 0, 0, 6), Cause::PermitStamp),
        ("a stamp of long ago", |b| off_by(b, 0, 0, -21), Cause::PermitStamp),
        ("a monitor that has stopped", |b| b.status(MonitorState::Stop2), Cause::MonitorStopped),
        ("a command of wrong length", |b| b.command(&[0.1]), Cause::CommandRefused),
        ("a command that is no number", |b| b.command(&[f64::NAN, 0.0]), Cause::CommandRefused),
        ("a command beyond the joint's limit", |b| b.command(&[3.1, 0.0]), Cause::CommandRefused),
    ];
    for (name, wrong, cause) in wrongs {
        let mut bench = Bench::velocity().running(V);
        wrong(&mut bench);
        let said = bench.cycle();
        assert_eq!(
            (said.doing, said.output),
            (Doing::Standing(cause), Output::Velocity(vec![0.0; 2])),
            "{name}"
        );
    }
}

#[test]
fn a_permit_that_was_long_on_its_way_is_not_believed_longer_for_it() {
    let mut bench = Bench::velocity().running(V);
    let old = Doing::Standing(StopCause::PermitOld);
    off_by(&mut bench, 0, 0, -12);
    let end = bench.now + Duration::from_millis(8);
    assert_eq!(stood(&mut bench, 4, all_but_permits), (end, old));

    let mut bench = Bench::velocity().running(V);
    // The monitor's clock is ahead: it counts from its arrival.
    off_by(&mut bench, 0, 0, 4);
    let end = bench.now + Duration::from_millis(20);
    assert_eq!(stood(&mut bench, 4, all_but_permits), (end, old));
}

#[test]
fn a_repeated_permit_does_not_stay_young() {
    let mut bench = Bench::velocity().running(V);
    let (epoch, sequence) = (bench.epoch, bench.sequence);
    let mut last = Doing::Following;
    for _ in 0..6 {
        all_but_permits(&mut bench);
        let wall = bench.wall_ns();
        bench.permit_of(epoch, sequence, &[ROBOT], &[1.0], wall);
        last = bench.cycle().doing;
    }
    assert_eq!(last, Doing::Standing(StopCause::PermitOld));
}

#[test]
fn a_shell_that_comes_back_in_the_middle_of_a_run_waits_for_a_reset() {
    let mut bench = Bench::velocity();
    for _ in 0..50 {
        assert_stands(&bench.good(V), StopCause::NoReset);
    }
    bench.running(V);
}

#[test]
fn limits_that_are_loaded_in_ready_are_no_reset() {
    // A shell that came back, and one whose cell was stopped and said so.
    let mut stopped = Bench::velocity().running(V);
    stopped.status(MonitorState::Stop1);
    stopped.cycle();
    for mut bench in [Bench::velocity(), stopped] {
        bench.load_limits();
        for _ in 0..50 {
            assert_stands(&bench.good(V), StopCause::NoReset);
        }
        bench.running(V);
    }
}

#[test]
fn limits_that_are_loaded_after_a_reset_need_no_other() {
    let mut bench = Bench::velocity().running(V);
    bench.load_limits();
    assert_eq!(bench.good(V).doing, Doing::Following);
}

#[test]
fn a_reset_counts_though_the_stop_before_it_was_not_heard() {
    let mut bench = Bench::velocity();
    bench.status(MonitorState::Ready);
    bench.cycle();
    bench.epoch += 3;
    bench.reset_epoch = bench.epoch - 1;
    bench.status(MonitorState::Ready);
    bench.permit(1.0);
    assert_stands(&bench.cycle(), StopCause::ArmNotReady);
}

#[test]
fn a_stop_ends_the_run_until_a_reset_whatever_the_permits_say() {
    for state in [MonitorState::Deny, MonitorState::Stop1, MonitorState::Estop] {
        let mut bench = Bench::velocity().running(V);
        bench.status(state);
        bench.cycle();
        for _ in 0..50 {
            assert_stands(&bench.good(V), StopCause::NoReset);
        }
        bench.running(V);
    }
}

#[test]
fn a_command_from_before_the_reset_is_forgotten() {
    let mut bench = Bench::velocity().running(V);
    bench.reset();
    bench.permit(1.0);
    // Past the time that an arm without means takes to settle, and the command would still be young enough.
    for _ in 0..40 {
        bench.permit(1.0);
        bench.status(MonitorState::Ready);
        bench.cycle();
    }
    assert_eq!(bench.driver.doing(), Doing::Standing(StopCause::NoCommand));
}

#[test]
fn a_silent_commander_and_an_arm_that_nobody_sees_stop_it_after_a_tenth_of_a_second() {
    for period_ms in PERIODS_MS.into_iter().filter(|period_ms| *period_ms < 20) {
        let mut bench = Bench::velocity().running(V);
        bench.command(&V);
        let end = bench.now + Duration::from_millis(100);
        let permits = |bench: &mut Bench| {
            bench.permit(1.0);
            bench.status(MonitorState::Run);
        };
        let stood_at = stood(&mut bench, period_ms, permits);
        assert_eq!(stood_at, (end, Doing::Standing(StopCause::CommandOld)), "cycles of {period_ms} ms");

        let mut bench = Bench::trajectory().running([0.0; 2]);
        bench.measure([0.0; 2]);
        let end = bench.now + Duration::from_millis(100);
        let permits_and_commands = |bench: &mut Bench| {
            bench.permit(1.0);
            bench.status(MonitorState::Run);
            bench.command(&[0.0; 2]);
        };
        let stood_at = stood(&mut bench, period_ms, permits_and_commands);
        assert_eq!(stood_at, (end, Doing::Standing(StopCause::NotMeasured)), "cycles of {period_ms} ms");
    }
}

#[test]
fn a_silent_monitor_stops_the_arm_until_a_reset() {
    let mut bench = Bench::velocity().running(V);
    bench.now = bench.now + Duration::from_millis(501);
    bench.permit(1.0);
    bench.command(&V);
    assert_stands(&bench.cycle(), StopCause::StatusOld);
    assert_stands(&bench.good(V), StopCause::NoReset);
}

#[test]
fn an_arm_that_stands_is_told_so_at_its_turn() {
    let mut bench = Bench::velocity().running(V);
    bench.permit(0.0);
    bench.cycle();
    let turn = bench.now + Duration::from_millis(100);
    assert_eq!((bench.driver.next_due(turn), bench.driver.follows_until()), (turn, None));
}

#[test]
fn a_node_that_is_not_active_says_zeros() {
    let mut bench = Bench::velocity().running(V);
    bench.driver.set_active(false);
    assert_stands(&bench.good(V), StopCause::Inactive);
    bench.driver.set_active(true);
    assert_stands(&bench.good(V), StopCause::NoReset);
}

#[test]
fn a_smaller_scale_bounds_every_joint_and_keeps_the_direction() {
    let mut bench = Bench::velocity().running([3.0, 1.0]);
    bench.permit(0.5);
    bench.command(&[3.0, 1.0]);
    assert_eq!(bench.cycle().output, Output::Velocity(vec![1.5, 0.5]));
}

/// Anything that may arrive, or not.
#[derive(Clone, Debug)]
enum Event {
    Permit { epoch: u64, sequence: u64, named: bool, scale: f64, skew_ms: i64 },
    Status { state: u8, epoch: u64, reset_epoch: u64 },
    Command([f64; 2]),
    ShortCommand,
    Measured,
    Cycle { after_ms: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let scale =
        prop_oneof![5 => Just(1.0), 1 => Just(0.0), 1 => Just(f64::NAN), 1 => Just(2.0), 2 => 0.0..1.0f64];
    let skew = prop_oneof![6 => Just(0i64), 1 => -60..60i64];
    let velocity =
        prop_oneof![8 => -1.0..1.0f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(99.0)];
    prop_oneof![
        4 => (7..10u64, 1..60u64, prop::bool::weighted(0.9), scale, skew).prop_map(
            |(epoch, sequence, named, scale, skew_ms)| Event::Permit { epoch, sequence, named, scale, skew_ms }
        ),
        4 => (prop_oneof![6 => 1..4u8, 2 => 0..8u8], 7..10u64, 0..4u64)
            .prop_map(|(state, epoch, reset_epoch)| Event::Status { state, epoch, reset_epoch }),
        3 => [velocity.clone(), velocity].prop_map(Event::Command),
        1 => Just(Event::ShortCommand),
        1 => Just(Event::Measured),
        4 => (0..40u64).prop_map(|after_ms| Event::Cycle { after_ms }),
    ]
}

/// An account of what a leave takes, kept apart from the code under test and as plainly as it can be said.
#[derive(Default)]
struct Account {
    /// Epoch, sequence, scale, and stamp of the newest good permit; and whether a bad one came after it.
    permit: Option<(u64, u64, f64, u64)>,
    spoilt: bool,
    status: Option<(u8, u64, u64)>,
    known_reset: Option<u64>,
    reset_seen: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// In whatever order whatever messages arrive: the arm moves only under a permit that is good, newest and less than 20 ms
    /// old, in the epoch of a moving status, after a reset; what it is told are numbers within its limits; and the moment at
    /// which silence ends that is known in advance.
    #[test]
    fn nothing_moves_without_a_fresh_leave(events in prop::collection::vec(event(), 1..250)) {
        let mut bench = Bench::velocity();
        let mut account = Account::default();
        for event in events {
            let now_ms = bench.now.0 / 1_000_000;
            match event {
                Event::Permit { epoch, sequence, named, scale, skew_ms } => {
                    let sent = bench.wall_ns().saturating_add_signed(skew_ms * 1_000_000);
                    let name = if named { ROBOT } else { "right" };
                    bench.permit_of(epoch, sequence, &[name], &[scale], sent);
                    let order = account.permit.map(|(e, s, _, _)| (epoch, sequence).cmp(&(e, s)));
                    let good = named && (0.0..=1.0).contains(&scale) && (-20..=5).contains(&skew_ms);
                    if good && order.is_none_or(std::cmp::Ordering::is_gt) {
                        account.permit = Some((epoch, sequence, scale, now_ms.saturating_add_signed(skew_ms.min(0))));
                        account.spoilt = false;
                    } else if !good || order.is_some_and(std::cmp::Ordering::is_lt) {
                        account.spoilt = true;
                    }
                }
                Event::Status { state, epoch, reset_epoch } => {
                    let Some(monitor) = MonitorState::from_number(state) else { continue };
                    (bench.epoch, bench.reset_epoch) = (epoch, reset_epoch);
                    bench.status(monitor);
                    account.status = Some((state, epoch, now_ms));
                    if (1..=3).contains(&state) {
                        match account.known_reset {
                            Some(before) if reset_epoch > before => {
                                (account.known_reset, account.reset_seen) = (Some(reset_epoch), true);
                            }
                            Some(before) if reset_epoch < before => account.reset_seen = false,
                            Some(_) => {}
                            None => account.known_reset = Some(reset_epoch),
                        }
                    } else {
                        account.known_reset = Some(reset_epoch);
                        account.reset_seen &= state == 4;
                    }
                }
                Event::Command(velocity) => bench.command(&velocity),
                Event::ShortCommand => bench.command(&[0.1]),
                Event::Measured => bench.measure([0.0; 2]),
                Event::Cycle { after_ms } => {
                    bench.now = bench.now + Duration::from_millis(after_ms);
                    let now_ms = bench.now.0 / 1_000_000;
                    let said = bench.cycle();
                    let Output::Velocity(velocity) = said.output else { panic!("velocities") };
                    let scale = account.permit.map_or(0.0, |permit| permit.2);
                    let leave = !account.spoilt
                        && account.reset_seen
                        && account.permit.is_some_and(|(_, _, _, sent)| now_ms - sent < 20)
                        && account.status.is_some_and(|(state, epoch, arrival)| {
                            (1..=3).contains(&state) && now_ms - arrival < 500 && Some(epoch) == account.permit.map(|p| p.0)
                        });
                    for (v, limit) in velocity.iter().zip([3.0, 2.0]) {
                        prop_assert!(v.is_finite() && v.abs() <= limit * scale.max(0.0) + 1e-12, "{v} of {limit} x {scale}");
                        prop_assert!(leave || *v == 0.0, "moves without leave: {:?}", said.doing);
                    }
                    let end = bench.driver.follows_until();
                    prop_assert_eq!(end.is_some(), said.doing == Doing::Following);
                    if let Some(end) = end {
                        prop_assert!(!bench.driver.stop_is_due(Time(end.0 - 1)) && bench.driver.stop_is_due(end));
                    }
                }
            }
        }
    }
}
