//! After load a tick allocates nothing: the allocator aborts the process if it does.

#[allow(dead_code, reason = "a program of its own, which counts allocations, needs a part")]
#[path = "it/common/mod.rs"]
mod common;

use std::process::Command;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use swarm_base::Time;
use swarm_bt::{
    Halt, LeafCall, LeafModel, Leaves, Loader, Mode, PortType, Registry, Ring, State, Status, Value,
    tick_observed,
};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

/// Answers by turns, reads and writes its ports.
struct Turns(u32);

impl Leaves for Turns {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.0 += 1;
        let sum = leaf.get_opt::<f64>("in").ok().flatten().unwrap_or(0.0) + f64::from(self.0);
        let same = leaf.get_opt::<std::sync::Arc<[f64]>>("pose").is_ok();
        match (leaf.set("out", sum), same, leaf.id().starts_with('C'), self.0 % 3) {
            (Err(_), ..) | (_, false, ..) => panic!("the ports fit"),
            (_, _, false, 0) => Status::Running,
            (_, _, _, 1) => Status::Failure,
            _ => Status::Success,
        }
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.start(leaf)
    }

    fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt {
        self.0 += 1;
        if self.0.is_multiple_of(2) { Halt::Done } else { Halt::Pending }
    }

    fn halting(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.halt(leaf)
    }
}

/// Every kind of node, conditions, scripts with numbers and short text, remapping.
const TREE: &str = r#"<root BTCPP_format="4" main_tree_to_execute="T">
<BehaviorTree ID="T"><Sequence>
  <Script code="n := 0; s := 'p'; pose := 1" _skipIf="false"/>
  <Parallel success_count="6" failure_count="-1">
    <ReactiveSequence><C/><A in="{n}" out="{n2}" pose="1;2;3"/></ReactiveSequence>
    <ReactiveFallback><C/><Inverter><A/></Inverter></ReactiveFallback>
    <SequenceWithMemory><A _while="n &lt; 1000"/><ForceSuccess><A/></ForceSuccess></SequenceWithMemory>
    <AsyncSequence><A/><AsyncFallback><A/><AlwaysSuccess/></AsyncFallback></AsyncSequence>
    <Timeout msec="20"><Delay delay_msec="10"><Sleep msec="30"/></Delay></Timeout>
    <Repeat num_cycles="2"><RetryUntilSuccessful num_attempts="2"><A _onHalted="n += 1"/></RetryUntilSuccessful></Repeat>
    <KeepRunningUntilFailure><ForceFailure><SubTree ID="S" x="{n}" y="2"/></ForceFailure></KeepRunningUntilFailure>
    <ParallelAll max_failures="{n0}">
      <Switch3 variable="{n}" case_1="1" case_2="{n}" case_3="2.5" _skipIf="n &lt; 0"><A/><A/><A/><AlwaysSuccess/></Switch3>
      <Switch2 variable="{s}" case_1="p" case_2="q"><A/><A/><A/></Switch2>
      <IfThenElse><C/><A/><A/></IfThenElse>
      <WhileDoElse><C/><A/><A/></WhileDoElse>
      <TryCatch catch_on_halt="{n1}"><A/><AlwaysFailure/><A/></TryCatch>
    </ParallelAll>
    <Sequence>
      <RunOnce then_skip="false"><ForceSuccess><A/></ForceSuccess></RunOnce>
      <Precondition if="n &gt;= 0 &amp;&amp; n &lt; 1000" else="SKIPPED"><ForceSuccess><A/></ForceSuccess></Precondition>
      <ForceSuccess><WasEntryUpdated entry="n"/></ForceSuccess>
      <SkipUnlessUpdated entry="{n}"><ForceSuccess><A/></ForceSuccess></SkipUnlessUpdated>
      <ForceSuccess><Timeout msec="30"><WaitValueUpdate entry="{n2}"><A/></WaitValueUpdate></Timeout></ForceSuccess>
      <UnsetBlackboard key="gone"/>
    </Sequence>
    <ForceSuccess><LoopInt queue="1;2;3" value="{item}"><ScriptCondition code="item &gt; 0"/></LoopInt></ForceSuccess>
    <ForceSuccess><LoopDouble queue="{list}" value="{number}"><A in="{number}"/></LoopDouble></ForceSuccess>
    <ForceSuccess><LoopString queue="{texts}" value="{text}"><ScriptCondition code="text != 'x'"/></LoopString></ForceSuccess>
    <ForceSuccess><LoopBool queue="true;false" value="{truth}"><AlwaysSuccess/></LoopBool></ForceSuccess>
  </Parallel>
  <Fallback><SetBlackboard value="{n}" output_key="copy"/><AlwaysFailure/></Fallback>
