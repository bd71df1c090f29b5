//! What the cameras of a node share, and the messages that are made of their frames.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use swarm_bag::msg::{CameraInfo, FrameGroup, FrameTiming, Header, Time};
use swarm_bag::recorder::Share;
use swarm_bag::video::Picture;
use swarm_bag::{Definitions, Kind, Qos, Topic};
use swarm_capture_core::calibrate::Biases;
use swarm_capture_core::{
    ClockState, Codec, FrameCounts, GroupFrame, GroupSettings, HostTime, Lens, StampedFrame, Stream, Timing,
    WrongSize,
};
use swarm_onvif::Keyring;
use swarm_ros::{NodeShell, qos};

use crate::groups::Groups;
use crate::now;
use crate::outlets::{Outlet, Outlets};
use crate::session::Session;
use crate::settings::{CameraSettings, Settings};

/// QoS of video and its timing: as sensors publish, with a backlog of a second.
const VIDEO_DEPTH: u32 = 30;

/// How a camera is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CameraState {
    #[default]
    Connecting = 0,
    Streaming = 1,
    Lost = 2,
    Refused = 3,
}

/// What is known of a camera, for status and diagnostics.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub state: CameraState,
    pub detail: String,
    pub serial: String,
    pub stream: Option<Stream>,
    pub counts: FrameCounts,
    pub bytes: u64,
    pub reconnects: u32,
    pub timing: Option<Timing>,
    /// Of a camera whose lens is calibrated, whether that holds for what it streams.
    pub lens: Option<Result<(), WrongSize>>,
}

/// One camera, with its topics.
#[derive(Debug)]
pub struct Desk {
    pub settings: CameraSettings,
    frame_id: String,
    lens: Option<Lens>,
    video: Outlet,
    timing: Outlet,
    info: Outlet,
    #[cfg(feature = "gstreamer")]
    images: Option<crate::images::Images>,
    view: Mutex<View>,
}

impl Desk {
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames that had no picture because the computer was too slow.
    pub fn pictures_dropped(&self) -> u64 {
        #[cfg(feature = "gstreamer")]
        return self.images.as_ref().map_or(0, crate::images::Images::dropped);
        #[cfg(not(feature = "gstreamer"))]
        0
    }

    /// The camera streams this from here on. A calibration of another size is never used.
    pub fn set_stream(&self, stream: Stream) {
        let lens = self.lens.as_ref().map(|lens| lens.fits(stream.width, stream.height));
        let mut view = self.view();
        (view.stream, view.lens) = (Some(stream), lens);
        drop(view);
        if let Some(Err(wrong)) = lens {
            let name = &self.settings.name;
            tracing::warn!("{name}: {wrong}; until then its camera_info says that it is not calibrated");
        }
    }

    /// Where it is, in words.
    pub fn set_state(&self, state: CameraState, detail: impl Into<String>) {
        let mut view = self.view();
        view.state = state;
        view.detail = detail.into();
    }
}

/// What has been measured of the cameras beforehand.
#[derive(Debug, Default)]
pub struct Calibration {
    pub biases: Option<Biases>,
    /// Of each camera, in their order.
    pub lenses: Vec<Option<Lens>>,
}

/// Shared by the followers and the node.
#[derive(Debug)]
pub struct Studio {
    pub settings: Settings,
    pub keyring: Keyring,
    pub biases: Option<Biases>,
    pub outlets: Arc<Outlets>,
    pub session: Session,
    pub desks: Vec<Desk>,
    groups: Groups,
}

impl Studio {
    /// Makes the topics of all cameras.
    pub fn open(
        shell: &mut NodeShell,
        settings: Settings,
        keyring: Keyring,
        Calibration { biases, lenses }: Calibration,
        outlets: Arc<Outlets>,
        session: Session,
    ) -> anyhow::Result<Self> {
        let mut desks = Vec::new();
        let lenses = lenses.into_iter().chain(std::iter::repeat(None));
        for (camera, lens) in settings.cameras.iter().zip(lenses) {
            let name = &camera.name;
            let mut make = |topic: &str, type_name: &str, share| {
                let topic =
                    Topic::new(topic, type_name, Qos::best_effort(VIDEO_DEPTH), &Definitions::suite())
                        .map_err(anyhow::Error::from)?;
                let profile =
                    r2r::QosProfile::default().best_effort().volatile().keep_last(VIDEO_DEPTH as usize);
                publish(shell, &outlets, topic, profile, share)
            };
            let video = make(&format!("/{name}/video"), settings.video.type_name(), Share::Bulk)?;
            let timing = make(&format!("/{name}/timing"), "swarm_msgs/msg/FrameTiming", Share::State)?;
            let info = make(&format!("/{name}/camera_info"), "sensor_msgs/msg/CameraInfo", Share::State)?;
            let frame_id = format!("{name}_optical");
            #[cfg(feature = "gstreamer")]
            let images = if settings.raw_images {
                Some(crate::images::Images::start(shell, name, &frame_id)?)
            } else {
                None
            };
            desks.push(Desk {
                settings: camera.clone(),
                frame_id,
                lens,
                video,
                timing,
                info,
                #[cfg(feature = "gstreamer")]
                images,
                view: Mutex::default(),
            });
        }
        let topic = Topic::of::<FrameGroup>("/capture/groups", Qos::reliable(100))?;
        let groups = publish(shell, &outlets, topic, qos::EVENTS, Share::State)?;
        let tolerance = i64::try_from(settings.group_tolerance.as_nanos()).unwrap_or(0);
        let defaults = GroupSettings::default();
        let grouping = GroupSettings {
            tolerance_ns: if tolerance > 0 { tolerance } else { defaults.tolerance_ns },
            ..defaults
        };
        let names = desks.iter().map(|desk| desk.settings.name.clone()).collect();
        let groups = Groups::new(names, groups, grouping);
        Ok(Self { settings, keyring, biases, outlets, session, desks, groups })
    }

