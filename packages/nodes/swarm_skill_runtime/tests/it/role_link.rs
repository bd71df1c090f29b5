//! The link over a topic keeps the contract of every link.

use std::cell::RefCell;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use swarm_base::Role;
use swarm_ros::qos;
use swarm_skill_core::contract;
use swarm_skill_runtime::role_link::{Inbox, RoleLink, TOPIC};

type Messages = futures::stream::LocalBoxStream<'static, r2r::swarm_msgs::msg::RoleMessage>;

/// One node per end, as on different hosts.
struct Host {
    node: r2r::Node,
    heard: Messages,
    inbox: Inbox,
}

impl Host {
    fn spin(&mut self) {
        self.node.spin_once(Duration::from_millis(1));
        while let Some(Some(message)) = self.heard.next().now_or_never() {
            self.inbox.hear(&message);
        }
    }
}

#[test]
fn the_link_over_a_topic_keeps_the_contract() {
    let hosts: RefCell<Vec<Host>> = RefCell::default();
    let connect = |roles: &[Role]| {
        let mut links = Vec::new();
        for role in roles {
            let context = r2r::Context::create().unwrap();
            let mut node = r2r::Node::create(context, &format!("link_{role}"), "").unwrap();
            let publisher = node.create_publisher(TOPIC, qos::SENSOR_BACKLOG).unwrap();
            let heard = node.subscribe(TOPIC, qos::SENSOR_BACKLOG).unwrap().boxed_local();
            let inbox = Inbox::new(*role);
            links.push(RoleLink::new(publisher, inbox.clone()));
            hosts.borrow_mut().push(Host { node, heard, inbox });
        }
        // Until everybody hears everybody; a broken middleware ends this by the test's checks.
        for _ in 0..3_000 {
            if links.iter().all(|link| link.is_heard_by(roles.len() - 1)) {
                break;
            }
            hosts.borrow_mut().iter_mut().for_each(Host::spin);
        }
        links
    };
    // Some hundred turns of every node, each of which takes a message from its topic if there is one.
    let settle = || {
        for _ in 0..400 {
            hosts.borrow_mut().iter_mut().for_each(Host::spin);
        }
    };
    contract::check(connect, settle);
}