</Sequence></BehaviorTree>
<BehaviorTree ID="S"><Sequence _post="x += 1"><ScriptCondition code="x + y * 2 != 7 || 'a' .. x != 'b'"/>
  <Script code="z := (x &gt; 3 ? 'short' : 'text'); z += '!'; w := z"/></Sequence></BehaviorTree>
</root>"#;

fn tick_for_a_while(mode: Mode, leaves: &mut dyn Leaves) {
    let port = |leaf: LeafModel| {
        leaf.input("in", PortType::Float).output("out", PortType::Float).input("pose", PortType::Vector)
    };
    let registry = Registry::new().leaf(port(LeafModel::action("A"))).leaf(port(LeafModel::condition("C")));
    let tree = Loader::new(&registry).mode(mode).document("t.xml", TREE).load().expect("loads");
    let mut state = State::new(&tree);
    for (key, value) in [
        ("n0", Value::Int(2)),
        ("n1", Value::Bool(true)),
        ("list", Value::from(vec![1.5, 2.5])),
        ("texts", Value::from("a;bc;def")),
    ] {
        state.set(&tree, tree.slot(key).expect("mentioned"), value).expect("fits");
    }
    let mut ring = Ring::new(64);
    let mut failed = None;
    let mut answers = [0_u32; 4];
    for i in 0..2000_u64 {
        let answer = assert_no_alloc(|| {
            let now = Time(i * 7_000_000);
            if i % 50 == 49 {
                swarm_bt::halt(&tree, &mut state, now, leaves, &mut ring).map(|()| Status::Skipped)
            } else {
                tick_observed(&tree, &mut state, now, leaves, &mut ring)
            }
        });
        match answer {
            Ok(answer) => answers[answer as usize] += 1,
            Err(error) => failed = Some(error),
        }
    }
    assert_eq!(failed, None);
    assert!(answers[Status::Running as usize] > 100 && answers[Status::Success as usize] > 10, "{answers:?}");
    assert!(ring.overwritten() > 0 && ring.drain().count() == 64);
}

#[test]
fn ticks_halts_scripts_ports_and_the_transition_ring_allocate_nothing() {
    tick_for_a_while(Mode::Compat, &mut Turns(0));
    tick_for_a_while(Mode::Strict, &mut Turns(0));
}

#[test]
fn the_check_would_notice_an_allocation() {
    const CHILD: &str = "SWARM_BT_ALLOCATE";
    struct Allocates;
    impl Leaves for Allocates {
        fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
            if leaf.name().to_owned().is_empty() { Status::Failure } else { Status::Success }
        }
        fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
            self.start(leaf)
        }
        fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt {
            Halt::Done
        }
    }
    if std::env::var_os(CHILD).is_some() {
        return tick_for_a_while(Mode::Strict, &mut Allocates);
    }
    let this = std::env::current_exe().expect("a test has a path");
    let run =
        Command::new(this).args(["--exact", "the_check_would_notice_an_allocation"]).env(CHILD, "1").output();
    let output = run.expect("a test can run itself");
    assert!(!output.status.success(), "a leaf that allocates went unnoticed");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("memory allocation of"),
        "died of something else"
    );
}
