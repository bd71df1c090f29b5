//! Which frame of a camera is shown in which slot of the grid.
//!
//! Vocabulary
//! - *slot*: moment k / fps of an episode, counted from its start.
//! - *slip*: a frame takes another slot than the one after its predecessor's, because the camera's rate is not quite the grid's,
//!   or because frames are missing.
//!
//! A camera that runs at the grid's rate puts frame after frame into slot after slot. It slips only once a frame is
//! [`SLIP`] periods off, and not at half a period: beyond half, a camera whose phase lies between two slots would jump to and
//! fro with every little jitter, and each jump leaves a frame out or shows one twice. How far off each frame is goes into the
//! dataset, so nothing is hidden by that.
//!
//! A slow camera slips by a slot that shows a frame once more, which is possible anywhere. A fast one slips by leaving a frame out,
//! and nothing may build upon that frame if it stays as it is coded. So a fast camera slips just before a key frame, where
//! the last frames of a group are needed by none; until then its frames get ahead of their slots.

/// How far off a frame may be before it slips, periods. One slip moves it by a whole period, to 0.4 on the other side.
pub const SLIP: f64 = 0.6;

/// The slots of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Of slot 0, nanoseconds since the epoch.
    pub start: i64,
    pub fps: u32,
    pub slots: usize,
}

impl Grid {
    /// When slot `k` is, nanoseconds since the epoch; exact to half a nanosecond for any k.
    pub fn time(&self, slot: usize) -> i64 {
        let nanos = (slot as i128 * 1_000_000_000 * 2 + i128::from(self.fps)) / (i128::from(self.fps) * 2);
        self.start + i64::try_from(nanos).unwrap_or(i64::MAX)
    }

    /// Where a moment lies, in slots.
    fn place(&self, time: i64) -> f64 {
        (time - self.start) as f64 * f64::from(self.fps) / 1e9
    }
}

/// What a slot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A frame of the slot's own.
    Fresh(usize),
    /// The frame of an earlier slot once more.
    Repeated(usize),
}

impl Shown {
    /// Index of the frame.
    pub fn frame(self) -> usize {
        match self {
            Self::Fresh(frame) | Self::Repeated(frame) => frame,
        }
    }

    pub fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh(_))
    }
}

/// A frame, as far as its slot goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// When it was captured, or when its group was; nanoseconds since the epoch.
    pub moment: i64,
    pub needed: Needed,
}

/// Who builds upon a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Nobody: it can be left out.
    Never,
    /// The frames up to the next key frame.
    InGroup,
    /// As before, and it is a key frame itself: those before it are needed no more.
    Key,
}

/// Gives every slot its frame; `None` for slots before the first frame. Frames that no slot shows were left out, or lie outside.
/// Moments are in order.
pub fn assign(grid: &Grid, frames: &[Candidate]) -> Vec<Option<Shown>> {
    // Slots and frames, both rising; slots may lie outside of the grid.
    let mut taken: Vec<(i64, usize)> = Vec::new();
    // How many frames at the end of `taken` could be left out if a key frame came now.
    let mut loose = 0;
    for (number, frame) in frames.iter().enumerate() {
        let place = grid.place(frame.moment);
        let mut next = taken.last().map_or(place.round() as i64, |(slot, _)| slot + 1);
        if place > next as f64 + SLIP {
            next = place.round() as i64;
        }
        if place < next as f64 - SLIP {
            match frame.needed {
                Needed::Never => continue,
                Needed::InGroup => {}
                Needed::Key => {
                    while place < next as f64 - SLIP && loose > 0 {
                        taken.pop();
                        loose -= 1;
                        next = taken.last().map_or(place.round() as i64, |(slot, _)| slot + 1);
                    }
                    // Where more than one frame went, there may be room again.
                    next = next.max(place.round() as i64);
                }
            }
        }
        // Of a group only its key frame must stay.
        loose = if frame.needed == Needed::Key { 0 } else { loose + 1 };
        taken.push((next, number));
    }
    let mut shown = vec![None; grid.slots];
    let mut before = None;
    let mut frames = taken.into_iter().peekable();
    for (slot, entry) in (0i64..).zip(&mut shown) {
        while frames.next_if(|(at, _)| *at < slot).is_some() {}
        if let Some((_, frame)) = frames.next_if(|(at, _)| *at == slot) {
            before = Some(frame);
            *entry = Some(Shown::Fresh(frame));
        } else {
            *entry = before.map(Shown::Repeated);
        }
    }
    shown
}

