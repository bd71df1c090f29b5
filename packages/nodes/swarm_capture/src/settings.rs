//! The node's parameters, and what they come to: every mistake among them is found before anything starts.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use swarm_bag::recorder::RecorderOptions;
use swarm_bag::ring::RingOptions;
use swarm_bag::video::VideoMessage;
use swarm_bag::{Compression, Split, Storage, WriteOptions};
use swarm_ros::{NodeShell, Parameter, ParameterSpec};

/// One camera, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraSettings {
    /// Name of its topics' namespace.
    pub name: String,
    /// Host name, IP address, device address (`http://...`), or the stream itself (`rtsp://...`).
    pub address: String,
}

impl CameraSettings {
    /// The stream itself is given: ONVIF is not asked.
    pub fn is_stream(&self) -> bool {
        self.address.starts_with("rtsp://")
    }
}

/// How a camera's encoder is set up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Hz; 0 leaves it as it is.
    pub frame_rate: f64,
    /// Pixels; none leaves it as it is.
    pub resolution: Option<(u32, u32)>,
}

/// What the node does.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // switches of the user's
pub struct Settings {
    pub cameras: Vec<CameraSettings>,
    pub video: VideoMessage,
    /// None: cameras are taken as they are.
    pub configure: Option<Wanted>,
    pub ntp_server: String,
    pub credentials_file: Option<PathBuf>,
    pub calibration_file: Option<PathBuf>,
    /// As given; see [`crate::lenses`].
    pub camera_info_urls: Vec<String>,
    pub cell_config: Option<PathBuf>,
    pub gstreamer: bool,
    pub udp: bool,
    pub raw_images: bool,
    /// Where to record from the start; empty: when `/capture/start` is called. Bags that nobody names are put beside it.
    pub output_bag: String,
    /// As given; empty: those of the cell.
    pub topics: Vec<String>,
    pub group_tolerance: Duration,
    pub recorder: RecorderOptions,
    pub ring: RingOptions,
    pub progress: bool,
}

/// The declared parameters; [`Declared::settings`] reads them once all are checked.
#[derive(Debug)]
pub struct Declared {
    camera_ips: Parameter<Vec<String>>,
    camera_names: Parameter<Vec<String>>,
    video_message: Parameter<String>,
    configure_cameras: Parameter<bool>,
    frame_rate: Parameter<f64>,
    resolution: Parameter<String>,
    ntp_server: Parameter<String>,
    credentials_file: Parameter<String>,
    calibration_file: Parameter<String>,
    camera_info_urls: Parameter<Vec<String>>,
    cell_config: Parameter<String>,
    backend: Parameter<String>,
    transport: Parameter<String>,
    raw_images: Parameter<bool>,
    output_bag: Parameter<String>,
    topics: Parameter<Vec<String>>,
    group_tolerance_ms: Parameter<f64>,
    compress: Parameter<bool>,
    max_file_mb: Parameter<i64>,
    sync_every_ms: Parameter<i64>,
    queue_mb: Parameter<i64>,
    reserve_mb: Parameter<i64>,
    snapshot_seconds: Parameter<f64>,
    snapshot_max_mb: Parameter<i64>,
    progress: Parameter<bool>,
}

