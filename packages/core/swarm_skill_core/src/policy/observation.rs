//! Observations with stated times: everything that a network sees together was measured at one instant, or is an error by name.
//!
//! # Vocabulary
//!
//! - *source*: something that is measured, [`InputSource`]; it has its own rate, and its measurements carry their own times.
//! - *step*: one instant of an observation; a policy with a history sees several, `period` apart, the last one at the instant asked for.
//!
//! # The value of a source at an instant `t`
//!
//! 1. The newest measurement at or before `t` must not be older than the input's `max_age`.
//! 2. With a later measurement beside it, the value is between the two: on the straight line, rotations along the shorter arc.
//! 3. Without one it is held as it is.
//! 4. For the earlier steps only: before the first measurement since the observer was made or cleared, it is the first one. So a
//!    history begins with copies of its beginning, as LeRobot's policies begin after a reset.
//!
//! Memory is laid out once, for as many measurements as the declared rate brings in the time that steps and age reach back. A source
//! that is faster than declared loses its oldest ones, and where they are missed that is said.

use std::collections::VecDeque;

use nalgebra::{Quaternion, UnitQuaternion};
use swarm_artifact::{ChunkedEntry, HistoryEntry, InputSource};
use swarm_base::{Duration, Time};

use crate::role_io::RoleInputs;

/// Values of a source at most: seven joints, or a pose.
const MOST: usize = 7;

/// Collects measurements, and makes observations of them.
#[derive(Clone, Debug)]
pub struct Observer {
    /// In the order of the inputs' names.
    inputs: Vec<Input>,
    history: HistoryEntry,
    dof: usize,
}

#[derive(Clone, Debug)]
struct Input {
    name: String,
    max_age: Duration,
    tracks: Vec<Track>,
}

/// The recent measurements of one source, oldest first.
#[derive(Clone, Debug)]
struct Track {
    source: InputSource,
    len: usize,
    samples: VecDeque<(Time, [f64; MOST])>,
    capacity: usize,
    /// Whether measurements have been dropped to make room.
    overflown: bool,
}

/// Why there is no observation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ObservationError {
    #[error("input '{input}' has no {of}: it has not been measured yet")]
    Missing { input: String, of: InputSource },
    #[error(
        "input '{input}': the {of} is {age_ms} ms older than the observation, at most {limit_ms} ms are allowed"
    )]
    TooOld { input: String, of: InputSource, age_ms: u64, limit_ms: u64 },
    #[error(
        "input '{input}': the {of} is measured more often than the declared rate, so that its history is not complete"
    )]
    TooFast { input: String, of: InputSource },
    #[error("input '{input}': value {index} of its {of} is not finite")]
    NotFinite { input: String, of: InputSource, index: usize },
}

impl Observer {
    /// For an arm of so many joints.
    pub fn new(entry: &ChunkedEntry, dof: usize) -> Self {
        let HistoryEntry { steps, period_us } = entry.history;
        let inputs = entry.inputs.iter().map(|(name, input)| {
            let reach_us = u64::from(steps - 1) * u64::from(period_us) + u64::from(input.max_age_us);
            // One on either side, and one for a measurement that comes a little early.
            let capacity = (reach_us as f64 * 1e-6 * input.rate_hz).ceil() as usize + 3;
            let track = |source: &InputSource| Track {
                source: source.clone(),
                len: source_len(source, dof),
                samples: VecDeque::with_capacity(capacity),
                capacity,
                overflown: false,
            };
            Input {
                name: name.clone(),
                max_age: Duration::from_micros(input.max_age_us.into()),
                tracks: input.of.iter().map(track).collect(),
            }
        });
        Self { inputs: inputs.collect(), history: entry.history, dof }
    }

    /// Values of each input, all steps together, in the order of the inputs' names.
    pub fn lens(&self) -> impl Iterator<Item = (&str, usize)> {
        let steps = self.history.steps as usize;
        self.inputs.iter().map(move |input| (input.name.as_str(), steps * input.step_len()))
    }

