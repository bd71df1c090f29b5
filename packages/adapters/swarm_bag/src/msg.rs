//! The messages of the suite that go into bags, as plain structs: the fields of the `.msg` file, in its order.
//!
//! A further message is a struct with serde's derives and [`Message`]; its definition goes into
//! [`Definitions`](crate::Definitions). Only the order of the fields counts, and that their types have the same width.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A ROS message.
pub trait Message: Serialize + DeserializeOwned {
    /// Full name, `package/msg/Name`.
    const TYPE: &'static str;
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $type:literal { $($field:ident: $of:ty),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name { $(pub $field: $of),+ }

        impl Message for $name {
            const TYPE: &'static str = $type;
        }
    )+

        /// Name and JSON of an empty message of each type.
        #[cfg(test)]
        fn all_empty() -> Vec<(&'static str, String)> {
            vec![$(($type, serde_json::to_string(&$name::default()).unwrap())),+]
        }
    };
}

messages! {
    /// Nanoseconds since the epoch, in two parts; see [`Time::from_nanos`].
    Time = "builtin_interfaces/msg/Time" { sec: i32, nanosec: u32 }
    Header = "std_msgs/msg/Header" { stamp: Time, frame_id: String }
    Bool = "std_msgs/msg/Bool" { data: bool }
    MultiArrayDimension = "std_msgs/msg/MultiArrayDimension" { label: String, size: u32, stride: u32 }
    MultiArrayLayout = "std_msgs/msg/MultiArrayLayout" { dim: Vec<MultiArrayDimension>, data_offset: u32 }
    Float64MultiArray = "std_msgs/msg/Float64MultiArray" { layout: MultiArrayLayout, data: Vec<f64> }
    Vector3 = "geometry_msgs/msg/Vector3" { x: f64, y: f64, z: f64 }
    /// Force in N, torque in N m.
    Wrench = "geometry_msgs/msg/Wrench" { force: Vector3, torque: Vector3 }
    WrenchStamped = "geometry_msgs/msg/WrenchStamped" { header: Header, wrench: Wrench }
    /// Positions in rad, velocities in rad/s, efforts in N m; a quantity that is not known is left empty.
    JointState = "sensor_msgs/msg/JointState" {
        header: Header, name: Vec<String>, position: Vec<f64>, velocity: Vec<f64>, effort: Vec<f64>,
    }
    /// See `msg/swarm_msgs/msg/RobotSafety.msg`, as for those below.
    RobotSafety = "swarm_msgs/msg/RobotSafety" {
        robot: String, speed_scale: f64, tcp_speed: f64, tcp_speed_limit: f64, elbow_speed: f64, elbow_speed_limit: f64,
        momentum: f64, momentum_limit: f64, power: f64, power_limit: f64, contact_force: f64, contact_force_limit: f64,
        separation: f64, separation_limit: f64, self_separation: f64, fixture_separation: f64, human_separation: f64,
        joint_velocity_ratio: f64, input_age: f64, stop_ineffective: bool,
    }
    SafetyStatus = "swarm_msgs/msg/SafetyStatus" {
        header: Header, state: u8, cause: String, detail: String, robot: String, joint: String, value: f64, limit: f64,
        skill: String, artifact: String, trace_id: String, epoch: u64, reset_epoch: u64, cycle: u64, cause_cycle: u64,
        real_time: bool, degraded: bool, robots: Vec<RobotSafety>,
    }
    Permit = "swarm_msgs/msg/Permit" {
        header: Header, epoch: u64, sequence: u64, robots: Vec<String>, speed_scale: Vec<f64>,
    }
    GripperCommand = "swarm_msgs/msg/GripperCommand" {
        header: Header, robot: String, width: f64, force: f64, artifact: String, epoch: u64, sequence: u64,
    }
    /// The distance within which nobody is, m, from a zone whose name is the frame.
    Range = "sensor_msgs/msg/Range" {
        header: Header, radiation_type: u8, field_of_view: f32, min_range: f32, max_range: f32, range: f32, variance: f32,
    }
    JointCommand = "swarm_msgs/msg/JointCommand" {
        header: Header, robot: String, joint_names: Vec<String>, velocity: Vec<f64>, skill: String, artifact: String,
        role: String, trace_id: String, epoch: u64, sequence: u64,
    }
    /// `std_msgs/msg/String`, as of /robot_description.
    Text = "std_msgs/msg/String" { data: String }
    Quaternion = "geometry_msgs/msg/Quaternion" { x: f64, y: f64, z: f64, w: f64 }
    /// Translation in m.
    Transform = "geometry_msgs/msg/Transform" { translation: Vector3, rotation: Quaternion }
    TransformStamped = "geometry_msgs/msg/TransformStamped" { header: Header, child_frame_id: String, transform: Transform }
    TfMessage = "tf2_msgs/msg/TFMessage" { transforms: Vec<TransformStamped> }
    /// In pixels.
    RegionOfInterest = "sensor_msgs/msg/RegionOfInterest" {
        x_offset: u32, y_offset: u32, height: u32, width: u32, do_rectify: bool,
    }
    CameraInfo = "sensor_msgs/msg/CameraInfo" {
        header: Header, height: u32, width: u32, distortion_model: String, d: Vec<f64>, k: [f64; 9], r: [f64; 9],
        p: [f64; 12], binning_x: u32, binning_y: u32, roi: RegionOfInterest,
    }
    /// Coded pictures are better made and read through [`video`](crate::video), which does not go byte by byte.
    CompressedImage = "sensor_msgs/msg/CompressedImage" { header: Header, format: String, data: Vec<u8> }
    CompressedVideo = "foxglove_msgs/msg/CompressedVideo" {
        timestamp: Time, frame_id: String, data: Vec<u8>, format: String,
    }
    FfmpegPacket = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket" {
        header: Header, width: i32, height: i32, encoding: String, pts: u64, flags: u8, is_bigendian: bool, data: Vec<u8>,
    }
    FrameTiming = "swarm_msgs/msg/FrameTiming" {
        header: Header, arrival: Time, rtp_timestamp: u32, sequence: u64, lost_packets: u32, lost_frames: u32,
        key_frame: bool, size: u32, clock_state: u8, clock_offset: f64, clock_drift: f64, residual: f64, report_age: f64,
        bias: f64, uncertainty: f64, base: u32,
    }
    FrameGroup = "swarm_msgs/msg/FrameGroup" {
        header: Header, sequence: u64, cameras: Vec<String>, frames: Vec<u64>, offsets: Vec<f64>, residual: f64,
        complete: bool,
    }
    RecordingLoss = "swarm_msgs/msg/RecordingLoss" {
        topic: String, received: u64, recorded: u64, dropped_queue: u64, dropped_disk: u64, lost_network: u64,
    }
    CameraStatus = "swarm_msgs/msg/CameraStatus" {
        camera: String, address: String, serial_number: String, state: u8, detail: String, codec: String, width: u32,
        height: u32, frame_rate: f64, bit_rate: f64, frames: u64, lost_frames: u64, lost_packets: u64, reconnects: u32,
        clock_state: u8, clock_offset: f64, clock_drift: f64, residual: f64,
    }
    CaptureStatus = "swarm_msgs/msg/CaptureStatus" {
        header: Header, recording: bool, output_bag: String, duration: f64, bytes: u64, disk_free: u64, disk_left: f64,
        sync_residual: f64, cameras: Vec<CameraStatus>, topics: Vec<RecordingLoss>,
    }
}

impl Time {
    /// From nanoseconds since the epoch; what a message cannot hold (before 1970, after 2038) becomes the nearest it can.
    pub fn from_nanos(nanos: i64) -> Self {
        let nanos = nanos.max(0);
        i32::try_from(nanos / 1_000_000_000).map_or(Self { sec: i32::MAX, nanosec: 999_999_999 }, |sec| {
            Self { sec, nanosec: u32::try_from(nanos % 1_000_000_000).unwrap_or_default() }
        })
    }

    /// Nanoseconds since the epoch.
    pub fn nanos(&self) -> i64 {
        i64::from(self.sec) * 1_000_000_000 + i64::from(self.nanosec)
    }
}

impl Float64MultiArray {
    /// A plain list, as ros2_control's forward_command_controller takes it.
    pub fn list(data: Vec<f64>) -> Self {
        Self { layout: MultiArrayLayout::default(), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definitions;

    #[test]
    fn every_struct_has_the_fields_of_its_definition_in_their_order() {
        for (name, json) in all_empty() {
            assert_eq!(json, Definitions::suite().empty_as_json(name), "{name}");
        }
    }
}
