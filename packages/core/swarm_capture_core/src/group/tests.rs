//! Promises of the grouper.

use proptest::prelude::*;

use super::*;

const MS: i64 = 1_000_000;

fn frame(sequence: u64, capture_ns: i64) -> GroupFrame {
    GroupFrame { sequence, capture: HostTime(capture_ns), state: ClockState::Locked }
}

/// Hands everything over in the order of `arrival`: (arrival, camera, frame).
fn run(grouper: &mut Grouper, mut arrivals: Vec<(i64, usize, GroupFrame)>) -> Vec<Group> {
    arrivals.sort_by_key(|(at, camera, _)| (*at, *camera));
    for (at, camera, frame) in arrivals {
        grouper.frame(camera, frame, HostTime(at));
    }
    grouper.decide_all();
    std::iter::from_fn(|| grouper.next()).collect()
}

/// A camera of `period` ns whose frames arrive `latency` after capture.
fn camera(index: usize, phase: i64, period: i64, latency: i64, count: u64) -> Vec<(i64, usize, GroupFrame)> {
    (0..count)
        .map(|k| {
            let capture = 1_000_000 * MS + phase + k.cast_signed() * period;
            (capture + latency, index, frame(k, capture))
        })
        .collect()
}

fn sequences(group: &Group) -> Vec<Option<u64>> {
    group.frames.iter().map(|frame| frame.map(|frame| frame.sequence)).collect()
}

fn balanced(grouper: &Grouper) {
    let counts = grouper.counts();
    assert_eq!(counts.frames, counts.grouped + counts.alone + counts.late, "{counts:?}");
}

#[test]
fn frames_of_one_moment_are_together_whatever_they_took_to_arrive() {
    let mut grouper = Grouper::new(3, GroupSettings::default());
    let mut arrivals = camera(0, 0, 33 * MS, 10 * MS, 100);
    arrivals.extend(camera(1, 2 * MS, 33 * MS, 120 * MS, 100));
    arrivals.extend(camera(2, -3 * MS, 33 * MS, 40 * MS, 100));
    let groups = run(&mut grouper, arrivals);
    assert_eq!(groups.len(), 100);
    // The first groups were decided before camera 1 was heard of.
    for (k, group) in groups.iter().enumerate().skip(10) {
        assert_eq!(sequences(group), [Some(k as u64); 3]);
        assert_eq!((group.residual_ns, group.complete), (5 * MS, true));
        assert_eq!(group.stamp.0, 1_000_000 * MS + k.cast_signed() as i64 * 33 * MS - MS / 2);
        assert_eq!(group.sequence, k as u64);
    }
    balanced(&grouper);
}

#[test]
fn near_half_a_period_the_nearer_frame_is_taken_and_not_the_first_that_fits() {
    let mut grouper = Grouper::new(2, GroupSettings::default());
    let mut arrivals = camera(0, 0, 33 * MS, 10 * MS, 50);
    arrivals.extend(camera(1, -15 * MS, 33 * MS, 10 * MS, 50));
    let groups = run(&mut grouper, arrivals);
    for (k, group) in groups.iter().enumerate() {
        assert_eq!(sequences(group), [Some(k as u64); 2]);
        assert_eq!(group.residual_ns, 15 * MS);
    }
}

#[test]
fn a_faster_camera_gives_its_nearest_frames_and_the_others_are_counted() {
    let mut grouper = Grouper::new(2, GroupSettings::default());
    let mut arrivals = camera(0, 4 * MS, 10 * MS, 5 * MS, 300);
    arrivals.extend(camera(1, 0, 40 * MS, 5 * MS, 75));
    let groups = run(&mut grouper, arrivals);
    let settled = &groups[groups.len() - 50..];
    assert!(settled.iter().all(|group| group.residual_ns <= 6 * MS && group.complete), "{settled:?}");
    assert!(groups.len() <= 80, "groups go at the pace of the slower camera: {}", groups.len());
    balanced(&grouper);
}

#[test]
fn a_missing_camera_holds_nothing_up_for_longer_than_the_wait() {
    let settings = GroupSettings::default();
    let mut grouper = Grouper::new(2, settings);
    let mut arrivals = camera(0, 0, 33 * MS, 10 * MS, 200);
    arrivals.extend(camera(1, 0, 33 * MS, 10 * MS, 50)); // lost after 50 frames
    arrivals.sort_by_key(|(at, camera, _)| (*at, *camera));
    let mut oldest_waiting = 0;
    for (at, camera, frame) in arrivals {
        grouper.frame(camera, frame, HostTime(at));
        while let Some(group) = grouper.next() {
            oldest_waiting = oldest_waiting.max(at - group.stamp.0);
            let silent = group.stamp.0 - (1_000_000 * MS + 49 * 33 * MS) > settings.silent_ns;
            if silent {
                assert!(group.complete, "a camera that does not stream is not missed");
            }
        }
    }
    assert!(oldest_waiting <= settings.wait_ns + 33 * MS, "{oldest_waiting}");
    grouper.decide_all();
    assert_eq!(grouper.counts().groups, 200);
    balanced(&grouper);
}

#[test]
fn a_frame_that_comes_after_its_group_is_late_and_changes_nothing() {
    let mut grouper = Grouper::new(2, GroupSettings::default());
    let mut arrivals = camera(0, 0, 33 * MS, 10 * MS, 60);
    arrivals.extend(camera(1, 0, 33 * MS, 10 * MS, 60));
    for (at, camera, frame) in &mut arrivals {
        if *camera == 1 && frame.sequence == 30 {
            *at += 800 * MS;
        }
    }
    // It also holds up those behind it, as TCP does.
    for (at, camera, frame) in &mut arrivals {
        if *camera == 1 && frame.sequence > 30 {
            *at = (*at).max(1_000_000 * MS + 30 * 33 * MS + 810 * MS);
        }
    }
    let groups = run(&mut grouper, arrivals);
    assert!(grouper.counts().late > 0);
    assert!(groups.iter().all(|group| group.residual_ns == 0));
    balanced(&grouper);
}