    /// Takes in what is new. To be called once per tick.
    pub fn see(&mut self, measured: &RoleInputs) {
        let dof = self.dof;
        for track in self.inputs.iter_mut().flat_map(|input| &mut input.tracks) {
            let mut values = [0.0; MOST];
            let at = match &track.source {
                InputSource::JointPosition => {
                    values[..dof].copy_from_slice(&measured.joints.q.as_slice()[..dof]);
                    Some(measured.joints.at)
                }
                InputSource::JointVelocity => {
                    values[..dof].copy_from_slice(&measured.joints.qd.as_slice()[..dof]);
                    Some(measured.joints.at)
                }
                InputSource::Wrench => {
                    values[..6].copy_from_slice(&measured.wrench.flange);
                    Some(measured.wrench.at)
                }
                InputSource::GripperWidth => measured.gripper.map(|gripper| {
                    values[0] = gripper.width_m;
                    gripper.at
                }),
                InputSource::PoseOf(part) => {
                    measured.parts.iter().find(|sighting| sighting.part == *part).map(|sighting| {
                        let turn = sighting.in_world.rotation.into_inner();
                        let side = if turn.w < 0.0 { -1.0 } else { 1.0 };
                        values[..3].copy_from_slice(sighting.in_world.translation.vector.as_slice());
                        values[3..].copy_from_slice((turn * side).coords.as_slice());
                        sighting.at
                    })
                }
            };
            if let Some(at) = at {
                track.push(at, values);
            }
        }
    }

    /// Writes the observation of the instant `at` into `out`, one vector per input: all values of the oldest step first.
    ///
    /// # Panics
    /// If `out` is not laid out as [`Self::lens`] says.
    pub fn observe(&self, at: Time, out: &mut [Vec<f64>]) -> Result<(), ObservationError> {
        let HistoryEntry { steps, period_us } = self.history;
        for (input, out) in self.inputs.iter().zip(out) {
            let mut out = out.as_mut_slice();
            for back in (0..steps).rev() {
                let past = u64::from(back) * u64::from(period_us) * 1_000;
                let instant = Time(at.0.saturating_sub(past));
                for track in &input.tracks {
                    let (values, rest) = out.split_at_mut(track.len);
                    input.write(track, instant, back > 0, values)?;
                    out = rest;
                }
            }
        }
        Ok(())
    }

    /// Forgets everything: the next observation begins a new history.
    pub fn clear(&mut self) {
        for track in self.inputs.iter_mut().flat_map(|input| &mut input.tracks) {
            track.samples.clear();
            track.overflown = false;
        }
    }
}

impl Input {
    fn step_len(&self) -> usize {
        self.tracks.iter().map(|track| track.len).sum()
    }

    fn write(
        &self,
        track: &Track,
        at: Time,
        is_history: bool,
        values: &mut [f64],
    ) -> Result<(), ObservationError> {
        let (input, of) = (|| self.name.clone(), || track.source.clone());
        let later = track.samples.partition_point(|(time, _)| *time <= at);
        let Some(&(before, held)) = later.checked_sub(1).map(|index| &track.samples[index]) else {
            return match track.samples.front() {
                Some((_, first)) if is_history && !track.overflown => {
                    values.copy_from_slice(&first[..track.len]);
                    check(values).map_err(|index| ObservationError::NotFinite {
                        input: input(),
                        of: of(),
                        index,
                    })
                }
                Some(_) if track.overflown => Err(ObservationError::TooFast { input: input(), of: of() }),
                _ => Err(ObservationError::Missing { input: input(), of: of() }),
            };
        };
        let age = at.since(before);
        if age > self.max_age {
            let (age_ms, limit_ms) = (age.as_micros() / 1_000, self.max_age.as_micros() / 1_000);
            return Err(ObservationError::TooOld { input: input(), of: of(), age_ms, limit_ms });
        }
        let value = match track.samples.get(later) {
            Some((after, next)) => {
                track.between(&held, next, age.as_secs_f64() / after.since(before).as_secs_f64())
            }
            None => held,
        };
        values.copy_from_slice(&value[..track.len]);
        check(values).map_err(|index| ObservationError::NotFinite { input: input(), of: of(), index })
    }
}

impl Track {
    fn push(&mut self, at: Time, values: [f64; MOST]) {
        if self.samples.back().is_some_and(|(last, _)| at <= *last) {
            return;
        }
        if self.samples.len() == self.capacity {
            self.samples.pop_front();
            self.overflown = true;
        }
        self.samples.push_back((at, values));
    }

