//! The short form of the evidence `safety-availability`: work that nothing disturbs goes on, and people slow it down only a little.

use swarm_testkit::availability::people::Policy;
use swarm_testkit::availability::{Conditions, Demo};
use swarm_testkit::repository;

const THREADS: usize = 2;

#[test]
fn nominal_work_is_never_stopped_and_broken_work_is() {
    let seed = rand::random();
    println!("seed {seed}");
    let demo = Demo::load(&repository()).unwrap();
    let recordings = demo.record(0..1).unwrap();
    let work = demo.repeat(&recordings, Conditions::NOMINAL, 0.2, THREADS, seed).unwrap();
    assert!(work.hours() >= 0.2, "{work:?}");
    assert!(work.false_stops.is_empty(), "{work:#?}");
    // Arms that went elsewhere than in the recording would have worked in another place.
    assert!(work.deviation_rad < 0.05, "{work:?}");

    // Where two messages of three are lost, commands cease; a count that finds nothing there would find nothing anywhere.
    let broken = Conditions { drops: 0.67, ..Conditions::NOMINAL };
    let work = demo.repeat(&recordings, broken, 0.01, THREADS, seed).unwrap();
    assert_eq!(work.false_stops.len() as u64, work.repetitions, "{work:#?}");
    assert!(work.false_stops.iter().all(|(.., cause)| !cause.is_empty()), "{work:#?}");
}

#[test]
fn somebody_who_passes_slows_the_skill_down_less_than_stops_would() {
    let demo = Demo::load(&repository()).unwrap();
    let recordings = demo.record(0..1).unwrap();
    let graded = demo.throughput(&recordings, Policy::Graded).unwrap();
    let stopped = demo.throughput(&recordings, Policy::StopOnly).unwrap();
    assert_eq!((graded.failed, stopped.failed), (0, 0), "{graded:?} {stopped:?}");
    assert!(graded.passed.slowed > 0 && stopped.passed.slowed > 0, "{graded:?} {stopped:?}");
    assert!(graded.duration_s < stopped.duration_s, "{graded:?} {stopped:?}");
}
