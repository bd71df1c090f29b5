//! What is kept of what the cell is heard to say.

use nalgebra::Isometry3;
use swarm_base::{Duration, Time};
use swarm_skill_runtime::world::{MOST_PARTS, World};

use crate::common::shipped_robots;

#[test]
fn parts_are_bounded_those_that_are_not_kept_are_counted_and_forgotten_ones_make_room() {
    let mut world = World::new(&shipped_robots());
    let start = Time::from_millis(1_000);
    for number in 0..MOST_PARTS + 10 {
        world.hear_part(&format!("part_{number}"), Isometry3::identity(), start);
    }
    world.hear_part(&"x".repeat(10_000), Isometry3::identity(), start);
    assert_eq!((world.parts().len(), world.parts_refused()), (MOST_PARTS, 11));

    // A part that is known is heard on; one that nobody has seen for long is not kept for ever.
    let later = start + Duration::from_millis(61_000);
    for number in 1..MOST_PARTS {
        world.hear_part(&format!("part_{number}"), Isometry3::translation(0.1, 0.0, 0.0), later);
    }
    world.hear_part("new", Isometry3::identity(), later);
    assert_eq!((world.parts().len(), world.parts_refused()), (MOST_PARTS, 11));
    assert!(world.parts().iter().all(|part| part.at == later));
    assert!(world.parts().iter().any(|part| part.part == "new"));
    assert!(world.parts().iter().all(|part| part.part != "part_0"));
    world.hear_part("another", Isometry3::identity(), later);
    assert_eq!(world.parts_refused(), 12);
}