    fn between(&self, from: &[f64; MOST], to: &[f64; MOST], share: f64) -> [f64; MOST] {
        let mut value: [f64; MOST] = std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share);
        if let InputSource::PoseOf(_) = self.source {
            let turn = |values: &[f64; MOST]| {
                UnitQuaternion::from_quaternion(Quaternion::new(values[6], values[3], values[4], values[5]))
            };
            // Half a turn apart there is no shorter arc; the earlier rotation stands then.
            let (from, to) = (turn(from), turn(to));
            let turned = from.try_slerp(&to, share, 1e-9).unwrap_or(from).into_inner();
            let side = if turned.w < 0.0 { -1.0 } else { 1.0 };
            value[3..].copy_from_slice((turned * side).coords.as_slice());
        }
        value
    }
}

/// The first value that is not finite.
fn check(values: &[f64]) -> Result<(), usize> {
    values.iter().position(|value| !value.is_finite()).map_or(Ok(()), Err)
}

/// Values of one step of a source.
pub(super) fn source_len(source: &InputSource, dof: usize) -> usize {
    match source {
        InputSource::JointPosition | InputSource::JointVelocity => dof,
        InputSource::Wrench => 6,
        InputSource::GripperWidth => 1,
        InputSource::PoseOf(_) => 7,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nalgebra::{Isometry3, Translation3};
    use proptest::prelude::*;
    use swarm_artifact::{ActionKind, ChunkEntry, InputEntry, Scaling};
    use swarm_kinematics::JointVector;

    use super::*;
    use crate::role_io::{GripperSample, JointSample, PartSighting, WrenchSample};

    fn entry(inputs: &[(&str, &[InputSource])], steps: u32) -> ChunkedEntry {
        let input = |of: &[InputSource]| InputEntry {
            of: of.to_vec(),
            rate_hz: 100.0,
            max_age_us: 30_000,
            scaling: Scaling::Identity,
        };
        ChunkedEntry {
            statistics: "s.json".parse().unwrap(),
            max_deviation: 5.0,
            inputs: inputs
                .iter()
                .map(|(name, of)| ((*name).to_owned(), input(of)))
                .collect::<BTreeMap<_, _>>(),
            history: HistoryEntry { steps, period_us: 50_000 },
            chunk: ChunkEntry {
                action: ActionKind::JointVelocity,
                gripper: false,
                scaling: Scaling::Identity,
                horizon: 4,
                period_us: 100_000,
                replan_us: 100_000,
                ensemble: 1,
                coefficient: 0.01,
                blend_us: 50_000,
            },
        }
    }

    fn measured(ms: u64, value: f64) -> RoleInputs {
        let at = Time::from_millis(ms);
        RoleInputs {
            joints: JointSample { q: JointVector::repeat(value), qd: JointVector::zeros(), at },
            wrench: WrenchSample { flange: [value; 6], at },
            gripper: Some(GripperSample { width_m: value, force_n: 0.0, holding: false, at }),
            parts: vec![PartSighting {
                part: "peg".into(),
                in_world: Isometry3::from_parts(
                    Translation3::new(value, 0.0, 0.0),
                    UnitQuaternion::from_euler_angles(0.0, 0.0, value),
                ),
                at,
            }],
            words: Vec::new(),
            topics: Vec::new(),
        }
    }

    fn observe(observer: &Observer, ms: u64) -> Result<Vec<Vec<f64>>, String> {
        let mut out: Vec<Vec<f64>> = observer.lens().map(|(_, len)| vec![f64::NAN; len]).collect();
        observer.observe(Time::from_millis(ms), &mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn an_input_is_its_sources_one_after_another_oldest_step_first() {
        let mut observer = Observer::new(
            &entry(&[("state", &[InputSource::JointPosition, InputSource::GripperWidth])], 2),
            2,
        );
        for ms in (0..=100).step_by(10) {
            observer.see(&measured(ms, ms as f64));
        }
        assert_eq!(observer.lens().collect::<Vec<_>>(), [("state", 6)]);
        assert_eq!(observe(&observer, 100).unwrap(), [[50.0, 50.0, 50.0, 100.0, 100.0, 100.0]]);
        let between = observe(&observer, 95).unwrap();
        assert!(
            between[0].iter().zip([45.0, 45.0, 45.0, 95.0, 95.0, 95.0]).all(|(a, b)| (a - b).abs() < 1e-9)
        );
    }

    #[test]
    fn a_pose_is_turned_on_the_way_between_two_sightings() {
        let mut observer = Observer::new(&entry(&[("e", &[InputSource::PoseOf("peg".into())])], 1), 6);
        observer.see(&measured(0, 0.0));
        observer.see(&measured(20, 1.0));
        let seen = observe(&observer, 10).unwrap().remove(0);
        let half = UnitQuaternion::from_euler_angles(0.0, 0.0, 0.5);
        for (found, expected) in seen.iter().zip([0.5, 0.0, 0.0, 0.0, 0.0, half.k, half.w]) {
            assert!((found - expected).abs() < 1e-12, "{seen:?}");
        }
    }

    #[test]
    fn what_is_missing_old_or_no_number_is_named() {
        let parts = InputSource::PoseOf("lid".into());
        let mut observer = Observer::new(&entry(&[("state", &[InputSource::Wrench, parts])], 1), 6);
        assert_eq!(
            observe(&observer, 0).unwrap_err(),
            "input 'state' has no wrench: it has not been measured yet"
        );
        observer.see(&measured(0, 0.0));
        assert_eq!(
            observe(&observer, 10).unwrap_err(),
            "input 'state' has no pose_of lid: it has not been measured yet"
        );
        assert_eq!(
            observe(&observer, 31).unwrap_err(),
            "input 'state': the wrench is 31 ms older than the observation, at most 30 ms are allowed"
        );
        let mut observer = Observer::new(&entry(&[("state", &[InputSource::Wrench])], 1), 6);
        let mut bad = measured(0, 0.0);
        bad.wrench.flange[4] = f64::NAN;
        observer.see(&bad);
        assert_eq!(observe(&observer, 0).unwrap_err(), "input 'state': value 4 of its wrench is not finite");
    }

    #[test]
    fn a_gripper_that_falls_silent_gets_too_old_as_every_source_does() {
        let mut observer = Observer::new(&entry(&[("w", &[InputSource::GripperWidth])], 1), 6);
        let last = measured(100, 7.0);
        for ms in (100..=130).step_by(10) {
            observer.see(&RoleInputs { gripper: last.gripper, ..measured(ms, 7.0) });
            assert_eq!(observe(&observer, ms).unwrap(), [[7.0]], "{ms} ms");
        }
        for ms in (140..240).step_by(10) {
            observer.see(&RoleInputs { gripper: last.gripper, ..measured(ms, 7.0) });
            let error = observe(&observer, ms).unwrap_err();
            let age = ms - 100;
            assert!(error.contains(&format!("the gripper_width is {age} ms older")), "{error}");
        }
    }

    #[test]
    fn a_history_begins_with_copies_of_its_beginning_and_after_a_gap_it_is_none() {
        let mut observer = Observer::new(&entry(&[("w", &[InputSource::GripperWidth])], 3), 6);
        observer.see(&measured(500, 7.0));
        assert_eq!(observe(&observer, 500).unwrap(), [[7.0, 7.0, 7.0]]);
        observer.see(&measured(600, 8.0));
        let error = observe(&observer, 600).unwrap_err();
        assert!(error.contains("the gripper_width is 50 ms older"), "{error}");
        observer.clear();
        observer.see(&measured(610, 9.0));
        assert_eq!(observe(&observer, 610).unwrap(), [[9.0, 9.0, 9.0]]);
    }

    #[test]
    fn a_source_that_is_faster_than_declared_is_named_where_it_matters() {
        let mut observer = Observer::new(&entry(&[("w", &[InputSource::Wrench])], 3), 6);
        for ms in 0..200 {
            observer.see(&measured(ms, ms as f64));
        }
        let error = observe(&observer, 199).unwrap_err();
        assert!(error.contains("measured more often than the declared rate"), "{error}");
    }

    proptest! {
        /// Of a quantity that changes evenly, every step of an observation has the value of its own instant, whatever the times of
        /// the measurements were, as long as they are close enough.
        #[test]
        fn every_step_has_the_value_of_its_instant(gaps in prop::collection::vec(10..30_u64, 12..40), early in 0..9_u64) {
            let mut observer = Observer::new(&entry(&[("q", &[InputSource::JointPosition])], 3), 1);
            let mut ms = 0;
            for gap in gaps {
                ms += gap;
                observer.see(&measured(ms, ms as f64));
            }
            let at = ms - early;
            for (step, value) in observe(&observer, at).unwrap()[0].iter().enumerate() {
                let instant = (at - (2 - step as u64) * 50) as f64;
                prop_assert!((value - instant).abs() < 1e-9, "step {step} of {at} is {value}");
            }
        }
    }
}
