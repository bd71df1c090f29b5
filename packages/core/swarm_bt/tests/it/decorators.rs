//! What each decorator promises, the timed ones on a clock moved by hand.

use std::fmt::Write as _;

use crate::common::Bench;

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

#[test]
fn run_once_skips_from_then_on_or_repeats_its_answer_even_after_a_halt() {
    let mut b = Bench::new("<RunOnce><A/></RunOnce>", &[("A", "RF")]);
    assert_eq!(b.ticks(4), "RFKK");
    b.halt();
    assert_eq!(b.tick(), 'K');
    let mut b = Bench::new(r#"<RunOnce then_skip="false"><A/></RunOnce>"#, &[("A", "KS")]);
    assert_eq!(b.ticks(4), "KSSS", "a child that is skipped has not run");
    assert_eq!(b.calls(), "s2 s2");
}

#[test]
fn a_precondition_is_looked_at_when_its_child_begins() {
    let body = r#"<Sequence><Script code="n += 1"/><Precondition if="n == 1" else="SUCCESS"><A/></Precondition></Sequence>"#;
    let mut b = Bench::new(body, &[("A", "RF")]);
    let n = b.tree.slot("n").expect("mentioned");
    b.state.set(&b.tree, n, 0_i64).expect("fits");
    assert_eq!(b.ticks(3), "RFS");
    assert_eq!(b.trace(), "1R 2S 4R 3R 4F 4I 3F 2I 3I 1F 1I 1R 2S 3S 2I 3I 1S 1I");
}

#[test]
fn a_loop_takes_one_item_in_a_tick_and_waits_for_a_child_that_runs() {
    let body = r#"<LoopInt queue="5;6" value="{v}" if_empty="FAILURE"><A/></LoopInt>"#;
    let mut b = Bench::new(body, &[("A", "SRKSS")]);
    let mut seen = String::new();
    for _ in 0..4 {
        let answer = b.tick();
        let _ = write!(seen, "{answer}{} ", b.entry("v"));
    }
    assert_eq!(seen, "R5 R6 R6 F6 ", "a child that answers SKIPPED lets the next item come");
    assert_eq!(b.calls(), "s2 s2 r2");
    assert_eq!(b.tick(), 'R');
    assert_eq!(b.entry("v"), "5", "the next run begins at the first item");
}

#[test]
fn a_loop_goes_through_what_an_entry_held_when_it_began() {
    let body = r#"<LoopString queue="{q}" value="{v}"><Script code="q = 'x;y;z'"/></LoopString>"#;
    let mut b = Bench::new(body, &[]);
    let q = b.tree.slot("q").expect("mentioned");
    b.state.set(&b.tree, q, "a;;ccc").expect("fits");
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(b.tick(), 'R');
        seen.push(b.entry("v"));
    }
    assert_eq!((seen, b.tick()), (vec!["a".to_owned(), String::new(), "ccc".to_owned()], 'S'));
}

#[test]
fn a_queue_that_is_none_is_an_error_with_its_entry() {
    let error = |value: swarm_bt::Value| {
        let mut b = Bench::new(r#"<LoopInt queue="{q}" value="{v}"><A/></LoopInt>"#, &[("A", "S")]);
        let q = b.tree.slot("q").expect("mentioned");
        b.state.set(&b.tree, q, value).expect("fits");
        b.try_tick().unwrap_err().kind.to_string()
    };
    let expected = "instead of a list in which each item is an int";
    assert_eq!(error("1;two".into()), format!("queue 'q' holds string 1;two {expected}"));
    assert_eq!(error(vec![1.0, 1.5].into()), format!("queue 'q' holds vector 1;1.5 {expected}"));
    assert_eq!(error(3_i64.into()), format!("queue 'q' holds int 3 {expected}"));
    let empty = Bench::new(r#"<LoopInt queue="{q}"><A/></LoopInt>"#, &[("A", "S")]).try_tick();
    assert_eq!(empty.unwrap_err().kind.to_string(), format!("queue 'q' holds nothing {expected}"));
}

#[test]
fn what_waits_for_an_update_goes_on_with_a_child_that_runs() {
    let body = r#"<WaitValueUpdate entry="x"><A/></WaitValueUpdate>"#;
    let mut b = Bench::new(body, &[("A", "RS")]);
    let x = b.tree.slot("x").expect("mentioned");
    assert_eq!((b.tick(), b.trace().as_str()), ('R', "1R"), "nothing has been written");
    b.state.set(&b.tree, x, 1_i64).expect("fits");
    assert_eq!(b.ticks(3), "RSR");
    // The child is reset after the decorator's own answer, by the original's base class.
    assert_eq!((b.calls(), b.trace().as_str()), ("s2 r2".into(), "2R 2S 1S 2I 1I 1R"));
    let mut b = Bench::new(r#"<SkipUnlessUpdated entry="{x}"><A/></SkipUnlessUpdated>"#, &[("A", "S")]);
    b.state.set(&b.tree, b.tree.slot("x").expect("mentioned"), 1_i64).expect("fits");
    assert_eq!(b.ticks(3), "SKK");
}
