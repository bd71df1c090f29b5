//! What clients get, good ones and bad ones, over real sockets.

mod common;

use std::io::Write as _;

use common::{Client, Ticking};
use swarm_groot::{MAX_CONNECTIONS, QUEUE, Server};

/// uid and status byte of every node.
fn statuses(bytes: &[u8]) -> Vec<(u16, u8)> {
    bytes.chunks(3).map(|node| (u16::from_le_bytes([node[0], node[1]]), node[2])).collect()
}

#[test]
fn the_tree_comes_as_xml_with_everything_a_viewer_needs() {
    let server = Server::start(0).unwrap();
    let (_ticking, source) = Ticking::new();
    server.show(source);
    let xml = Client::connect(server.address()).until(b'T', |xml| !xml.is_empty());
    let xml = String::from_utf8(xml).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("main_tree_to_execute"), Some("Main"));
    let trees: Vec<_> = root.children().filter(|node| node.has_tag_name("BehaviorTree")).collect();
    let name = |node: &roxmltree::Node<'_, '_>| {
        (node.attribute("ID").unwrap().to_owned(), node.attribute("_fullpath").unwrap().to_owned())
    };
    assert_eq!(
        trees.iter().map(name).collect::<Vec<_>>(),
        [("Main".into(), String::new()), ("Part".into(), "part".into())]
    );
    let uids: Vec<_> = trees
        .iter()
        .flat_map(roxmltree::Node::descendants)
        .filter_map(|node| Some((node.tag_name().name(), node.attribute("_uid")?)))
        .collect();
    assert_eq!(
        uids,
        [
            ("Sequence", "1"),
            ("Script", "2"),
            ("SubTree", "3"),
            ("Inverter", "4"),
            ("Inverter", "5"),
            ("Work", "6")
        ]
    );
    let work = document.descendants().find(|node| node.has_tag_name("Work")).unwrap();
    assert_eq!((work.attribute("what"), work.attribute("_skipIf")), (Some("{goal}"), Some("false")));
    let script = document.descendants().find(|node| node.has_tag_name("Script")).unwrap();
    assert_eq!(script.attribute("code"), Some("count := 3; name := 'a < b'; ratio := 0.5"));
    let model = document.descendants().find(|node| node.has_tag_name("Action")).unwrap();
    assert_eq!(model.attribute("ID"), Some("Work"));
    assert_eq!(model.children().find_map(|port| port.attribute("type")), Some("string"));
}

/// Two ticks, each shown by `tick`, as a client sees them. Once done, the first node's byte is `done`.
fn shown_after_two_ticks(tick: impl Fn(&mut Ticking), done: u8) -> [Vec<(u16, u8)>; 2] {
    let server = Server::start(0).unwrap();
    let (mut ticking, source) = Ticking::new();
    server.show(source);
    let mut client = Client::connect(server.address());
    assert_eq!(statuses(&client.until(b'S', |_| true)), (1..=6).map(|uid| (uid, 0)).collect::<Vec<_>>());
    [1, done].map(|first| {
        tick(&mut ticking);
        statuses(&client.until(b'S', |found| found[2] == first))
    })
}

/// The Script has succeeded, everything else runs.
const RUNNING: [(u16, u8); 6] = [(1, 1), (2, 2), (3, 1), (4, 1), (5, 1), (6, 1)];

#[test]
fn statuses_are_those_of_the_last_tick_and_say_what_a_reset_node_was() {
    let tick = |ticking: &mut Ticking| {
        ticking.tick();
    };
    let [running, done] = shown_after_two_ticks(tick, 12);
    assert_eq!(running, RUNNING);
    // SUCCESS, then reset: 10 + 2. The inverter that failed: 10 + 3.
    assert_eq!(done, [(1, 12), (2, 12), (3, 12), (4, 12), (5, 13), (6, 12)]);
}

#[test]
fn a_status_is_right_even_if_its_transitions_were_not_observed() {
    let tick = |ticking: &mut Ticking| {
        let Ticking { tree, state, feed, now } = ticking;
        swarm_bt::tick(tree, state, *now, &mut common::Worker).unwrap();
        feed.publish(tree, state);
    };
    let [running, done] = shown_after_two_ticks(tick, 11);
    assert_eq!(running, RUNNING);
    // What they were before they became idle is not known: what was shown last stands for it.
    assert_eq!(done, [(1, 11), (2, 12), (3, 11), (4, 11), (5, 11), (6, 11)]);
}

#[test]
fn blackboards_come_by_name_as_message_pack() {
    let server = Server::start(0).unwrap();
    let (mut ticking, source) = Ticking::new();
    server.show(source);
    ticking.tick();
    let mut client = Client::connect(server.address());
    client.until(b'S', |found| found[2] == 1);
    // {"part": {"goal": "peg"}}
    assert_eq!(client.payload(b'B', Some(b"part")), b"\x81\xa4part\x81\xa4goal\xa3peg");
    assert_eq!(client.payload(b'B', Some(b"nothing;like;it")), b"\x80");
    let all = client.payload(b'B', Some(b""));
    assert!(all.windows(8).any(|bytes| bytes == b"\xa5count\x03\xa4"), "{all:x?}");
    assert_eq!(client.ask(b'B', None)[1], b"this request has 2 frames, not 1");
}

