//! The report of a made-up run shows that run's figures, and odd runs still have a report.

mod common;

use common::{FORCE_LIMIT, PEAK_FORCE, SEPARATION_LIMIT, SPEED_LIMIT, header, run_with_one_stop, text};
use swarm_report::{Run, page, summary};
use swarm_run_log::{Line, Record, RoleState, Status, StatusState, read};

fn run_of(lines: &[Line]) -> Run {
    Run::from_log(&read(&text(lines)))
}

/// The page is one element tree without anything loaded or run.
#[track_caller]
fn assert_whole_and_self_contained(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "cut page");
    for absent in ["<script", "http-equiv", "<link", "url(", "@import", " src=", "javascript:"] {
        assert!(!page.contains(absent), "the page has '{absent}'");
    }
    for (from, _) in page.match_indices("http") {
        assert!(page[from..].starts_with("http://www.w3.org/2000/svg"), "the page names another address");
    }
    let document = page.replacen("<!DOCTYPE html>", "", 1);
    // The void elements that the page uses are the only ones XML does not take as they are.
    let document = document.replace("<meta charset=\"utf-8\">", "").replace("<br>", "");
    let meta = document.find("<meta name").map(|at| at..at + document[at..].find('>').unwrap() + 1).unwrap();
    let document = format!("{}{}", &document[..meta.start], &document[meta.end..]);
    roxmltree::Document::parse(&document)
        .unwrap_or_else(|error| panic!("the page is not well formed: {error}"));
}

#[test]
fn a_run_is_put_in_order() {
    let run = run_of(&run_with_one_stop());
    assert_eq!(run.outcome(), "succeeded");
    let leader = &run.roles[0];
    assert_eq!((leader.role.as_str(), leader.robot.as_str()), ("leader", "ur5e_left"));
    let phases: Vec<_> = leader.phases.iter().map(|span| (span.phase.as_str(), span.state)).collect();
    assert_eq!(
        phases,
        [
            ("", RoleState::Idle),
            ("approach", RoleState::Running),
            ("grasp", RoleState::Running),
            ("carry", RoleState::Running),
            ("carry", RoleState::Holding),
            ("carry", RoleState::Running),
            ("align", RoleState::Running),
            ("insert", RoleState::Running),
            ("retreat", RoleState::Running),
            ("", RoleState::Succeeded),
        ]
    );
    let words: Vec<_> = run.states.iter().map(|span| span.state.as_str()).collect();
    assert_eq!(words, ["deny", "ready", "run", "stop2", "run", "slow", "run", "ready"]);
}

#[test]
fn a_stop_has_its_cause_and_how_long_it_lasted() {
    let run = run_of(&run_with_one_stop());
    let [stop] = run.stops.as_slice() else { panic!("one stop expected: {:?}", run.stops) };
    assert_eq!((stop.from_s, stop.until_s), (11.0, Some(12.0)));
    assert_eq!(
        (stop.status.cause.as_str(), stop.status.value, stop.status.limit),
        ("separation", 0.041, 0.05)
    );
}

#[test]
fn a_peak_of_one_sample_is_the_strongest_contact() {
    let run = run_of(&run_with_one_stop());
    let strongest = run.robots[1].strongest().unwrap();
    assert_eq!((strongest.at_s, strongest.value, strongest.limit), (PEAK_FORCE.0, PEAK_FORCE.1, FORCE_LIMIT));
    assert_eq!(run.robots[0].fastest().unwrap().limit, SPEED_LIMIT);
    assert_eq!(run.robots[2].closest().unwrap().limit, SEPARATION_LIMIT);
}

