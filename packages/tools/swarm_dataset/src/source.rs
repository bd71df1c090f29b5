//! The coded frames of an episode, out of its bag once more.

use std::collections::BTreeMap;

use swarm_bag::video::VideoMessage;
use swarm_bag::{BagReader, Filter};

use crate::error::ExportError;
use crate::plan::{CameraPlan, Episode, Plan};

/// Gives every frame of these cameras to `take`, each camera's in order: which camera, which of its frames, its bytes.
/// A bag that is not as it was when the plan was made is an error.
pub(crate) fn coded_frames(
    plan: &Plan,
    episode: &Episode,
    cameras: &[&CameraPlan],
    mut take: impl FnMut(usize, usize, &[u8]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let path = &plan.bags[episode.bag].path;
    let changed = |problem: String| ExportError::BagChanged { bag: path.clone(), problem };
    let mut bag = BagReader::open(path)?;
    let received = || cameras.iter().flat_map(|camera| &camera.frames).map(|frame| frame.received);
    bag.rewind(&Filter {
        topics: Some(cameras.iter().map(|camera| camera.topic.clone()).collect()),
        from: received().min(),
        until: received().max().map(|last| last.saturating_add(1)),
    });
    let by_topic: BTreeMap<&str, usize> =
        (0..).zip(cameras).map(|(at, camera)| (camera.topic.as_str(), at)).collect();
    let topics: Vec<Option<(usize, VideoMessage)>> = bag
        .topics()
        .iter()
        .map(|topic| by_topic.get(topic.name.as_str()).copied().zip(VideoMessage::of_type(&topic.type_name)))
        .collect();
    let mut next = vec![0; cameras.len()];
    for message in bag {
        let Some((at, kind)) = topics[message.topic] else { continue };
        let (topic, number) = (&cameras[at].topic, next[at]);
        let Some(expected) = cameras[at].frames.get(number) else { continue };
        if message.stamp.received < expected.received {
            continue;
        }
        let video = kind.decode(&message.data).map_err(|error| changed(format!("{topic}: {error}")))?;
        if video.captured != expected.capture && message.stamp.received == expected.received {
            continue; // another frame that came at the same moment
        }
        if (video.captured, video.data.len()) != (expected.capture, expected.size) {
            let time = expected.capture;
            return Err(changed(format!("{topic}: frame {number}, captured at {time} ns, is not there")));
        }
        take(at, number, video.data)?;
        next[at] += 1;
    }
    match cameras.iter().zip(&next).find(|(camera, next)| **next < camera.frames.len()) {
        Some((camera, next)) => {
            Err(changed(format!("{}: {next} of {} frames are there", camera.topic, camera.frames.len())))
        }
        None => Ok(()),
    }
}