impl Declared {
    /// Declares all of them.
    pub fn declare(shell: &NodeShell) -> Self {
        let text = |name, default: &str, about| {
            ParameterSpec::<String>::new(name, default).describe(about).read_only()
        };
        let number = |name, default, range, about| {
            shell.declare(ParameterSpec::<i64>::new(name, default).describe(about).range(range).read_only())
        };
        let real = |name, default, range, about| {
            shell.declare(ParameterSpec::<f64>::new(name, default).describe(about).range(range).read_only())
        };
        let flag = |name, default, about| {
            shell.declare(ParameterSpec::<bool>::new(name, default).describe(about).read_only())
        };
        let list = |name, about| {
            shell.declare(ParameterSpec::<Vec<String>>::new(name, Vec::new()).describe(about).read_only())
        };
        Self {
            camera_ips: list(
                "camera_ips",
                "Cameras: IP address or host name, perhaps with a port; an ONVIF device address; or an rtsp:// address, for which ONVIF is not asked",
            ),
            camera_names: list("camera_names", "Name of each camera, of its topics and its frame; empty: cam1, cam2, ..."),
            video_message: shell.declare(
                text("video_message", "compressed_video", "Message that coded frames are published and recorded as")
                    .one_of(&["compressed_video", "compressed_image", "ffmpeg_packet"]),
            ),
            configure_cameras: flag(
                "configure_cameras",
                true,
                "Set the encoders up for recording (a key frame at least once a second, no B-frames) and read back what they took",
            ),
            frame_rate: real("frame_rate", 0.0, 0.0..=240.0, "Frames a second that encoders are asked for, Hz; 0 leaves them as they are"),
            resolution: shell.declare(
                text("resolution", "", "Resolution that encoders are asked for, as in 1920x1080; empty leaves it as it is")
                    .validate("WIDTHxHEIGHT or empty", |text| resolution(text).map(|_| ())),
            ),
            ntp_server: shell.declare(text("ntp_server", "", "NTP server that cameras are pointed at; empty leaves them alone")),
            credentials_file: shell.declare(text(
                "credentials_file",
                "",
                "File with names and passwords of cameras; empty: SWARM_CAMERA_USER and SWARM_CAMERA_PASSWORD from the environment",
            )),
            calibration_file: shell.declare(text(
                "calibration_file",
                "",
                "Constant latency of each camera by serial number, as `cell calibrate-cameras` writes it; empty: none is taken off",
            )),
            camera_info_urls: list(
                "camera_info_urls",
                "Calibration of each camera's lens in ROS' format (camera_matrix, ...): file:///..., package://... or a path; one for each, or one with ${NAME}; empty: not calibrated",
            ),
            cell_config: shell.declare(text(
                "cell_config",
                "",
                "The cell's declaration: topics of its robots are recorded too; empty: none",
            )),
            backend: shell.declare(
                text("backend", "retina", "Who speaks RTSP: retina, or gstreamer where the node was built with it")
                    .one_of(&["retina", "gstreamer"]),
            ),
            transport: shell.declare(
                text("transport", "tcp", "How video comes: inside of the RTSP connection, or (gstreamer only) in datagrams")
                    .one_of(&["tcp", "udp"]),
            ),
            raw_images: flag(
                "raw_images",
                true,
                "Offer decoded pictures on /<camera>/image; they are decoded only while somebody subscribes, and need a build with gstreamer",
            ),
            output_bag: shell.declare(text(
                "output_bag",
                "",
                "Bag that is begun at activation: X.db3 or X.mcap is that one file, another name rosbag2's directory; empty: /capture/start begins one",
            )),
            topics: list(
                "topics",
                "Topics recorded beside the cameras, as \"/name\" or \"/name package/msg/Type\"; empty: those of the cell",
            ),
            group_tolerance_ms: real(
                "group_tolerance_ms",
                0.0,
                0.0..=1000.0,
                "Frames further apart than this do not make a group, ms; 0: 20 ms, for cameras of 25 Hz and more",
            ),
            compress: flag("compress", false, "Compress all but video in .mcap bags with zstd"),
            max_file_mb: number(
                "max_file_mb",
                0,
                0..=1_000_000,
                "A bag that is a directory begins its next file after this many MB; 0: never",
            ),
            sync_every_ms: number(
                "sync_every_ms",
                250,
                20..=10_000,
                "How much of a recording a power cut may take, ms",
            ),
            queue_mb: number("queue_mb", 64, 8..=4096, "Most that waits for a slow disk, MB; what is more is dropped and counted"),
            reserve_mb: number("reserve_mb", 512, 1..=1_000_000, "A recording ends in peace when less than this is free on its disk, MB"),
            snapshot_seconds: real("snapshot.seconds", 30.0, 0.0..=600.0, "How far back /capture/snapshot reaches, s; 0: no snapshots"),
            snapshot_max_mb: number("snapshot.max_mb", 256, 8..=16_384, "Most that is kept for snapshots, MB"),
            progress: flag("progress", true, "Show progress on a terminal"),
        }
    }

    /// What they come to, or every contradiction between them.
    pub fn settings(&self) -> Result<Settings, Mistakes> {
        let mut mistakes = Vec::new();
        let cameras = cameras(&self.camera_ips.get(), &self.camera_names.get(), &mut mistakes);
        let (gstreamer, udp) = (self.backend.get() == "gstreamer", self.transport.get() == "udp");
        if udp && !gstreamer {
            mistakes.push(
                "transport is udp, which needs backend: gstreamer (retina drops what comes out of order)"
                    .to_owned(),
            );
        }
        let output_bag = self.output_bag.get();
        let split =
            Split { size: (self.max_file_mb.get() > 0).then(|| mega(&self.max_file_mb)), duration: None };
        if split.size.is_some() && [".db3", ".mcap"].iter().any(|end| output_bag.ends_with(end)) {
            mistakes.push(format!(
                "max_file_mb is {} and output_bag is the one file '{output_bag}'; a bag in several files is a directory: leave its extension off",
                self.max_file_mb.get()
            ));
        }
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        let bag = WriteOptions {
            storage: Storage::Mcap,
            compression: if self.compress.get() { Compression::Zstd } else { Compression::None },
            split,
            sync_every: Duration::from_millis(self.sync_every_ms.get().unsigned_abs()),
            ..WriteOptions::default()
        };
        let recorder = RecorderOptions {
            bag,
            queue_bytes: mega(&self.queue_mb) as usize,
            disk_reserve: mega(&self.reserve_mb),
            ..RecorderOptions::default()
        };
        let ring = RingOptions {
            span: Duration::from_secs_f64(self.snapshot_seconds.get()),
            bytes: mega(&self.snapshot_max_mb) as usize,
        };
        let wanted = Wanted {
            frame_rate: self.frame_rate.get(),
            resolution: resolution(&self.resolution.get()).unwrap_or_default(),
        };
        let file = |parameter: &Parameter<String>| {
            Some(parameter.get()).filter(|path| !path.is_empty()).map(PathBuf::from)
        };
        Ok(Settings {
            cameras,
            video: match self.video_message.get().as_str() {
                "compressed_image" => VideoMessage::CompressedImage,
                "ffmpeg_packet" => VideoMessage::FfmpegPacket,
                _ => VideoMessage::CompressedVideo,
            },
            configure: self.configure_cameras.get().then_some(wanted),
            ntp_server: self.ntp_server.get(),
            credentials_file: file(&self.credentials_file),
            calibration_file: file(&self.calibration_file),
            camera_info_urls: self.camera_info_urls.get(),
            cell_config: file(&self.cell_config),
            gstreamer,
            udp,
            raw_images: self.raw_images.get(),
            output_bag,
            topics: self.topics.get(),
            group_tolerance: Duration::from_secs_f64(self.group_tolerance_ms.get() / 1e3),
            recorder,
            ring,
            progress: self.progress.get(),
        })
    }
}