#[test]
fn a_recording_holds_every_transition_since_its_start_once_and_with_its_time() {
    let server = Server::start(0).unwrap();
    let (mut ticking, source) = Ticking::new();
    server.show(source);
    ticking.tick();
    let mut client = Client::connect(server.address());
    client.until(b'S', |found| found[2] == 1);
    assert_eq!(client.payload(b't', None), b"", "nothing is recorded before the start");
    let stamp = String::from_utf8(client.payload(b'r', Some(b"start"))).unwrap();
    assert!(stamp.len() == 16 && stamp.parse::<u64>().is_ok(), "{stamp}");
    ticking.tick();
    let mut bytes = Vec::new();
    while bytes.len() < 11 * 9 {
        bytes.extend(client.payload(b't', None));
    }
    let changes: Vec<_> = bytes
        .chunks(9)
        .map(|c| (u64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], 0, 0]), c[6], c[7], c[8]))
        .collect();
    // Work succeeds, the inner inverter fails, the outer and the SubTree succeed, the Sequence resets its children.
    let tick = 10_000;
    assert_eq!(changes[..2], [(tick, 6, 0, 2), (tick, 6, 0, 0)]);
    assert_eq!(changes[changes.len() - 1], (tick, 1, 0, 0));
    client.payload(b'r', Some(b"stop"));
    ticking.tick();
    client.until(b'S', |found| found[2] == 1);
    assert_eq!(client.payload(b't', None), b"");
    assert_eq!(
        client.ask(b'r', Some(b"pause"))[1],
        br#"recording is switched by 'start' or 'stop', not by "pause""#
    );
}

#[test]
fn nobody_changes_anything() {
    let server = Server::start(0).unwrap();
    let (mut ticking, source) = Ticking::new();
    server.show(source);
    let mut client = Client::connect(server.address());
    client.until(b'S', |_| true);
    let replace =
        br#"{"enabled":true,"uid":6,"mode":1,"once":false,"desired_status":"FAILURE","position":0}"#;
    for kind in *b"IRU" {
        let reply = client.ask(kind, Some(replace));
        assert_eq!(reply[0], b"error");
        assert!(reply[1].starts_with(b"this monitor only shows"), "{}", String::from_utf8_lossy(&reply[1]));
    }
    assert_eq!(client.payload(b'D', None), b"[]");
    assert_eq!(client.payload(b'A', None), b"");
    ticking.tick();
    assert_eq!(ticking.tick(), swarm_bt::Status::Success, "the tree went its own way");
    assert_eq!(client.ask(b'?', None)[1], b"request type 0x3f is not known");
}

#[test]
fn a_new_tree_has_a_new_name_and_without_one_the_server_says_so() {
    let server = Server::start(0).unwrap();
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask(b'T', None), [b"error".to_vec(), b"no tree is loaded yet".to_vec()]);
    let (_first, source) = Ticking::new();
    server.show(source);
    client.until(b'T', |_| true);
    let old = client.ask(b'S', None)[0][6..].to_vec();
    let (_second, source) = Ticking::new();
    server.show(source);
    while client.ask(b'S', None)[0][6..] == old {}
}

#[test]
fn ticks_go_on_while_nobody_takes_what_they_say() {
    // A feed whose other end nobody reads: the worst that a server can do to it.
    let (mut ticking, _source) = Ticking::new();
    while ticking.feed.dropped() == 0 {
        ticking.tick();
    }
    let before = ticking.feed.dropped();
    assert!(ticking.state.tick_count() > QUEUE as u64 / 12);
    ticking.tick();
    ticking.tick();
    assert!(ticking.feed.dropped() > before, "what does not fit is counted");
}

#[test]
fn bad_clients_are_sent_away_and_good_ones_served_beside_them() {
    let server = Server::start(0).unwrap();
    let (mut ticking, source) = Ticking::new();
    server.show(source);
    // Half open, garbage, an oversized announcement, a message without end, one who never reads.
    let _silent = Client::greet(server.address());
    let mut browser = Client::greet(server.address());
    browser.stream.write_all(&b"GET /metrics HTTP/1.1\r\nHost: robot\r\n\r\n".repeat(3)).unwrap();
    let mut greedy = Client::connect(server.address());
    greedy.stream.write_all(&[&[2][..], &u64::MAX.to_be_bytes()].concat()).unwrap();
    let mut endless = Client::connect(server.address());
    // The server may close while this is being written.
    let _ = endless.stream.write_all(&[1, 1, b'x'].repeat(10_000));
    let mut deaf = Client::connect(server.address());
    for _ in 0..1_000 {
        deaf.send(b'T', None);
    }
    let mut good = Client::connect(server.address());
    ticking.tick();
    good.until(b'S', |found| found[2] == 1);
    for mut bad in [greedy, endless] {
        assert_eq!(bad.receive(), None, "closed");
    }
    // Closed, or reset because what it sent was not read: gone either way.
    let _ = std::io::Read::read_to_end(&mut browser.stream, &mut Vec::new());
    ticking.tick();
    good.until(b'S', |found| found[2] == 12);
}

#[test]
fn connections_are_bounded_and_given_back() {
    let server = Server::start(0).unwrap();
    let (_ticking, source) = Ticking::new();
    server.show(source);
    let mut clients: Vec<Client> = (0..MAX_CONNECTIONS).map(|_| Client::connect(server.address())).collect();
    let mut one_too_many = Client::greet(server.address());
    assert_eq!(one_too_many.receive(), None);
    clients[0].until(b'S', |_| true);
    clients.truncate(1);
    // Their places are free as soon as the server has noticed.
    loop {
        let mut next = Client::greet(server.address());
        let mut byte = [0];
        if std::io::Read::read_exact(&mut next.stream, &mut byte).is_ok() {
            break;
        }
    }
}
