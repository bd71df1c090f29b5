//! Foxglove WebSocket server: what the roles do and how near the limits are, as JSON, and the cell as a scene.
//!
//! | topic | encoding | what |
//! |---|---|---|
//! | [`swarm_view::TOPIC`] | json, `swarm.CellView` | roles, leaves, barriers, leases, safety against limits |
//! | a camera's own | protobuf, `foxglove.CompressedImage` | the camera's pictures, as they came |
//! | [`SCENE_TOPIC`] | protobuf, `foxglove.SceneUpdate` | every arm as the capsules that the safety gate measures distances of, and the parts |
//!
//! It shows and takes nothing: no capability is offered that lets a client publish, call or set. A client that is slow loses the
//! oldest messages of its own backlog. `cell watch` and the Foxglove application are clients of the same topics.

mod scene;

use std::net::SocketAddr;
use std::sync::Arc;

use foxglove::messages::{CompressedImage, SceneUpdate};
use foxglove::{
    Channel, ChannelBuilder, Context, FoxgloveError, RawChannel, Schema, WebSocketServer,
    WebSocketServerHandle,
};
use swarm_view::CellView;

pub use scene::{Capsule, Part, SceneRobot, Tone};

/// Topic of the scene, in the frame [`WORLD`].
pub const SCENE_TOPIC: &str = "/cell/scene";

/// The scene's frame.
pub const WORLD: &str = "world";

/// Messages that wait for one client; the oldest go first. At 20 a second and two topics these are three seconds.
const BACKLOG: usize = 128;

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve Foxglove on {address}; if another program (foxglove_bridge) is there, choose another port: {source}"
)]
pub struct StartError {
    pub address: SocketAddr,
    #[source]
    pub source: Box<FoxgloveError>,
}

/// The server; it ends when it is dropped.
pub struct Server {
    handle: Option<WebSocketServerHandle>,
    address: SocketAddr,
    /// The library keeps only weak references to it.
    context: Arc<Context>,
    view: Arc<RawChannel>,
    scene: Channel<SceneUpdate>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves where it is told to; without authentication, so that a warning is logged for an address that is no loopback. Port 0
    /// takes any free one. `name` is what viewers show.
    pub fn start_at(address: SocketAddr, name: &str) -> Result<Self, StartError> {
        let failed = |source| StartError { address, source: Box::new(source) };
        let context = Context::new();
        let schema = Schema::new(swarm_view::SCHEMA, "jsonschema", swarm_view::json_schema().as_bytes());
        let view = ChannelBuilder::new(swarm_view::TOPIC)
            .context(&context)
            .message_encoding("json")
            .schema(schema)
            .build_raw()
            .map_err(failed)?;
        let scene = ChannelBuilder::new(SCENE_TOPIC).context(&context).build::<SceneUpdate>();
        let handle = WebSocketServer::new()
            .name(name)
            .bind(address.ip().to_string(), address.port())
            .capabilities([])
            .message_backlog_size(BACKLOG)
            .context(&context)
            .start_blocking()
            .map_err(failed)?;
        let address = SocketAddr::new(address.ip(), handle.port());
        if !address.ip().is_loopback() {
            tracing::warn!("Foxglove is served on {address} to whoever reaches it");
        }
        Ok(Self { handle: Some(handle), address, context, view, scene })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether anybody has subscribed to the scene, so that it need not be worked out for nobody.
    pub fn scene_is_wanted(&self) -> bool {
        self.scene.has_sinks()
    }

    /// Sends a view to whoever has subscribed.
    pub fn show(&self, view: &CellView) {
        if self.view.has_sinks() {
            // Numbers that are not finite are absent from a view; there is nothing else that JSON cannot say.
            let text = serde_json::to_vec(view).unwrap_or_default();
            self.view.log(&text);
        }
    }

    /// Sends a scene. What is not in it any more disappears by itself after two seconds.
    pub fn show_scene(&self, unix_ns: u64, robots: &[SceneRobot], parts: &[Part]) {
        self.scene.log(&scene::update(unix_ns, robots, parts));
    }
}

/// One camera's topic.
#[derive(Clone, Debug)]
pub struct Camera(Arc<Channel<CompressedImage>>);

impl Server {
    /// Offers a camera's pictures under `topic`.
    pub fn camera(&self, topic: &str) -> Camera {
        Camera(Arc::new(ChannelBuilder::new(topic).context(&self.context).build()))
    }
}

impl Camera {
    /// Sends a picture to whoever has subscribed. `format` is that of `sensor_msgs/CompressedImage`, `jpeg` or
    /// `rgb8; jpeg compressed bgr8`; a picture that a browser does not know (`h264`) is passed over.
    pub fn show(&self, unix_ns: u64, frame_id: &str, format: &str, data: Vec<u8>) {
        let Some(format) = browser_format(format).filter(|_| self.0.has_sinks()) else {
            return;
        };
        self.0.log(&CompressedImage {
            timestamp: Some(scene::timestamp(unix_ns)),
            frame_id: frame_id.to_owned(),
            data: data.into(),
            format: format.to_owned(),
        });
    }
}

/// The encoding by the name that Foxglove has for it.
fn browser_format(format: &str) -> Option<&'static str> {
    let format = format.to_ascii_lowercase();
    let known = [("jpeg", "jpeg"), ("jpg", "jpeg"), ("png", "png"), ("webp", "webp")];
    known.iter().find(|(name, _)| format.contains(name)).map(|(_, format)| *format)
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop().wait_blocking();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_ros_become_those_of_browsers() {
        assert_eq!(browser_format("rgb8; jpeg compressed bgr8"), Some("jpeg"));
        assert_eq!(browser_format("JPG"), Some("jpeg"));
        assert_eq!(browser_format("16UC1; png compressed"), Some("png"));
        assert_eq!(browser_format("h264"), None);
    }
}
