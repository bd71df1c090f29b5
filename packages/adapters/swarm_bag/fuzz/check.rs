//! What must hold for every input of the readers. Used by the fuzz targets and by `tests/fuzz_corpus.rs`.
#![allow(dead_code)] // each fuzz target uses one of them

use swarm_bag::check::{CheckOptions, check};
use swarm_bag::msg::{
    CameraInfo, CaptureStatus, CompressedVideo, FfmpegPacket, FrameGroup, FrameTiming, JointState, Message,
    RecordingLoss, SafetyStatus, TfMessage,
};
use swarm_bag::video::{VideoMessage, is_key_frame};
use swarm_bag::{BagReader, Cut, Filter, Listing, Profiles, WriteOptions, cdr, cut};

/// A storage file, `.mcap` or `.db3`: it opens or is refused; what opens gives the same messages twice, and a part of it is a
/// bag that opens.
pub(crate) fn bag(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).expect("it can be written");
    let Ok(mut bag) = BagReader::open(&path) else { return };
    let topics = bag.topics().len();
    let mut read = || {
        bag.rewind(&Filter::default());
        let (mut count, mut size, mut last, mut in_order) = (0_u64, 0_usize, i64::MIN, true);
        for message in bag.by_ref() {
            assert!(message.topic < topics, "topic {} of {topics}", message.topic);
            in_order &= message.stamp.received >= last;
            (count, size, last) = (count + 1, size + message.data.len(), message.stamp.received);
        }
        (count, size, in_order)
    };
    let found = read();
    assert_eq!(read(), found);
    let report = check(&mut bag, CheckOptions::default());
    let sum: u64 = report.topics.iter().map(|topic| topic.messages).sum();
    assert_eq!(sum, found.0);
    // An index that tells wrong times cannot be helped, but it does not go unseen.
    assert!(found.2 || !report.is_good());
    for problem in &report.problems {
        assert!(!problem.to_string().is_empty());
    }
    let middle = bag.metadata().span().first.saturating_add(1);
    let out = folder.path().join("part.mcap");
    let wanted = Cut { from: Some(middle), ..Cut::default() };
    if cut(&mut bag, &wanted, &out, WriteOptions::default()).is_ok() {
        let part = BagReader::open(&out).expect("what we write opens");
        assert!(part.metadata().span().count <= found.0);
        assert_eq!(part.damage(), [""; 0]);
    }
}

/// A metadata.yaml: a listing or an error that says something.
pub(crate) fn metadata(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Listing::parse(text) {
        Ok(listing) => {
            for topic in &listing.topics {
                let _ = topic.qos.to_yaml();
                assert!(!topic.qos.to_string().is_empty());
            }
        }
        Err(error) => assert!(!error.is_empty()),
    }
    let _ = Profiles::parse(text);
}

/// A message: decoded or refused, as each type; what is decoded is no larger than what it came from allows.
pub(crate) fn message(bytes: &[u8]) {
    decode::<JointState>(bytes);
    decode::<SafetyStatus>(bytes);
    decode::<CameraInfo>(bytes);
    decode::<TfMessage>(bytes);
    decode::<FrameTiming>(bytes);
    decode::<FrameGroup>(bytes);
    decode::<CaptureStatus>(bytes);
    decode::<RecordingLoss>(bytes);
    decode::<CompressedVideo>(bytes);
    decode::<FfmpegPacket>(bytes);
    for video in [VideoMessage::CompressedVideo, VideoMessage::CompressedImage, VideoMessage::FfmpegPacket] {
        if let Ok(picture) = video.decode(bytes) {
            assert!(picture.data.len() <= bytes.len());
        }
    }
    let _ = (is_key_frame("h264", bytes), is_key_frame("h265", bytes));
}

fn decode<M: Message>(bytes: &[u8]) {
    if let Ok(message) = cdr::decode::<M>(bytes) {
        let again = cdr::encode(&message).expect("what was decoded can be encoded");
        // What a message holds was in the bytes. Only a text without its final zero grows: an empty one from 4 bytes to 8.
        assert!(again.len() <= 2 * bytes.len() + 8, "{} of {} bytes", again.len(), bytes.len());
    }
}
