//! Views off a Foxglove WebSocket (subprotocol `foxglove.sdk.v1`): one topic, read only.
//!
//! 1. The server advertises its channels as JSON. 2. We subscribe to the one of [`swarm_view::TOPIC`]. 3. Binary messages follow:
//!    opcode 1, u32 subscription, u64 time in ns, payload; numbers are little-endian.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swarm_view::CellView;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

const SUBPROTOCOL: &str = "foxglove.sdk.v1";

/// The subscription's number; there is only one.
const SUBSCRIPTION: u32 = 1;

/// Opcode of a message of a channel.
const MESSAGE_DATA: u8 = 1;

/// A view of a cell with three roles has about two kilobytes.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Why there are no views.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "cannot connect to {address}; the skill runtime serves there if its parameter view.foxglove_port says so: {source}"
    )]
    Connect {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{address} does not answer as a Foxglove WebSocket: {reason}")]
    Handshake { address: String, reason: String },
    #[error("the connection to the skill runtime has ended: {0}")]
    Lost(String),
    #[error("{address} offers no topic {topic} within {} s; is it another Foxglove server?", .waited.as_secs())]
    NoTopic { address: String, topic: &'static str, waited: Duration },
    #[error("a view cannot be read: {0}")]
    View(#[from] serde_json::Error),
}

/// A connection that has subscribed, or is about to.
#[derive(Debug)]
pub struct Client {
    address: String,
    socket: WebSocket<TcpStream>,
    connected: Instant,
    subscribed: bool,
    patience: Duration,
}

impl Client {
    /// Connects to `host:port`. `patience` is the longest time for connecting, and then for the topic to be offered.
    pub fn connect(address: &str, patience: Duration) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { address: address.to_owned(), source };
        let resolved = address.to_socket_addrs().map_err(failed)?.next();
        let resolved = resolved.ok_or_else(|| failed(std::io::Error::other("the name has no address")))?;
        let stream = TcpStream::connect_timeout(&resolved, patience).map_err(failed)?;
        stream.set_read_timeout(Some(patience)).map_err(failed)?;
        stream.set_write_timeout(Some(patience)).map_err(failed)?;
        let refused = |reason: String| ClientError::Handshake { address: address.to_owned(), reason };
        let mut request =
            format!("ws://{address}/").into_client_request().map_err(|error| refused(error.to_string()))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let (socket, _) = tungstenite::client::client_with_config(request, stream, Some(limits))
            .map_err(|error| refused(error.to_string()))?;
        let (address, connected) = (address.to_owned(), Instant::now());
        Ok(Self { address, socket, connected, subscribed: false, patience })
    }

    /// The next view, or none if none comes within `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Option<CellView>, ClientError> {
        let lost = |reason: String| ClientError::Lost(reason);
        // Zero would mean to wait for ever.
        let wait = wait.max(Duration::from_millis(1));
        self.socket.get_ref().set_read_timeout(Some(wait)).map_err(|error| lost(error.to_string()))?;
        let deadline = Instant::now() + wait;
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => self.hear(&text)?,
                Ok(Message::Binary(bytes)) => {
                    if let Some(payload) = payload(&bytes) {
                        return Ok(Some(serde_json::from_slice(payload)?));
                    }
                }
                Ok(Message::Close(_)) => return Err(lost("it was closed".into())),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(lost(error.to_string())),
            }
            if !self.subscribed && self.connected.elapsed() > self.patience {
                let (address, topic, waited) = (self.address.clone(), swarm_view::TOPIC, self.patience);
                return Err(ClientError::NoTopic { address, topic, waited });
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Subscribes when the topic is advertised; everything else that a server says is passed over.
    fn hear(&mut self, text: &str) -> Result<(), ClientError> {
        let Some(channel) = advertised(text) else { return Ok(()) };
        let order = json!({"op": "subscribe", "subscriptions": [{"id": SUBSCRIPTION, "channelId": channel}]});
        self.subscribed = true;
        let sent = self.socket.send(Message::text(order.to_string()));
        sent.map_err(|error| ClientError::Lost(error.to_string()))
    }
}

/// The id of the views' channel in an `advertise` message.
fn advertised(text: &str) -> Option<Value> {
    let message: Value = serde_json::from_str(text).ok()?;
    let channels = message.get("channels").filter(|_| message["op"] == "advertise")?.as_array()?;
    let ours = |channel: &&Value| channel["topic"] == swarm_view::TOPIC && channel["encoding"] == "json";
    Some(channels.iter().find(ours)?["id"].clone())
}

/// What a binary message of our subscription carries.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let (head, payload) = bytes.split_at_checked(13)?;
    let subscription = head[1..5].iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    (head[0] == MESSAGE_DATA && subscription == SUBSCRIPTION).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_channel_is_subscribed_to() {
        let text = r#"{"op":"advertise","channels":[
            {"id":1,"topic":"/cell/scene","encoding":"protobuf"},{"id":9,"topic":"/cell/view","encoding":"json"}]}"#;
        assert_eq!(advertised(text), Some(json!(9)));
        assert_eq!(advertised(&text.replace("advertise", "unadvertise")), None);
        assert_eq!(advertised("{"), None);
        assert_eq!(advertised(r#"{"op":"advertise","channels":7}"#), None);
    }

    #[test]
    fn only_messages_of_our_subscription_are_read() {
        let head = [1, 1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9];
        assert_eq!(payload(&[&head[..], b"{}"].concat()), Some(&b"{}"[..]));
        assert_eq!(payload(&head[..12]), None);
        let mut other = head;
        other[1] = 2;
        assert_eq!(payload(&other), None);
    }
}
