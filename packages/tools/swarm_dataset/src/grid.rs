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

/// Gives every slot its frame; `None` for slots before the first frame. Frames that no slot shows were left out, or lie outside.
/// `captures` are in order.
pub fn assign(grid: &Grid, captures: &[i64]) -> Vec<Option<Shown>> {
    let mut shown = vec![None; grid.slots];
    let mut last: Option<i64> = None;
    for (frame, capture) in captures.iter().enumerate() {
        let place = grid.place(*capture);
        let next = last.map(|last| last + 1);
        let slot = next.filter(|next| (place - *next as f64).abs() <= SLIP).unwrap_or(place.round() as i64);
        if last.is_some_and(|last| slot <= last) {
            continue;
        }
        last = Some(slot);
        if let Some(entry) = usize::try_from(slot).ok().and_then(|slot| shown.get_mut(slot)) {
            *entry = Some(Shown::Fresh(frame));
        }
    }
    let mut before = None;
    for entry in &mut shown {
        match entry {
            Some(fresh) => before = Some(fresh.frame()),
            None => *entry = before.map(Shown::Repeated),
        }
    }
    shown
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
            let shown = assign(&GRID, &camera(30.0, phase, 300));
            assert_eq!(fresh(&shown), (0..300).collect::<Vec<_>>(), "phase {phase}");
        }
    }

    #[test]
    fn a_slow_camera_repeats_one_frame_each_time_it_has_drifted_a_period() {
        let shown = assign(&GRID, &camera(29.7, 0.0, 300));
        let repeated = shown.iter().flatten().filter(|shown| !shown.is_fresh()).count();
        assert_eq!(repeated, 3); // 1 % of 300 slots
        assert!(shown.iter().all(Option::is_some));
    }

    #[test]
    fn a_fast_camera_leaves_one_frame_out_each_time_it_has_drifted_a_period() {
        let shown = assign(&GRID, &camera(30.3, 0.0, 303));
        assert!(shown.iter().flatten().all(|shown| shown.is_fresh()));
        let frames = fresh(&shown);
        let left_out = frames.windows(2).filter(|pair| pair[1] == pair[0] + 2).count();
        assert_eq!((frames.len(), left_out), (300, 3));
    }

    #[test]
    fn jitter_at_a_phase_between_two_slots_makes_no_frame_slip() {
        let mut captures = camera(30.0, 0.5, 300);
        for (frame, capture) in captures.iter_mut().enumerate() {
            *capture += if frame % 2 == 0 { 2_000_000 } else { -2_000_000 };
        }
        let frames = fresh(&assign(&GRID, &captures));
        assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "{frames:?}");
    }

    #[test]
    fn lost_frames_are_repeats_and_those_behind_them_keep_their_time() {
        let mut captures = camera(30.0, 0.0, 300);
        captures.drain(100..105);
        let shown = assign(&GRID, &captures);
        assert_eq!(shown[99..106], {
            let repeat = Some(Shown::Repeated(99));
            [Some(Shown::Fresh(99)), repeat, repeat, repeat, repeat, repeat, Some(Shown::Fresh(100))]
        });
    }

    #[test]
    fn slots_before_the_first_frame_show_nothing_and_frames_before_the_first_slot_are_not_shown() {
        assert_eq!(assign(&GRID, &camera(30.0, 2.0, 10))[..3], [None, None, Some(Shown::Fresh(0))]);
        assert_eq!(assign(&GRID, &camera(30.0, -2.0, 10))[0], Some(Shown::Fresh(2)));
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
            let shown = assign(&GRID, &captures);
            let frames: Vec<usize> = shown.iter().flatten().map(|shown| shown.frame()).collect();
            prop_assert!(frames.is_sorted());
            for (slot, shown) in shown.iter().enumerate() {
                if let Some(Shown::Fresh(frame)) = shown {
                    prop_assert!((GRID.place(captures[*frame]) - slot as f64).abs() <= SLIP + 1e-9);
                }
            }
        }
    }
}
