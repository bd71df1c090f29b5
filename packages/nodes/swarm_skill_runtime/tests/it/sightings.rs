//! What is kept of the parts that cameras see.

use nalgebra::Isometry3;
use swarm_base::{Duration, Time};
use swarm_safety_core::ingest::Stamp;
use swarm_skill_core::PartSighting;
use swarm_skill_runtime::sightings::{Dropped, MOST_PARTS, Sightings};

/// ROS' clock when the monotonic one begins, ns.
const BEGIN_NS: u64 = 1_795_000_000_000_000_000;

/// Of an image that was taken and arrives at these times, ms.
fn stamp(taken: u64, arrives: u64) -> Stamp {
    let ros = |ms: u64| BEGIN_NS + ms * 1_000_000;
    Stamp { sent_ns: ros(taken), received_ns: ros(arrives), arrival: Time::from_millis(arrives) }
}

fn hear(sightings: &mut Sightings, part: &str, x: f64, stamp: &Stamp) {
    sightings.hear(part, Isometry3::translation(x, 0.0, 0.0), stamp);
}

fn only(sightings: &Sightings) -> (f64, Time) {
    let [PartSighting { in_world, at, .. }] = sightings.latest() else { panic!("{sightings:?}") };
    (in_world.translation.x, *at)
}

#[test]
fn a_sighting_is_as_old_as_its_image() {
    let mut sightings = Sightings::default();
    hear(&mut sightings, "peg", 0.1, &stamp(1_000, 1_200));
    assert_eq!(only(&sightings), (0.1, Time::from_millis(1_000)));
    // A clock that is a little ahead does not make an image younger than its message.
    hear(&mut sightings, "peg", 0.2, &stamp(1_310, 1_300));
    assert_eq!(only(&sightings), (0.2, Time::from_millis(1_300)));
    assert_eq!(sightings.dropped(), Dropped::default());
}

#[test]
fn an_image_is_one_sighting_however_often_it_is_told() {
    let mut sightings = Sightings::default();
    hear(&mut sightings, "peg", 0.1, &stamp(1_000, 1_050));
    hear(&mut sightings, "peg", 0.2, &stamp(1_000, 1_080));
    assert_eq!(only(&sightings), (0.1, Time::from_millis(1_000)));
    assert_eq!(sightings.dropped(), Dropped { repeated: 1, ..Dropped::default() });
}

#[test]
fn images_that_are_older_or_from_the_future_are_dropped_and_counted() {
    let mut sightings = Sightings::default();
    hear(&mut sightings, "peg", 0.1, &stamp(1_000, 1_050));
    hear(&mut sightings, "peg", 0.2, &stamp(990, 1_080));
    hear(&mut sightings, "peg", 0.3, &stamp(1_200, 1_100));
    assert_eq!(only(&sightings), (0.1, Time::from_millis(1_000)));
    assert_eq!(sightings.dropped(), Dropped { misstamped: 2, ..Dropped::default() });
    // Another camera may be slower with what it sees.
    hear(&mut sightings, "lid", 0.4, &stamp(990, 1_120));
    assert_eq!(sightings.latest().len(), 2);
}

#[test]
fn a_camera_whose_clock_was_put_back_is_believed_again_after_a_while() {
    let mut sightings = Sightings::default();
    hear(&mut sightings, "peg", 0.1, &stamp(100_000, 100_050));
    hear(&mut sightings, "peg", 0.2, &stamp(90_000, 100_100));
    assert_eq!(only(&sightings).0, 0.1);
    hear(&mut sightings, "peg", 0.3, &stamp(95_000, 161_000));
    assert_eq!(only(&sightings), (0.3, Time::from_millis(151_000)));
}

#[test]
fn parts_are_bounded_those_that_are_not_kept_are_counted_and_forgotten_ones_make_room() {
    let mut sightings = Sightings::default();
    let start = stamp(1_000, 1_000);
    for number in 0..MOST_PARTS + 10 {
        hear(&mut sightings, &format!("part_{number}"), 0.0, &start);
    }
    hear(&mut sightings, &"x".repeat(10_000), 0.0, &start);
    assert_eq!((sightings.latest().len(), sightings.dropped().refused), (MOST_PARTS, 11));

    // A part that is known is heard on; one that nobody has seen for long is not kept for ever.
    let later = stamp(62_000, 62_000);
    for number in 1..MOST_PARTS {
        hear(&mut sightings, &format!("part_{number}"), 0.1, &later);
    }
    hear(&mut sightings, "new", 0.0, &later);
    assert_eq!((sightings.latest().len(), sightings.dropped().refused), (MOST_PARTS, 11));
    let latest = sightings.latest();
    assert!(latest.iter().all(|part| part.at == Time::ZERO + Duration::from_millis(62_000)));
    assert!(latest.iter().any(|part| part.part == "new"));
    assert!(latest.iter().all(|part| part.part != "part_0"));
    hear(&mut sightings, "another", 0.0, &later);
    assert_eq!(sightings.dropped().refused, 12);
}