/// Parameters that are right by themselves and not together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of the parameters cannot be used:\n  {}", .0.len(), .0.join("\n  "))]
pub struct Mistakes(pub Vec<String>);

/// Pairs addresses with names.
pub fn cameras(addresses: &[String], names: &[String], mistakes: &mut Vec<String>) -> Vec<CameraSettings> {
    if !names.is_empty() && names.len() != addresses.len() {
        mistakes.push(format!(
            "camera_names has {} names for {} addresses in camera_ips; give one for each, or none",
            names.len(),
            addresses.len()
        ));
    }
    let cameras: Vec<CameraSettings> = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| CameraSettings {
            name: names.get(index).cloned().unwrap_or_else(|| format!("cam{}", index + 1)),
            address: address.trim().to_owned(),
        })
        .collect();
    let (mut seen_names, mut seen_addresses) = (BTreeSet::new(), BTreeSet::new());
    for camera in &cameras {
        let CameraSettings { name, address } = camera;
        let in_topics = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(in_topics) {
            mistakes.push(format!(
                "camera_names: '{name}' cannot be part of a topic's name; expected letters, digits and _, a letter first"
            ));
        }
        if address.is_empty() || address.contains(char::is_whitespace) {
            mistakes.push(format!("camera_ips: '{address}' of {name} is no address"));
        }
        if address.contains('@') {
            mistakes.push(format!(
                "camera_ips: the address of {name} holds a name or password, which everybody can read there; \
                 give credentials_file, or SWARM_CAMERA_USER and SWARM_CAMERA_PASSWORD"
            ));
        }
        if !seen_names.insert(name) {
            mistakes.push(format!("camera_names: '{name}' is there twice"));
        }
        if !seen_addresses.insert(address) {
            mistakes.push(format!(
                "camera_ips: '{address}' is there twice; two streams of one camera need rtsp:// addresses"
            ));
        }
    }
    cameras
}

/// `1920x1080`; nothing for an empty text.
fn resolution(text: &str) -> Result<Option<(u32, u32)>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    match sides {
        Some((width, height)) if (16..=16_384).contains(&width) && (16..=16_384).contains(&height) => {
            Ok(Some((width, height)))
        }
        _ => Err(format!("'{text}' is no resolution; expected as in 1920x1080")),
    }
}

/// A parameter in MB; its range leaves no negative value.
fn mega(parameter: &Parameter<i64>) -> u64 {
    parameter.get().unsigned_abs() * 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn cameras_without_names_are_numbered() {
        let mut mistakes = Vec::new();
        let found = cameras(&strings(&["192.168.1.101", "rtsp://192.168.1.102/a"]), &[], &mut mistakes);
        assert_eq!(mistakes, Vec::<String>::new());
        let names: Vec<&str> = found.iter().map(|camera| camera.name.as_str()).collect();
        assert_eq!(names, ["cam1", "cam2"]);
        assert_eq!(found.iter().map(CameraSettings::is_stream).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn every_mistake_among_the_cameras_is_told() {
        let mut mistakes = Vec::new();
        let addresses = strings(&["10.0.0.1", "10.0.0.1", "rtsp://me:secret@10.0.0.2/x", " "]);
        cameras(&addresses, &strings(&["left", "left", "2nd"]), &mut mistakes);
        let told = mistakes.join("\n");
        for expected in [
            "camera_names has 3 names for 4 addresses",
            "'left' is there twice",
            "'10.0.0.1' is there twice",
            "'2nd' cannot be part of a topic's name",
            "the address of 2nd holds a name or password",
            "camera_ips: '' of cam4 is no address",
        ] {
            assert!(told.contains(expected), "{expected} in:\n{told}");
        }
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn a_resolution_is_two_numbers() {
        assert_eq!(resolution("1920x1080"), Ok(Some((1920, 1080))));
        assert_eq!(resolution(""), Ok(None));
        for wrong in ["1920", "1920x", "0x0", "axb", "1x1"] {
            assert_eq!(
                resolution(wrong),
                Err(format!("'{wrong}' is no resolution; expected as in 1920x1080"))
            );
        }
    }
}