#[test]
fn a_camera_by_arrival_is_grouped_marked_and_never_the_pace() {
    let mut grouper = Grouper::new(2, GroupSettings::default());
    let mut arrivals = camera(0, 0, 40 * MS, 10 * MS, 60);
    for (_, _, frame) in &mut arrivals {
        frame.state = ClockState::ArrivalOnly;
    }
    arrivals.extend(camera(1, 5 * MS, 33 * MS, 10 * MS, 70));
    let groups = run(&mut grouper, arrivals);
    let with_both = groups.iter().filter(|group| group.frames.iter().all(Option::is_some));
    assert!(with_both.clone().count() > 40);
    assert!(with_both.clone().all(|group| group.weakest == ClockState::ArrivalOnly));
    assert!(groups.iter().skip(2).all(|group| group.frames[1].is_some()), "the locked camera is the pace");
    balanced(&grouper);
}

#[test]
fn memory_is_bounded_when_stamps_lie_in_the_future() {
    let settings = GroupSettings { frames: 8, ..GroupSettings::default() };
    let mut grouper = Grouper::new(2, settings);
    for k in 0..1_000 {
        grouper.frame(
            0,
            frame(k, 3_600_000 * MS + k.cast_signed() * 33 * MS),
            HostTime(k.cast_signed() * 33 * MS),
        );
        assert!(grouper.cameras.iter().all(|camera| camera.waiting.len() <= 8));
    }
    grouper.decide_all();
    balanced(&grouper);
}

#[test]
fn when_the_clock_is_set_back_groups_go_on() {
    let mut grouper = Grouper::new(2, GroupSettings::default());
    let mut arrivals = camera(0, 0, 33 * MS, 10 * MS, 50);
    arrivals.extend(camera(1, 0, 33 * MS, 10 * MS, 50));
    run(&mut grouper, arrivals);
    let back = 3_600_000 * MS;
    let mut arrivals = camera(0, -back, 33 * MS, 10 * MS, 50);
    arrivals.extend(camera(1, -back, 33 * MS, 10 * MS, 50));
    let groups = run(&mut grouper, arrivals);
    assert!(groups.len() >= 49, "{}", groups.len());
    assert!(groups.iter().filter(|group| group.frames.iter().all(Option::is_some)).count() >= 48);
    balanced(&grouper);
}

/// The greatest sum of gains of all ways to match, by trying them all.
fn best_by_trying(pace: &[i64], own: &[i64], tolerance: i64) -> i64 {
    let Some((first, rest)) = pace.split_first() else { return 0 };
    let alone = best_by_trying(rest, own, tolerance);
    (0..own.len())
        .filter(|j| (first - own[*j]).abs() <= tolerance)
        .map(|j| {
            let mut others = own.to_vec();
            let gain = tolerance - (first - others.remove(j)).abs();
            gain + best_by_trying(rest, &others, tolerance)
        })
        .fold(alone, i64::max)
}

/// The same sum, with the matches that the grouper takes one after the other.
fn taken(pace: &[i64], own: &[i64], tolerance: i64) -> i64 {
    let times = |list: &[i64]| list.iter().map(|ns| HostTime(*ns)).collect::<Vec<_>>();
    let (mut pace, mut own, mut sum) = (times(pace), times(own), 0);
    while !pace.is_empty() {
        let matched = best_match_of_first(&pace, &own, tolerance);
        let first = pace.remove(0);
        if let Some(j) = matched {
            sum += tolerance - (first.0 - own[j].0).abs();
            own.drain(..=j);
        }
    }
    sum
}

fn ascending(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::btree_set(0_i64..120, count).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #[test]
    fn no_other_matching_is_better(pace in ascending(0..7), own in ascending(0..7), tolerance in 0_i64..40) {
        prop_assert_eq!(taken(&pace, &own, tolerance), best_by_trying(&pace, &own, tolerance));
    }

    /// One to one, in the order of time, within the tolerance, and every frame accounted for.
    #[test]
    fn groups_are_sound_whatever_comes(
        frames in proptest::collection::vec((0..4_usize, -50_i64..50, 0_i64..200), 0..300),
    ) {
        let settings = GroupSettings { frames: 16, ..GroupSettings::default() };
        let mut grouper = Grouper::new(4, settings);
        let mut arrivals = Vec::new();
        let mut next = [0_u64; 4];
        let mut newest = [0_i64; 4];
        for (k, (camera, off, latency)) in frames.into_iter().enumerate() {
            let capture = (1_000_000 * MS + k.cast_signed() as i64 * 9 * MS + off * MS / 5).max(newest[camera] + 1);
            newest[camera] = capture;
            arrivals.push((capture + latency * MS, camera, frame(next[camera], capture)));
            next[camera] += 1;
        }
        let groups = run(&mut grouper, arrivals);
        let mut seen = std::collections::BTreeSet::new();
        for group in &groups {
            prop_assert!(group.residual_ns <= 2 * settings.tolerance_ns);
            for (camera, frame) in group.frames.iter().enumerate() {
                if let Some(frame) = frame {
                    prop_assert!(seen.insert((camera, frame.sequence)), "a frame in two groups");
                }
            }
        }
        let counts = grouper.counts();
        prop_assert_eq!(counts.frames, counts.grouped + counts.alone + counts.late);
        prop_assert_eq!(counts.grouped as usize, seen.len());
    }
}
