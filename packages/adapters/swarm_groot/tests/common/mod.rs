//! A tree that ticks, and a client that speaks ZMTP with nothing but a socket.
#![allow(dead_code, reason = "each test target uses its part of this")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use swarm_base::Time;
use swarm_bt::{
    Halt, LeafCall, LeafModel, Leaves, Loader, PortType, Registry, State, Status, Tree, tick_observed,
};
use swarm_groot::{Feed, Source, feed, zmtp};

/// Two trees, a blackboard each; `Work` runs for a tick, then succeeds.
pub(crate) const XML: &str = r#"<root BTCPP_format="4" main_tree_to_execute="Main">
  <BehaviorTree ID="Main">
    <Sequence name="all">
      <Script code="count := 3; name := 'a &lt; b'; ratio := 0.5"/>
      <SubTree ID="Part" name="part" goal="peg"/>
    </Sequence>
  </BehaviorTree>
  <BehaviorTree ID="Part"><Inverter><Inverter><Work what="{goal}" _skipIf="false"/></Inverter></Inverter></BehaviorTree>
</root>"#;

pub(crate) struct Worker;

impl Leaves for Worker {
    fn start(&mut self, _: &mut LeafCall<'_>) -> Status {
        Status::Running
    }

    fn running(&mut self, _: &mut LeafCall<'_>) -> Status {
        Status::Success
    }

    fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt {
        Halt::Done
    }
}

pub(crate) fn registry() -> Registry {
    Registry::new().leaf(LeafModel::action("Work").input("what", PortType::Str))
}

pub(crate) struct Ticking {
    pub(crate) tree: Arc<Tree>,
    pub(crate) state: State,
    pub(crate) feed: Feed,
    pub(crate) now: Time,
}

impl Ticking {
    pub(crate) fn new() -> (Self, Source) {
        let tree = Arc::new(Loader::new(&registry()).document("test.xml", XML).load().unwrap());
        let (feed, source) = feed(&tree);
        (Self { state: State::new(&tree), tree, feed, now: Time::ZERO }, source)
    }

    /// One tick, 10 ms after the last.
    pub(crate) fn tick(&mut self) -> Status {
        self.now = Time(self.now.0 + 10_000_000);
        let Self { tree, state, feed, now } = self;
        let status = tick_observed(tree, state, *now, &mut Worker, feed).unwrap();
        feed.publish(tree, state);
        status
    }
}

/// A connected requester.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut client = Self::greet(address);
        client.hello();
        client
    }

    /// Connected, but nothing said.
    pub(crate) fn greet(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        // Only so that a broken server fails a test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self { stream }
    }

    /// Greeting and READY of both sides.
    pub(crate) fn hello(&mut self) {
        let ready = [&[4, 25][..], b"\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ"].concat();
        self.stream.write_all(&[&zmtp::greeting()[..], &ready].concat()).unwrap();
        let mut theirs = [0; 64 + 27];
        self.stream.read_exact(&mut theirs).unwrap();
    }

    pub(crate) fn send(&mut self, kind: u8, argument: Option<&[u8]>) {
        let header = [2, kind, 1, 2, 3, 4];
        let mut bytes = vec![1, 0, u8::from(argument.is_some()), 6];
        bytes.extend(header);
        if let Some(argument) = argument {
            bytes.extend([0, argument.len() as u8]);
            bytes.extend_from_slice(argument);
        }
        self.stream.write_all(&bytes).unwrap();
    }

    /// The frames of a reply, or none when the server has closed.
    pub(crate) fn receive(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        loop {
            let mut flags = [0];
            if self.stream.read_exact(&mut flags).is_err() {
                return None;
            }
            let length = if flags[0] & 2 == 0 {
                let mut length = [0];
                self.stream.read_exact(&mut length).ok()?;
                u64::from(length[0])
            } else {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length).ok()?;
                u64::from_be_bytes(length)
            };
            let mut body = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut body).ok()?;
            frames.push(body);
            if flags[0] & 1 == 0 {
                assert_eq!(frames.remove(0), b"", "the envelope comes back");
                return Some(frames);
            }
        }
    }

    pub(crate) fn ask(&mut self, kind: u8, argument: Option<&[u8]>) -> Vec<Vec<u8>> {
        self.send(kind, argument);
        self.receive().expect("the server answers")
    }

    /// The payload of a reply that is no refusal.
    pub(crate) fn payload(&mut self, kind: u8, argument: Option<&[u8]>) -> Vec<u8> {
        let mut reply = self.ask(kind, argument);
        assert_ne!(reply[0], b"error", "{}", String::from_utf8_lossy(&reply[1]));
        assert_eq!(reply[0][..6], [2, kind, 1, 2, 3, 4], "the header comes back");
        assert_eq!(reply[0].len(), 22);
        if reply.len() > 1 { reply.remove(1) } else { Vec::new() }
    }

    /// Asks again until the answer is as expected; a test that never gets it is ended by the runner.
    pub(crate) fn until(&mut self, kind: u8, expected: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        loop {
            let reply = self.ask(kind, None);
            if reply[0] != b"error" && expected(&reply[1]) {
                return reply[1].clone();
            }
        }
    }
}
