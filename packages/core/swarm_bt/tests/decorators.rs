//! What each decorator promises, the timed ones on a clock moved by hand.

mod common;

use common::Bench;

#[test]
fn inverter_and_force_nodes_change_completed_answers_only() {
    let cases = [
        ("Inverter", "S", "F"),
        ("Inverter", "F", "S"),
        ("Inverter", "RK", "RK"),
        ("ForceSuccess", "F", "S"),
        ("ForceSuccess", "RK", "RK"),
        ("ForceFailure", "S", "F"),
        ("ForceFailure", "RK", "RK"),
    ];
    for (decorator, child, answers) in cases {
        let mut b = Bench::new(&format!("<{decorator}><A/></{decorator}>"), &[("A", child)]);
        assert_eq!(b.ticks(answers.len()), answers, "{decorator} over {child}");
    }
}

#[test]
fn keep_running_until_failure_does() {
    let mut b = Bench::new("<KeepRunningUntilFailure><A/></KeepRunningUntilFailure>", &[("A", "SRSKF")]);
    assert_eq!(b.ticks(5), "RRRRF");
}

#[test]
fn repeat_goes_round_as_long_as_the_child_succeeds() {
    let mut b = Bench::new(r#"<Repeat num_cycles="3"><A/></Repeat>"#, &[("A", "S")]);
    assert_eq!(b.ticks(3), "RRS", "each round that completed at once ends the tick");
    let mut b = Bench::new(r#"<Repeat num_cycles="3"><A/></Repeat>"#, &[("A", "SF")]);
    assert_eq!(b.ticks(2), "RF");
    let mut b = Bench::new(r#"<Repeat num_cycles="2"><A/></Repeat>"#, &[("A", "RS")]);
    assert_eq!(b.ticks(3), "RRS", "after a round that took time the next one starts in the same tick");
}

#[test]
fn repeat_is_skipped_with_its_child_and_keeps_its_count() {
    let mut b = Bench::new(r#"<Repeat num_cycles="2"><A/></Repeat>"#, &[("A", "SKS")]);
    assert_eq!(b.ticks(3), "RKS");
}

#[test]
fn retry_goes_round_as_long_as_the_child_fails() {
    let xml = r#"<RetryUntilSuccessful num_attempts="3"><A/></RetryUntilSuccessful>"#;
    assert_eq!(Bench::new(xml, &[("A", "F")]).ticks(3), "RRF");
    assert_eq!(Bench::new(xml, &[("A", "FS")]).ticks(2), "RS");
}

#[test]
fn a_halt_starts_the_count_afresh() {
    let mut b = Bench::new(r#"<Repeat num_cycles="2"><A/></Repeat>"#, &[("A", "S")]);
    assert_eq!(b.tick(), 'R');
    b.halt();
    assert_eq!(b.ticks(2), "RS");
}

#[test]
fn counts_may_come_from_the_blackboard_and_change_meanwhile() {
    let xml = r#"<Sequence><Script code="n := 2"/><RetryUntilSuccessful num_attempts="{n}"><Sequence><Script code="n += 1" _skipIf="n > 3"/><A/></Sequence></RetryUntilSuccessful></Sequence>"#;
    let mut b = Bench::new(xml, &[("A", "F")]);
    assert_eq!(b.ticks(4), "RRRF", "four attempts: the limit was raised to 4 while it counted");
}

#[test]
fn timeout_halts_a_child_that_still_runs_and_fails() {
    let mut b = Bench::new(r#"<Timeout msec="100"><A/></Timeout>"#, &[("A", "R")]);
    assert_eq!(b.tick(), 'R');
    b.pass_ms(99);
    assert_eq!(b.tick(), 'R');
    b.pass_ms(1);
    assert_eq!(b.tick(), 'F');
    assert_eq!(b.calls(), "s2 r2 h2");
    b.pass_ms(1000);
    assert_eq!(b.tick(), 'R', "a new run has a new time limit");
}

#[test]
fn timeout_lets_a_child_finish_in_time_and_zero_means_no_limit() {
    let mut b = Bench::new(r#"<Timeout msec="100"><A/></Timeout>"#, &[("A", "RS")]);
    assert_eq!(b.tick(), 'R');
    b.pass_ms(50);
    assert_eq!(b.tick(), 'S');
    let mut b = Bench::new(r#"<Timeout msec="0"><A/></Timeout>"#, &[("A", "R")]);
    b.tick();
    b.pass_ms(1_000_000);
    assert_eq!(b.tick(), 'R');
}

#[test]
fn a_time_limit_that_ends_while_the_child_does_not_run_is_spent() {
    let mut b = Bench::new(r#"<Timeout msec="100"><A/></Timeout>"#, &[("A", "KRR")]);
    assert_eq!(b.tick(), 'K');
    b.pass_ms(200);
    assert_eq!(b.ticks(2), "RR");
}

#[test]
fn a_halted_timeout_forgets_its_deadline() {
    let mut b = Bench::new(r#"<Timeout msec="100"><A/></Timeout>"#, &[("A", "R")]);
    b.tick();
    b.halt();
    b.pass_ms(500);
    assert_eq!(b.ticks(2), "RR");
}

#[test]
fn delay_ticks_its_child_only_after_the_delay() {
    let mut b = Bench::new(r#"<Delay delay_msec="100"><A/></Delay>"#, &[("A", "RS")]);
    assert_eq!(b.tick(), 'R');
    b.pass_ms(99);
    assert_eq!(b.tick(), 'R');
    assert_eq!(b.calls(), "");
    b.pass_ms(1);
    assert_eq!(b.ticks(2), "RS");
    assert_eq!(b.tick(), 'R', "the next run is delayed again");
    assert_eq!(b.calls(), "s2 r2");
}

#[test]
fn sleep_runs_for_its_time_and_a_halt_wakes_it() {
    let mut b = Bench::new(r#"<Sleep msec="100"/>"#, &[]);
    assert_eq!(b.tick(), 'R');
    b.pass_ms(100);
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.tick(), 'R');
    b.halt();
    b.pass_ms(100);
    assert_eq!(b.tick(), 'R', "halted, it sleeps its full time again");
    assert_eq!(Bench::new(r#"<Sleep msec="0"/>"#, &[]).tick(), 'S');
}

#[test]
fn time_that_goes_back_only_makes_timers_wait() {
    let mut b = Bench::new(r#"<Sleep msec="100"/>"#, &[]);
    b.pass_ms(1000);
    assert_eq!(b.tick(), 'R');
    b.now = swarm_base::Time(0);
    assert_eq!(b.tick(), 'R');
    b.pass_ms(1100);
    assert_eq!(b.tick(), 'S');
}

#[test]
fn a_wait_beyond_the_end_of_the_clock_never_ends() {
    let mut b = Bench::new(r#"<Sequence><Sleep msec="2147483647"/></Sequence>"#, &[]);
    b.now = swarm_base::Time(u64::MAX - 1);
    assert_eq!(b.ticks(2), "RR");
}
