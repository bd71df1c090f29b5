//! What is shown while the node runs: its parameters, its diagnostics, and the cameras whose pictures pass through.

use std::net::IpAddr;

use r2r::sensor_msgs::msg::CompressedImage;
use swarm_ros::stamp::to_nanos;
use swarm_ros::{Level, NodeShell, Parameter, ParameterSpec, Report, ShellError, qos};

use crate::live::{Live, Ports};

/// The parameters of what is shown, see [`Ports`].
pub(super) struct ViewParameters {
    address: Parameter<String>,
    groot: Parameter<i64>,
    foxglove: Parameter<i64>,
    metrics: Parameter<i64>,
    cameras: Parameter<Vec<String>>,
}

impl ViewParameters {
    pub(super) fn declare(shell: &NodeShell) -> Self {
        let address = shell.declare(
            ParameterSpec::<String>::new("view.address", "127.0.0.1")
                .describe(
                    "Address that the view servers listen on. None of them asks who is there: on another address than 127.0.0.1 \
                     everybody in its network sees the cell",
                )
                .validate("an IP address", |text: &String| {
                    text.parse::<IpAddr>().map(|_| ()).map_err(|_| format!("'{text}' is no IP address"))
                })
                .read_only(),
        );
        let cameras = shell.declare(
            ParameterSpec::<Vec<String>>::new("view.cameras", Vec::new())
                .describe("Topics of sensor_msgs/CompressedImage whose pictures are shown in Foxglove too")
                .read_only(),
        );
        let port = |name: &str, text: &str| {
            let spec = ParameterSpec::<i64>::new(name, 0).describe(text).range(0..=65_531).read_only();
            shell.declare(spec)
        };
        Self {
            groot: port(
                "view.groot_port",
                "Groot2 and btview see the leader's tree here, the follower's at +2, the spotter's at +4; 0 = off",
            ),
            foxglove: port("view.foxglove_port", "WebSocket of Foxglove and `cell watch`; 0 = off"),
            metrics: port("view.metrics_port", "Prometheus reads http://.../metrics here; 0 = off"),
            cameras,
            address,
        }
    }

    pub(super) fn ports(&self) -> Ports {
        // Address and range have been checked by now.
        let port = |parameter: &Parameter<i64>| parameter.get() as u16;
        Ports {
            address: self.address.get().parse().unwrap_or(Ports::default().address),
            groot: port(&self.groot),
            foxglove: port(&self.foxglove),
            metrics: port(&self.metrics),
        }
    }

    /// Topics of the cameras whose pictures are shown.
    pub(super) fn cameras(&self) -> Vec<String> {
        self.cameras.get()
    }
}

/// Says in `/diagnostics` which views are missing, and why.
pub(super) fn report(shell: &NodeShell, live: &Live) {
    let missing = live.missing().join("; ");
    shell.diagnostics().add("view", move || match missing.as_str() {
        "" => Report::ok("served"),
        missing => Report::new(Level::Warn, missing),
    });
}

/// Lets the pictures of the cameras that were named pass through.
pub(super) fn show_cameras(shell: &mut NodeShell, topics: &[String], live: &Live) -> Result<(), ShellError> {
    for (topic, camera) in topics.iter().zip(live.cameras().to_vec()) {
        shell.subscribe::<CompressedImage>(topic, qos::SENSOR, move |message| {
            let header = &message.header;
            camera.show(to_nanos(&header.stamp), &header.frame_id, &message.format, message.data);
        })?;
    }
    Ok(())
}
