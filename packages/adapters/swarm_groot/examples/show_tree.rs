//! Ticks a small tree and shows it until it is killed: `cargo run -p swarm_groot --example show_tree -- 1667 [SECONDS]`, and beside it
//! `btview --port 1667`. The port that was taken is printed first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swarm_base::{Clock, MonotonicClock};
use swarm_bt::{Halt, LeafCall, LeafModel, Leaves, Loader, PortType, Registry, State, Status, tick_observed};
use swarm_groot::{Server, feed};

const XML: &str = r#"
<root BTCPP_format="4" main_tree_to_execute="Assemble">
  <BehaviorTree ID="Assemble">
    <Sequence name="assemble">
      <Script code="round := 1; label := 'peg &amp; pocket'"/>
      <SubTree ID="Fetch" name="fetch" part="peg"/>
      <Repeat num_cycles="3"><Insert depth="{depth}" name="insert"/></Repeat>
      <Fallback><ScriptCondition code="depth &gt; 0.5"/><AlwaysSuccess/></Fallback>
    </Sequence>
  </BehaviorTree>
  <BehaviorTree ID="Fetch">
    <Sequence><Near part="{part}"/><Move to="{part}" name="move to part"/></Sequence>
  </BehaviorTree>
</root>"#;

/// Every action takes ten ticks.
struct Arm {
    left: u32,
}

impl Leaves for Arm {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        if leaf.id() == "Near" {
            return Status::Success;
        }
        self.left = 10;
        Status::Running
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.left -= 1;
        if self.left > 0 {
            return Status::Running;
        }
        let written = leaf.id() != "Insert" || leaf.set("depth", 0.25).is_ok();
        if written { Status::Success } else { Status::Failure }
    }

    fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt {
        Halt::Done
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(1667), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(600), |text| text.parse())?;
    let registry = Registry::new()
        .leaf(LeafModel::condition("Near").input("part", PortType::Str))
        .leaf(LeafModel::action("Move").input("to", PortType::Str))
        .leaf(LeafModel::action("Insert").output("depth", PortType::Float));
    let tree = Arc::new(Loader::new(&registry).document("show_tree.xml", XML).load()?);

    let server = Server::start(port)?;
    let (mut feed, source) = feed(&tree);
    server.show(source);
    println!("{}", server.address().port());

    let clock = MonotonicClock::new();
    let mut state = State::new(&tree);
    let mut arm = Arm { left: 0 };
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        tick_observed(&tree, &mut state, clock.now(), &mut arm, &mut feed)?;
        feed.publish(&tree, &state);
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