/// How far a slot's own frame is off, periods.
pub fn error(grid: &Grid, slot: usize, capture: i64) -> f64 {
    grid.place(capture) - slot as f64
}

/// Rate of a camera's frames, Hz: the middle of the steps between them, which a few lost frames do not move.
pub fn rate(captures: &[i64]) -> Option<f64> {
    let mut steps: Vec<i64> = captures.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    let middle = *steps.get(steps.len() / 2)?;
    (middle > 0).then(|| 1e9 / middle as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRID: Grid = Grid { start: 1_000_000_000_000, fps: 30, slots: 300 };

    /// Frames at `rate` with a phase in periods of the grid.
    fn camera(rate: f64, phase: f64, count: usize) -> Vec<i64> {
        let time = |frame: usize| (frame as f64 / rate + phase / f64::from(GRID.fps)) * 1e9;
        (0..count).map(|frame| GRID.start + time(frame) as i64).collect()
    }

    /// Of groups of 30.
    fn coded(captures: &[i64]) -> Vec<Candidate> {
        let needed = |number: usize| if number.is_multiple_of(30) { Needed::Key } else { Needed::InGroup };
        captures
            .iter()
            .enumerate()
            .map(|(number, capture)| Candidate { moment: *capture, needed: needed(number) })
            .collect()
    }

    fn loose(captures: &[i64]) -> Vec<Candidate> {
        captures.iter().map(|capture| Candidate { moment: *capture, needed: Needed::Never }).collect()
    }

    fn fresh(shown: &[Option<Shown>]) -> Vec<usize> {
        shown.iter().flatten().filter(|shown| shown.is_fresh()).map(|shown| shown.frame()).collect()
    }

    #[test]
    fn slots_lie_exactly_on_k_over_fps_after_a_day() {
        let day = 24 * 3600 * 30;
        assert_eq!(GRID.time(day) - GRID.start, 24 * 3600 * 1_000_000_000);
        assert_eq!(GRID.time(day + 1) - GRID.time(day), 33_333_333);
        assert_eq!(GRID.time(2) - GRID.start, 66_666_667);
    }

    #[test]
    fn a_camera_at_the_grids_rate_fills_slot_after_slot_whatever_its_phase() {
        for phase in [-0.5, -0.3, 0.0, 0.3, 0.49] {
            let shown = assign(&GRID, &coded(&camera(30.0, phase, 300)));
            assert_eq!(fresh(&shown), (0..300).collect::<Vec<_>>(), "phase {phase}");
        }
    }

    #[test]
    fn a_slow_camera_repeats_one_frame_each_time_it_has_drifted_a_period() {
        let shown = assign(&GRID, &coded(&camera(29.7, 0.0, 300)));
        let repeated = shown.iter().flatten().filter(|shown| !shown.is_fresh()).count();
        assert_eq!(repeated, 3); // 1 % of 300 slots
        assert!(shown.iter().all(Option::is_some));
    }

    #[test]
    fn a_fast_camera_leaves_one_frame_out_each_time_it_has_drifted_a_period() {
        let captures = camera(30.3, 0.0, 303);
        for (frames, last_of_group) in [(coded(&captures), true), (loose(&captures), false)] {
            let shown = assign(&GRID, &frames);
            assert!(shown.iter().flatten().all(|shown| shown.is_fresh()));
            let frames = fresh(&shown);
            let left_out: Vec<usize> =
                frames.windows(2).filter(|pair| pair[1] == pair[0] + 2).map(|pair| pair[0] + 1).collect();
            assert_eq!((frames.len(), left_out.len()), (300, 3));
            assert_eq!(left_out.iter().all(|frame| frame % 30 == 29), last_of_group, "{left_out:?}");
        }
    }

    #[test]
    fn a_fast_camera_with_long_groups_gets_ahead_until_a_key_frame_and_then_leaves_all_of_that_out() {
        let mut frames = coded(&camera(31.0, 0.0, 310));
        for frame in &mut frames[1..200] {
            frame.needed = Needed::InGroup;
        }
        frames[200].needed = Needed::Key;
        let shown = assign(&GRID, &frames);
        let errors: Vec<f64> = (0..GRID.slots)
            .filter_map(|slot| Some(error(&GRID, slot, frames[shown[slot]?.frame()].moment)))
            .collect();
        assert!(errors[150] < -4.0, "{}", errors[150]);
        let key = shown.iter().position(|shown| *shown == Some(Shown::Fresh(200))).unwrap();
        assert!(errors[key].abs() <= SLIP, "{}", errors[key]);
    }

    #[test]
    fn jitter_at_a_phase_between_two_slots_makes_no_frame_slip() {
        let mut captures = camera(30.0, 0.5, 300);
        for (frame, capture) in captures.iter_mut().enumerate() {
            *capture += if frame % 2 == 0 { 2_000_000 } else { -2_000_000 };
        }
        let frames = fresh(&assign(&GRID, &coded(&captures)));
        assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "{frames:?}");
    }

    #[test]
    fn lost_frames_are_repeats_and_those_behind_them_keep_their_time() {
        let mut captures = camera(30.0, 0.0, 300);
        captures.drain(100..105);
        let shown = assign(&GRID, &coded(&captures));
        assert_eq!(shown[99..106], {
            let repeat = Some(Shown::Repeated(99));
            [Some(Shown::Fresh(99)), repeat, repeat, repeat, repeat, repeat, Some(Shown::Fresh(100))]
        });
    }

    #[test]
    fn slots_before_the_first_frame_show_nothing_and_frames_before_the_first_slot_are_not_shown() {
        assert_eq!(assign(&GRID, &coded(&camera(30.0, 2.0, 10)))[..3], [None, None, Some(Shown::Fresh(0))]);
        assert_eq!(assign(&GRID, &coded(&camera(30.0, -2.0, 10)))[0], Some(Shown::Fresh(2)));
    }

    #[test]
    fn the_rate_is_that_between_frames_whatever_is_missing() {
        let mut captures = camera(25.0, 0.0, 100);
        captures.drain(10..40);
        assert!((rate(&captures).unwrap() - 25.0).abs() < 1e-6);
        assert_eq!(rate(&captures[..1]), None);
        assert_eq!(rate(&[5, 5, 5]), None);
    }

    proptest! {
        #[test]
        fn every_slot_shows_a_frame_that_is_not_older_than_that_of_the_slot_before(
            steps in proptest::collection::vec(0i64..80_000_000, 0..400), start in -2_000_000_000i64..2_000_000_000
        ) {
            let captures: Vec<i64> = steps.iter().scan(GRID.start + start, |time, step| {
                *time += step;
                Some(*time)
            }).collect();
            for candidates in [coded(&captures), loose(&captures)] {
                let shown = assign(&GRID, &candidates);
                let frames: Vec<usize> = shown.iter().flatten().map(|shown| shown.frame()).collect();
                prop_assert!(frames.is_sorted());
            }
            for (slot, shown) in assign(&GRID, &loose(&captures)).iter().enumerate() {
                if let Some(Shown::Fresh(frame)) = shown {
                    prop_assert!((GRID.place(captures[*frame]) - slot as f64).abs() <= SLIP + 1e-9);
                }
            }
        }
    }
}
