//! A tree as people publish them for BehaviorTree.CPP v4, loaded as it is: written by an editor, in two documents, with models,
//! notes and scripts whose `&&` and `<` no XML parser but the original's would take. Only its leaves are mapped. The example
//! `load_tree` does the same with any file.

use crate::common::Script;
use swarm_base::Time;
use swarm_bt::{Include, LeafModel, Loader, PortType, Registry, State, Status, tick_until_settled};

const MAIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<root BTCPP_format="4"
      main_tree_to_execute="EnterRoom">
  <include path="./lib/door.xml"/>
  <BehaviorTree ID="EnterRoom" _description="through the door, or not at all">
    <Sequence name="enter">
      <Script code=" tries:=0; door:='blue'; loud := CAREFUL "/>
      <Fallback>
        <Inverter>
          <Condition ID="DoorShut" name="shut?"/>
        </Inverter>
        <SubTree ID="OpenDoor" door="{door}" tries="{tries}" _autoremap="false"/>
      </Fallback>
      <Action ID="WalkThrough" speed="0.4" _skipIf="tries < 0 || (door == 'red' && tries > 0)"/>
      <ScriptCondition code=" tries==3 && opened_by=='key' "/>
    </Sequence>
  </BehaviorTree>
  <!-- for the editor -->
  <TreeNodesModel>
    <Action ID="WalkThrough" editable="true">
      <input_port name="speed" type="double" default="0.2">metres a second</input_port>
    </Action>
    <Condition ID="DoorShut"/>
  </TreeNodesModel>
</root>
"#;

const DOOR: &str = r#"<root BTCPP_format="4">
  <TreeNodesModel>
    <SubTree ID="OpenDoor">
      <input_port name="door"/>
      <inout_port name="tries"/>
      <output_port name="by" default="{opened_by}"/>
    </SubTree>
  </TreeNodesModel>
  <BehaviorTree ID="OpenDoor">
    <Fallback>
      <Push door="{door}"/>
      <RetryUntilSuccessful num_attempts="5">
        <TurnKey _onFailure="tries += 1" _onSuccess="tries += 1; by := 'key'"/>
      </RetryUntilSuccessful>
      <Kick/>
    </Fallback>
  </BehaviorTree>
</root>
"#;

#[test]
fn a_published_tree_loads_and_runs_with_only_its_leaves_mapped() {
    let registry = Registry::new()
        .leaf(LeafModel::condition("DoorShut"))
        .leaf(LeafModel::action("WalkThrough").input_or("speed", PortType::Float, "0.2"))
        .leaf(LeafModel::action("Push").input("door", PortType::Str))
        .leaf(LeafModel::action("TurnKey"))
        .leaf(LeafModel::action("Kick"))
        .constant("CAREFUL", 0);
    let read = |include: Include<'_>| match include.path {
        "trees/lib/door.xml" => Ok(DOOR.to_owned()),
        _ => Err("there is no such document".to_owned()),
    };
    let tree = Loader::new(&registry).document("trees/main.xml", MAIN).includes(&read).load();
    let tree = tree.unwrap_or_else(|errors| panic!("does not load: {errors}"));

    let mut state = State::new(&tree);
    let mut leaves = Script::new([
        ("DoorShut", "S"),
        ("Push", "F"),
        ("TurnKey", "FFS"),
        ("Kick", "S"),
        ("WalkThrough", "RS"),
    ]);
    let mut at = |ms| tick_until_settled(&tree, &mut state, Time::from_millis(ms), &mut leaves, &mut (), 100);
    assert_eq!(at(0), Ok(Status::Running), "it walks");
    assert_eq!(at(100), Ok(Status::Success));
    let name = |call: &String| {
        let uid = call[1..].parse().expect("a number");
        format!("{} {}", &call[..1], tree.node(uid).expect("a node").id)
    };
    let calls: Vec<String> = leaves.calls.iter().map(name).collect();
    let expected =
        ["s DoorShut", "s Push", "s TurnKey", "s TurnKey", "s TurnKey", "s WalkThrough", "r WalkThrough"];
    assert_eq!(calls, expected);
}
