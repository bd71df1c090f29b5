//! What a viewer gets, spoken with by hand: subprotocol `foxglove.sdk.v1`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use foxglove::Decode as _;
use foxglove::messages::{CompressedImage, SceneUpdate};
use swarm_foxglove::{Capsule, SCENE_TOPIC, SceneRobot, Server, StartError, Tone};
use swarm_view::CellView;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

type Json = serde_json::Value;

struct Viewer(WebSocket<TcpStream>);

impl Viewer {
    fn connect(server: &Server) -> Self {
        let mut request = format!("ws://{}", server.address()).into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "foxglove.sdk.v1".parse().unwrap());
        let stream = TcpStream::connect(server.address()).unwrap();
        // Only so that a broken server fails a test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self(tungstenite::client(request, stream).unwrap().0)
    }

    fn text(&mut self) -> Json {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Channels as they are advertised, by topic; until there are so many.
    fn channels(&mut self, count: usize) -> BTreeMap<String, Json> {
        let mut found = BTreeMap::new();
        while found.len() < count {
            let message = self.text();
            for channel in message["channels"].as_array().into_iter().flatten() {
                found.insert(channel["topic"].as_str().unwrap().to_owned(), channel.clone());
            }
        }
        found
    }

    fn subscribe(&mut self, id: u32, channel: &Json) {
        let order =
            serde_json::json!({"op": "subscribe", "subscriptions": [{"id": id, "channelId": channel["id"]}]});
        self.0.send(Message::text(order.to_string())).unwrap();
    }

    /// The first message of subscription `id`. Only what is shown after a subscription has arrived is sent; so it is shown until then.
    fn shown(&mut self, id: u32, mut show: impl FnMut()) -> Vec<u8> {
        self.0.get_ref().set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        for _ in 0..12_000 {
            show();
            match self.0.read() {
                Ok(Message::Binary(bytes)) if bytes[0] == 1 && bytes[1..5] == id.to_le_bytes() => {
                    return bytes[13..].to_vec();
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nothing is sent to subscription {id}");
    }
}

fn server() -> Server {
    Server::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "test").unwrap()
}

#[test]
fn a_viewer_finds_both_topics_and_reads_what_is_shown() {
    let server = server();
    let mut viewer = Viewer::connect(&server);
    let info = viewer.text();
    assert_eq!((&info["op"], &info["name"]), (&"serverInfo".into(), &"test".into()));
    assert_eq!(info["capabilities"], Json::Array(Vec::new()), "nothing but looking");
    let channels = viewer.channels(2);
    let view = &channels[swarm_view::TOPIC];
    assert_eq!((&view["encoding"], &view["schemaName"]), (&"json".into(), &"swarm.CellView".into()));
    assert_eq!(channels[SCENE_TOPIC]["schemaName"], "foxglove.SceneUpdate");
    assert!(!server.scene_is_wanted());

    viewer.subscribe(7, view);
    let shown = CellView { run: "r1".into(), sequence: 3, ..CellView::default() };
    let scene = || {
        let capsule = Capsule { from_m: [0.0; 3], to_m: [0.0, 0.0, 1.0], radius_m: 0.1 };
        let arm = SceneRobot { name: "panda".into(), tone: Tone::Moving, capsules: vec![capsule] };
        server.show_scene(1, &[arm], &[]);
    };
    let first = viewer.shown(7, || server.show(&shown));
    viewer.subscribe(8, &channels[SCENE_TOPIC]);
    let second = viewer.shown(8, || {
        if server.scene_is_wanted() {
            scene();
        }
    });
    assert_eq!(serde_json::from_slice::<CellView>(&first).unwrap(), shown);
    let update = SceneUpdate::decode(second.as_slice()).unwrap();
    assert_eq!(
        (update.entities[0].id.as_str(), update.entities[0].frame_id.as_str()),
        ("robot/panda", "world")
    );
}

#[test]
fn a_camera_that_is_added_later_is_offered_and_its_pictures_come_as_they_are() {
    let server = server();
    let mut viewer = Viewer::connect(&server);
    let camera = server.camera("/camera_1/image_raw/compressed");
    let channels = viewer.channels(3);
    let channel = &channels["/camera_1/image_raw/compressed"];
    assert_eq!(channel["schemaName"], "foxglove.CompressedImage");
    viewer.subscribe(3, channel);
    let payload = viewer.shown(3, || {
        camera.show(1, "camera_1", "h264", vec![0]);
        camera.show(2_000_000_001, "camera_1", "rgb8; jpeg compressed bgr8", vec![0xff, 0xd8]);
    });
    let image = CompressedImage::decode(payload.as_slice()).unwrap();
    assert_eq!(
        (image.format.as_str(), image.frame_id.as_str(), &image.data[..]),
        ("jpeg", "camera_1", &[0xff, 0xd8][..])
    );
}

#[test]
fn what_a_client_wants_to_publish_or_call_is_not_taken() {
    let server = server();
    let mut viewer = Viewer::connect(&server);
    viewer.channels(2);
    let order = serde_json::json!({"op": "advertise", "channels": [
        {"id": 1, "topic": "/emergency_stop", "encoding": "json", "schemaName": "std_msgs/Bool"}]});
    viewer.0.send(Message::text(order.to_string())).unwrap();
    loop {
        let answer = viewer.text();
        if answer["op"] == "status" {
            assert_eq!(answer["level"], 2, "an error: {answer}");
            break;
        }
    }
}

#[test]
fn a_taken_port_is_named() {
    let first = server();
    let error: StartError = Server::start_at(first.address(), "second").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot serve Foxglove on {}; if another program", first.address())),
        "{error}"
    );
}