#[test]
fn a_recording_is_linked_where_there_is_one() {
    let run = run_of(&run_with_one_stop());
    assert!(!page(&run).contains("in the bag"));
    let recorded = page(&Run { recording: Some("recording".to_owned()), ..run });
    assert!(recorded.contains(r#"in the bag <a href="recording">recording</a>"#));
}

#[test]
fn the_page_shows_the_run_and_stands_alone() {
    let page = page(&run_of(&run_with_one_stop()));
    assert_whole_and_self_contained(&page);
    for shown in [
        "cooperative_assembly@1.0.0",
        "succeeded",
        "part B is seated",
        "ur5e_right forearm is 0.041 m from panda hand",
        "Drivers stopped at a permit older than 100 ms in this run; the cell declares 20 ms.",
        "had no real-time scheduling",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "run-7f3a",
        "18.4 N",
        "insertion_depth_mm",
        "prefers-color-scheme:dark",
    ] {
        assert!(page.contains(shown), "the page lacks '{shown}'");
    }
    assert_eq!(
        page.matches("<svg role=\"img\" aria-label=").count(),
        4,
        "time line, speed, force, separation"
    );
}

#[test]
fn what_a_node_says_is_text_and_never_markup() {
    let mut lines = run_with_one_stop();
    let Record::Result(result) = &mut lines.last_mut().unwrap().record else { panic!("no result") };
    result.message = "<script>alert(1)</script> & more".into();
    let page = page(&run_of(&lines));
    assert_whole_and_self_contained(&page);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"));
}

/// Recorded from the lock-step cell (runtime, gate and physics on a virtual clock, seed 1), thinned to 5 Hz.
#[test]
fn a_recorded_run_of_the_demo_skill_is_shown() {
    let reading = read(include_str!("data/lock_step_seed_1.jsonl"));
    assert_eq!((reading.broken.len(), reading.unknown), (0, 0));
    let run = Run::from_log(&reading);
    assert!(run.succeeded() && run.stops.is_empty() && run.notices.is_empty(), "{:?}", run.notices);
    let phases: Vec<_> =
        run.roles[0].phases.iter().map(|span| span.phase.as_str()).filter(|p| !p.is_empty()).collect();
    assert_eq!(phases[..6], ["approach", "grip", "bring", "mate", "release", "retreat"]);
    assert!(run.robots.iter().all(|robot| robot.closest().unwrap().value > robot.closest().unwrap().limit));
    assert_whole_and_self_contained(&page(&run));
}

#[test]
fn the_summary_says_it_in_a_few_lines() {
    let expected = include_str!("summary.txt");
    assert_eq!(summary(&run_of(&run_with_one_stop())), expected);
}

#[test]
fn a_run_without_a_stop_says_so() {
    let mut lines = run_with_one_stop();
    lines
        .retain(|line| !matches!(&line.record, Record::Status(status) if status.state == StatusState::Stop2));
    let run = run_of(&lines);
    assert!(run.stops.is_empty());
    assert!(page(&run).contains("The safety monitor stopped nothing."));
    assert!(summary(&run).contains("  no stop\n"));
}

#[test]
fn a_recording_cut_in_the_middle_of_a_line_is_reported_as_far_as_it_goes() {
    let whole = text(&run_with_one_stop());
    let run = Run::from_log(&read(&whole[..whole.len() / 2]));
    assert_eq!(run.outcome(), "unfinished");
    let page = page(&run);
    assert_whole_and_self_contained(&page);
    assert!(page.contains("The recording ends without a result"));
    assert!(page.contains("1 line(s) of the log cannot be read"));
}

#[test]
fn an_empty_log_has_a_report() {
    let run = Run::from_log(&read(""));
    assert_whole_and_self_contained(&page(&run));
    assert!(page(&run).contains("Neither the runtime nor the safety monitor was heard."));
    assert!(summary(&run).starts_with("no skill heard: unfinished\n"), "{}", summary(&run));
}

#[test]
fn a_run_of_conditions_only_has_a_report() {
    let run = run_of(&[Line { t_s: 0.0, record: Record::Run(header()) }]);
    let page = page(&run);
    assert_whole_and_self_contained(&page);
    assert!(page.contains("demo_bench"));
    assert!(page.contains("Not recorded."));
}

#[test]
fn falling_back_to_deny_is_a_stop_and_starting_in_it_is_none() {
    let status = |t_s, state| {
        let cause = if state == StatusState::Deny { "joint_states_missing" } else { "" };
        Line { t_s, record: Record::Status(Status { state, cause: cause.into(), ..Status::default() }) }
    };
    let run = run_of(&[
        status(0.0, StatusState::Deny),
        status(1.0, StatusState::Ready),
        status(2.0, StatusState::Run),
        status(3.0, StatusState::Deny),
        status(4.0, StatusState::Deny),
    ]);
    let [stop] = run.stops.as_slice() else { panic!("one stop expected: {:?}", run.stops) };
    assert_eq!((stop.from_s, stop.until_s, stop.status.cause.as_str()), (3.0, None, "joint_states_missing"));
    assert!(page(&run).contains("to the end"));
}

/// Robots without any known figure, and a log of a single moment, have nothing to scale an axis by.
#[test]
fn unknown_figures_are_not_drawn_and_not_zero() {
    let robots = vec![swarm_run_log::RobotSafety { robot: "panda".into(), ..Default::default() }];
    let run = run_of(&[Line { t_s: 0.0, record: Record::Status(Status { robots, ..Status::default() }) }]);
    let page = page(&run);
    assert_whole_and_self_contained(&page);
    assert_eq!(page.matches("Not recorded.").count(), 3);
    assert!(summary(&run).contains("unknown"));
}