    /// Cameras that stream now.
    pub fn streaming(&self) -> usize {
        self.desks.iter().filter(|desk| desk.view().state == CameraState::Streaming).count()
    }

    /// Hands on one frame of camera `index`.
    pub fn frame(&self, index: usize, stream: Stream, frame: &StampedFrame<Bytes>) {
        let desk = &self.desks[index];
        if frame.lost_frames > 0 {
            self.outlets.lost(desk.video, u64::from(frame.lost_frames));
        }
        let picture = Picture {
            captured: frame.capture.0,
            frame_id: &desk.frame_id,
            format: match stream.codec {
                Codec::H264 => "h264",
                Codec::H265 => "h265",
                Codec::Mjpeg => "jpeg",
            },
            width: stream.width,
            height: stream.height,
            pts: u64::from(frame.head.rtp),
            key_frame: frame.head.key,
            data: &frame.payload,
        };
        let kind = if frame.head.key { Kind::KeyFrame } else { Kind::DeltaFrame };
        match self.settings.video.encode(&picture) {
            Ok(bytes) => self.outlets.give(desk.video, frame.capture, bytes.into(), kind),
            Err(error) => tracing::error!("a frame of {} cannot be encoded: {error}", desk.settings.name),
        }
        let header = || Header { stamp: Time::from_nanos(frame.capture.0), frame_id: desk.frame_id.clone() };
        self.say(desk.timing, frame.capture, &timing(frame, header()));
        self.say(desk.info, frame.capture, &camera_info(stream, desk.lens.as_ref(), header()));
        #[cfg(feature = "gstreamer")]
        if let Some(images) = &desk.images {
            images.offer(crate::camera::rtsp_codec(stream.codec), frame);
        }
        {
            let mut view = desk.view();
            view.bytes += u64::from(frame.head.size);
            view.timing = Some(frame.timing);
        }
        let grouped =
            GroupFrame { sequence: frame.sequence, capture: frame.capture, state: frame.timing.state };
        self.groups.frame(index, grouped, now(), &self.outlets);
    }

    /// Time has passed: groups are decided that nothing more comes for.
    pub fn tick(&self) {
        self.groups.tick(now(), &self.outlets);
    }

    /// Median of the last groups' residuals, s.
    pub fn residual(&self) -> Option<f64> {
        self.groups.residual()
    }

    fn say<M: swarm_bag::msg::Message>(&self, outlet: Outlet, captured: HostTime, message: &M) {
        if let Err(error) = self.outlets.say(outlet, captured, message) {
            tracing::error!("a {} cannot be encoded: {error}", M::TYPE);
        }
    }
}

/// A topic that this node publishes, and keeps and records.
pub fn publish(
    shell: &mut NodeShell,
    outlets: &Outlets,
    topic: Topic,
    profile: r2r::QosProfile,
    share: Share,
) -> anyhow::Result<Outlet> {
    let publisher =
        shell.node().create_publisher_untyped(&topic.name, &topic.type_name, profile).map_err(|error| {
            anyhow::anyhow!("cannot create the publisher of '{}' ({}): {error}", topic.name, topic.type_name)
        })?;
    Ok(outlets.add(topic, share, Some(publisher))?)
}

fn timing(frame: &StampedFrame<Bytes>, header: Header) -> FrameTiming {
    let Timing {
        state, offset_ns, drift_ppm, residual_ns, report_age_ns, uncertainty_ns, bias_ns, base, ..
    } = frame.timing;
    let seconds = |ns: Option<i64>| ns.map_or(0.0, |ns| ns as f64 / 1e9);
    FrameTiming {
        header,
        arrival: Time::from_nanos(frame.head.arrival.0),
        rtp_timestamp: frame.head.rtp,
        sequence: frame.sequence,
        lost_packets: frame.head.lost_packets,
        lost_frames: frame.lost_frames,
        key_frame: frame.head.key,
        size: frame.head.size,
        clock_state: state as u8,
        clock_offset: seconds(offset_ns),
        clock_drift: drift_ppm.unwrap_or(0.0),
        residual: residual_ns.unwrap_or(0.0) / 1e9,
        report_age: seconds(report_age_ns),
        bias: bias_ns as f64 / 1e9,
        uncertainty: uncertainty_ns / 1e9,
        base,
    }
}

/// Of a camera whose lens nobody has calibrated at this size: size alone, `k[0]` = 0 (sensor_msgs/CameraInfo).
fn camera_info(stream: Stream, lens: Option<&Lens>, header: Header) -> CameraInfo {
    let Stream { width, height, .. } = stream;
    let plain = CameraInfo { header, width, height, ..CameraInfo::default() };
    match lens.filter(|lens| lens.fits(width, height).is_ok()) {
        None => plain,
        Some(lens) => CameraInfo {
            distortion_model: lens.model.name().to_owned(),
            d: lens.d.clone(),
            k: lens.k,
            r: lens.r,
            p: lens.p,
            ..plain
        },
    }
}

/// Number of the state in the messages.
pub fn clock_state(timing: Option<&Timing>) -> ClockState {
    timing.map_or(ClockState::ArrivalOnly, |timing| timing.state)
}
