//! Which frames of the cameras belong together, said on `/capture/groups` in their order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swarm_bag::msg::{FrameGroup, Header, Message as _, Time};
use swarm_capture_core::{Group, GroupFrame, GroupSettings, Grouper, HostTime};

use crate::outlets::{Outlet, Outlets};

/// Groups that the residual on the status is the median of.
const RESIDUALS: usize = 60;

/// The groups of all cameras. Their followers hand frames in at the same time.
#[derive(Debug)]
pub struct Groups {
    /// Of the cameras.
    names: Vec<String>,
    outlet: Outlet,
    grouper: Mutex<Grouper>,
    /// Of the last groups, ns. Whoever says groups holds it from taking one to having handed it on: two that did both at once would
    /// say them out of order.
    saying: Mutex<VecDeque<i64>>,
}

impl Groups {
    pub fn new(names: Vec<String>, outlet: Outlet, settings: GroupSettings) -> Self {
        let grouper = Mutex::new(Grouper::new(names.len(), settings));
        Self { names, outlet, grouper, saying: Mutex::default() }
    }

    /// A frame of a camera was stamped; says the groups that it completes.
    pub fn frame(&self, camera: usize, frame: GroupFrame, now: HostTime, outlets: &Outlets) {
        self.grouper().frame(camera, frame, now);
        self.say(outlets);
    }

    /// Time has passed: groups are decided that nothing more comes for.
    pub fn tick(&self, now: HostTime, outlets: &Outlets) {
        self.grouper().tick(now);
        self.say(outlets);
    }

    /// Median of the last groups' residuals, s.
    pub fn residual(&self) -> Option<f64> {
        let mut sorted: Vec<i64> = self.saying().iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|ns| *ns as f64 / 1e9)
    }

    fn say(&self, outlets: &Outlets) {
        let mut residuals = self.saying();
        loop {
            let Some(group) = self.grouper().next() else { return };
            if residuals.len() == RESIDUALS {
                residuals.pop_front();
            }
            residuals.push_back(group.residual_ns);
            if let Err(error) = outlets.say(self.outlet, group.stamp, &self.message(&group)) {
                tracing::error!("a {} cannot be encoded: {error}", FrameGroup::TYPE);
            }
        }
    }

    fn message(&self, group: &Group) -> FrameGroup {
        let members = || {
            let frames = self.names.iter().zip(&group.frames);
            frames.filter_map(|(name, frame)| frame.map(|frame| (name, frame)))
        };
        FrameGroup {
            header: Header { stamp: Time::from_nanos(group.stamp.0), frame_id: String::new() },
            sequence: group.sequence,
            cameras: members().map(|(name, _)| name.clone()).collect(),
            frames: members().map(|(_, frame)| frame.sequence).collect(),
            offsets: members().map(|(_, frame)| (frame.capture.0 - group.stamp.0) as f64 / 1e9).collect(),
            residual: group.residual_ns as f64 / 1e9,
            complete: group.complete,
        }
    }

    fn grouper(&self) -> MutexGuard<'_, Grouper> {
        self.grouper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saying(&self) -> MutexGuard<'_, VecDeque<i64>> {
        self.saying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use swarm_bag::recorder::Share;
    use swarm_bag::ring::RingOptions;
    use swarm_bag::{BagReader, Qos, Topic, WriteOptions, cdr};
    use swarm_capture_core::ClockState;

    use super::*;

    #[test]
    fn groups_are_said_in_their_order_by_however_many_threads() {
        const THREADS: i64 = 4;
        const FRAMES: i64 = 5_000;
        let outlets = Outlets::new(RingOptions::default());
        let topic = Topic::of::<FrameGroup>("/capture/groups", Qos::reliable(100)).unwrap();
        let outlet = outlets.add(topic, Share::State, None).unwrap();
        let groups = Groups::new(vec!["cam1".to_owned()], outlet, GroupSettings::default());
        let begin = HostTime(1_790_000_000_000_000_000);
        let next = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Some(at) = hand_in(&groups, &next, FRAMES, begin) {
                        groups.tick(at, &outlets);
                    }
                });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groups.mcap");
        outlets.snapshot(&path, None, WriteOptions::default()).unwrap();
        let mut bag = BagReader::open(&path).unwrap();
        let said: Vec<u64> =
            bag.by_ref().map(|message| cdr::decode::<FrameGroup>(&message.data).unwrap().sequence).collect();
        assert_eq!(said.len() as u64, FRAMES as u64);
        assert!(said.is_sorted());
    }

    /// Hands the grouper the next frame of the one camera, in the order of time, and leaves it to whoever comes first to say its
    /// group.
    fn hand_in(groups: &Groups, next: &Mutex<i64>, frames: i64, begin: HostTime) -> Option<HostTime> {
        let mut next = next.lock().unwrap();
        (*next < frames).then_some(())?;
        let capture = begin.plus(*next * 33_333_333);
        let frame = GroupFrame { sequence: next.unsigned_abs(), capture, state: ClockState::Locked };
        let now = capture.plus(300_000_000);
        groups.grouper().frame(0, frame, now);
        *next += 1;
        Some(now)
    }
}
