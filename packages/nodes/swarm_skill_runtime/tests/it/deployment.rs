//! Deploying, refusing, rolling back and restarting, on a real store with real signatures. What is deployed stays deployed.

use std::fs;
use std::path::PathBuf;

use crate::common::{Around, Bench, REPOSITORY, SkillFolder, robots_of, shipped_cell};
use semver::Version;
use swarm_artifact::Intent;
use swarm_skill_runtime::deployer::{Deployer, NotDeployed, Order, Places, warnings};

/// A runtime in which version 1.0.0 is in force.
fn deployed(bench: &Bench) -> Deployer {
    let deployer = bench.deployer();
    deployer.carry_out(&bench.order("1.0.0", &SkillFolder::default()), &Around::default()).unwrap();
    deployer
}

fn version_in_force(deployer: &Deployer) -> String {
    deployer.active().unwrap().version.to_string()
}

#[test]
fn a_good_skill_comes_into_force_with_its_envelope() {
    let bench = Bench::new();
    let deployer = bench.deployer();
    let around = Around::default();
    let active = deployer.carry_out(&bench.order("1.0.0", &SkillFolder::default()), &around).unwrap();
    assert_eq!(active.title(), "assembly 1.0.0");
    assert_eq!(active.skill.phases, [swarm_skill_core::Phase::barrier("home")]);
    assert_eq!(*around.loaded.lock().unwrap(), [Some(active.artifact)]);
    assert!(!deployer.is_busy());
    // Roles plan within the envelope: 0.3 m/s for the leader, the ceiling's 0.5 m/s for the others.
    assert!(active.skill.roles[0].limits.linear_m_per_s < 0.3);
    assert!(active.skill.roles[1].limits.linear_m_per_s > 0.3);
}

/// Each bad skill is refused with its words, and 1.0.0 goes on.
#[test]
fn a_bad_skill_is_refused_and_the_deployed_one_stays() {
    let bench = Bench::new();
    let deployer = deployed(&bench);
    let in_tree = |inside: &str| {
        let text =
            format!(r#"<root BTCPP_format="4"><BehaviorTree ID="Leader">{inside}</BehaviorTree></root>"#);
        SkillFolder { leader: text, ..SkillFolder::default() }
    };
    let cases = [
        (
            in_tree(r#"<Sequence><EnterPhase phase="home"/><MovJoints/></Sequence>"#),
            "the tree of role leader: trees/leader.xml:1:86: unknown node 'MovJoints'; did you mean 'MoveJoints'?",
        ),
        (in_tree(r#"<SubTree ID="Leader"/>"#), "the tree of role leader: trees/leader.xml:1:"),
        (
            in_tree(r#"<EnterPhase phase="away"/>"#),
            "role follower enters the phases home, but role leader enters away; all roles need the same ones in the same order",
        ),
        (
            in_tree("<MoveJoints/>"),
            "the tree of role leader enters no phase; a role needs at least one EnterPhase",
        ),
        (
            in_tree(
                r#"<Sequence><EnterPhase phase="home"/><RunPolicy policy="mate" pocket="a" tip="b"/></Sequence>"#,
            ),
            "the tree of role leader calls policy 'mate', but the manifest gives the role none",
        ),
        (
            SkillFolder { leader_group: "panda".into(), ..SkillFolder::default() },
            "role leader needs a robot of group 'panda', but the cell gives it ur5e_left, a ur5e",
        ),
        (
            SkillFolder {
                envelope: "schema: 1\nrobots:\n  leader: {tcp: {speed_m_s: 2.0}}\n".into(),
                ..SkillFolder::default()
            },
            "safety_envelope.yaml: the skill's safety envelope is looser than the cell's ceiling: \
             robots.ur5e_left.tcp.speed_m_s is 2, the cell allows at most 0.5",
        ),
    ];
    for (number, (files, message)) in cases.iter().enumerate() {
        let around = Around::default();
        let refused = deployer.carry_out(&bench.order(&format!("2.0.{number}"), files), &around).unwrap_err();
        assert!(refused.unacceptable, "{refused}");
        let refusal = refused.message;
        assert!(refusal.starts_with(message), "\n{refusal}\nexpected\n{message}");
        assert!(refusal.ends_with("; assembly 1.0.0 stays deployed"), "{refusal}");
        assert_eq!(version_in_force(&deployer), "1.0.0");
        assert!(around.loaded.lock().unwrap().is_empty(), "the safety monitor has not heard of it");
    }
    let restarted = bench.deployer();
    restarted.carry_out(&Order::Reload, &Around::default()).unwrap();
    assert_eq!(version_in_force(&restarted), "1.0.0");
}

#[test]
fn a_cycle_of_subtrees_is_named() {
    let bench = Bench::new();
    let files = SkillFolder {
        leader: r#"<root BTCPP_format="4">
            <BehaviorTree ID="Leader"><SubTree ID="Other"/></BehaviorTree>
            <BehaviorTree ID="Other"><SubTree ID="Leader"/></BehaviorTree></root>"#
            .into(),
        ..SkillFolder::default()
    };
    let refusal =
        bench.deployer().carry_out(&bench.order("1.0.0", &files), &Around::default()).unwrap_err().message;
    assert!(
        refusal.contains("Leader") && refusal.contains("Other") && refusal.contains("itself"),
        "{refusal}"
    );
    assert!(refusal.ends_with("; nothing is deployed"), "{refusal}");
}

/// An artifact whose leader includes what `path` names.
fn including(path: &str) -> SkillFolder {
    let leader = format!(
        r#"<root BTCPP_format="4"><include path="{path}"/><BehaviorTree ID="Leader"><Sequence>
             <EnterPhase phase="home"/><SubTree ID="Home"/></Sequence></BehaviorTree></root>"#
    );
    let library =
        r#"<root BTCPP_format="4"><BehaviorTree ID="Home"><MoveJoints/></BehaviorTree></root>"#.to_owned();
    SkillFolder { leader, library: Some(library), ..SkillFolder::default() }
}

#[test]
fn a_tree_is_deployed_with_what_it_includes_from_its_artifact() {
    let bench = Bench::new();
    let order = bench.order("1.0.0", &including("lib/home.xml"));
    let active = bench.deployer().carry_out(&order, &Around::default()).unwrap();
    let ids: Vec<&str> = active.skill.roles[0].tree.nodes().iter().map(|node| &*node.id).collect();
    assert_eq!(ids, ["Sequence", "EnterPhase", "Home", "MoveJoints"]);
}

#[test]
fn an_include_that_leaves_the_artifact_is_refused() {
    let bench = Bench::new();
    let deployer = deployed(&bench);
    // It is there, two folders above the artifact's trees in the store; and it would do.
    fs::write(bench.path("home.xml"), including("").library.unwrap()).unwrap();
    let outside = bench.path("home.xml").display().to_string();
    for (number, path) in ["../../home.xml", "../../../../home.xml", &outside].into_iter().enumerate() {
        let order = bench.order(&format!("2.0.{number}"), &including(path));
        let refusal = deployer.carry_out(&order, &Around::default()).unwrap_err().message;
        let expected = format!(
            "the tree of role leader: trees/leader.xml:1:24: <include path=\"{path}\">: the path leaves the place that holds the \
             tree; only relative paths below it are read; assembly 1.0.0 stays deployed"
        );
        assert_eq!(refusal, expected);
    }
}

#[test]
fn what_the_static_check_warns_of_goes_with_the_deployed_skill() {
    let bench = Bench::new();
    let leader = r#"<root BTCPP_format="4"><BehaviorTree ID="Leader"><Sequence><EnterPhase phase="home"/>
        <Fallback><AlwaysSuccess/><MoveJoints/></Fallback></Sequence></BehaviorTree></root>"#;
    let files = SkillFolder { leader: leader.into(), ..SkillFolder::default() };
    let active = bench.deployer().carry_out(&bench.order("1.0.0", &files), &Around::default()).unwrap();
    let found: Vec<String> = warnings(&active.skill).map(ToString::to_string).collect();
    let [warning] = &found[..] else { panic!("{found:?}") };
    assert!(warning.starts_with("trees/leader.xml:2: warning BT201 (role leader) at "), "{warning}");
    let active = deployed(&Bench::new()).active().unwrap();
    assert_eq!(warnings(&active.skill).count(), 0);
}

/// A policy has to be ONNX, of the right size, and to agree with its golden vectors.
#[test]
fn a_bad_policy_is_refused() {
    assert!(
        std::env::var_os("ORT_DYLIB_PATH").is_some(),
        "ORT_DYLIB_PATH must name libonnxruntime.so for this test"
    );
    let bench = Bench::new();
    let deployer = deployed(&bench);
    let small =
        fs::read(PathBuf::from(REPOSITORY).join("packages/adapters/swarm_onnx/tests/data/double.onnx"))
            .unwrap();
    let golden = r#"{"tolerance": 0.001, "vectors": [{"observation": [0], "action": [0]}]}"#;
    let cases = [
        (b"no model at all".to_vec(), golden, "policy 'mate' (mate.onnx): cannot load the ONNX model: "),
        (
            small.clone(),
            golden,
            "policy 'mate' (mate.onnx): the ONNX model's input 'observation' has 3 values, expected 18",
        ),
        (
            small,
            "{}",
            "the golden vectors of policy 'mate' (mate.golden.json): the golden vectors cannot be read: missing field `tolerance`",
        ),
    ];
    for (number, (onnx, golden, message)) in cases.into_iter().enumerate() {
        let files = SkillFolder { policy: Some((onnx, golden.into())), ..SkillFolder::default() };
        let refusal = deployer
            .carry_out(&bench.order(&format!("3.0.{number}"), &files), &Around::default())
            .unwrap_err();
        assert!(refusal.unacceptable, "{refusal}");
        let refusal = refusal.message;
        assert!(refusal.starts_with(message), "\n{refusal}\nexpected\n{message}");
        assert_eq!(version_in_force(&deployer), "1.0.0");
    }
}

/// Runs the calling test once more, by its name, in a process of its own; `true` in that process.
fn in_a_process_of_its_own(test: &str) -> bool {
    const MARK: &str = "SWARM_TEST_IN_ITS_OWN_PROCESS";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

#[test]
fn a_missing_onnx_runtime_is_the_cells_fault_and_the_same_order_succeeds_once_it_is_there() {
    // A process keeps the library that it has loaded.
    if !in_a_process_of_its_own(
        "deployment::a_missing_onnx_runtime_is_the_cells_fault_and_the_same_order_succeeds_once_it_is_there",
    ) {
        return;
    }
    let bench = Bench::new();
    let places = Places { onnx_runtime: bench.path("libonnxruntime.so"), ..bench.places() };
    let deployer = Deployer::new(places.clone(), bench.robots());
    let onnx =
        fs::read(PathBuf::from(REPOSITORY).join("packages/adapters/swarm_onnx/tests/data/first_six.onnx"));
    let (observation, action) = ([1.0; 18], [1.0; 6]);
    let golden = format!(
        r#"{{"tolerance": 0.001, "vectors": [{{"observation": {observation:?}, "action": {action:?}}}]}}"#
    );
    let files = SkillFolder { policy: Some((onnx.unwrap(), golden)), ..SkillFolder::default() };
    let order = bench.order("1.0.0", &files);

    let refused = deployer.carry_out(&order, &Around::default()).unwrap_err();
    assert!(refused.message.contains("cannot load ONNX Runtime from "), "{refused}");
    assert!(!refused.unacceptable, "{refused}");

    std::os::unix::fs::symlink(bench.places().onnx_runtime, &places.onnx_runtime).unwrap();
    deployer.carry_out(&order, &Around::default()).unwrap();
    assert_eq!(version_in_force(&deployer), "1.0.0");
}

#[test]
fn a_role_that_the_cell_gives_no_robot_is_the_cells_fault() {
    let without_spotter = shipped_cell().replace(", spotter: panda}", "}");
    assert_ne!(without_spotter, shipped_cell());
    let bench = Bench::of(robots_of(&without_spotter));
    let of_spotter = "schema: 1\nrobots:\n  spotter: {tcp: {speed_m_s: 0.3}}\n".to_owned();
    let files = [SkillFolder::default(), SkillFolder { envelope: of_spotter, ..SkillFolder::default() }];
    for (number, files) in files.iter().enumerate() {
        let order = bench.order(&format!("1.0.{number}"), files);
        let refused = bench.deployer().carry_out(&order, &Around::default()).unwrap_err();
        assert!(refused.message.starts_with("role spotter has no robot: "), "{refused}");
        assert!(!refused.unacceptable, "{refused}");
    }
}

#[test]
fn nothing_is_deployed_while_anything_moves_or_the_monitor_refuses() {
    let bench = Bench::new();
    let deployer = deployed(&bench);
    let order = bench.order("1.1.0", &SkillFolder::default());
    let cases = [
        (
            Around { rad_per_s: 0.3, ..Around::default() },
            "panda moves at 0.300 rad/s; deploying needs every arm at rest (at most 0.01 rad/s); assembly 1.0.0 stays deployed",
        ),
        (
            Around { run: Some("r9".into()), ..Around::default() },
            "run r9 is in progress; cancel it or wait for its end; assembly 1.0.0 stays deployed",
        ),
        (
            Around { refusal: Some("no node offers it".into()), ..Around::default() },
            "no node offers it; assembly 1.0.0 stays deployed",
        ),
    ];
    for (around, message) in cases {
        let refused = deployer.carry_out(&order, &around).unwrap_err();
        assert_eq!((refused.message.as_str(), refused.unacceptable), (message, false));
        assert_eq!(version_in_force(&deployer), "1.0.0");
    }
    deployer.carry_out(&order, &Around::default()).unwrap();
    assert_eq!(version_in_force(&deployer), "1.1.0", "the refusals left nothing behind");
}

#[test]
fn a_wrong_signature_and_a_wrong_skill_are_refused() {
    let bench = Bench::new();
    let deployer = deployed(&bench);
    let archive = bench.artifact("1.2.0", &SkillFolder::default());
    let order = |skill_id: &str| Order::Deploy {
        archive: archive.clone(),
        signature: PathBuf::new(),
        skill_id: skill_id.to_owned(),
        intent: Intent::Upgrade,
    };
    assert_eq!(
        deployer.carry_out(&order("painting"), &Around::default()).unwrap_err().message,
        "the artifact holds the skill 'assembly', not 'painting'; assembly 1.0.0 stays deployed"
    );
    let mut bytes = fs::read(&archive).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&archive, bytes).unwrap();
    let NotDeployed { message: refusal, unacceptable } =
        deployer.carry_out(&order(""), &Around::default()).unwrap_err();
    assert!(
        unacceptable && refusal.contains("signature") && refusal.ends_with("assembly 1.0.0 stays deployed"),
        "{refusal}"
    );
    assert_eq!(version_in_force(&deployer), "1.0.0");
}

#[test]
fn a_rollback_goes_to_the_last_good_version_and_survives_a_restart() {
    let bench = Bench::new();
    let deployer = deployed(&bench);
    assert_eq!(deployer.last_good(), "", "there is nothing before the first version");
    let first = deployer.active().unwrap().artifact;
    deployer.carry_out(&bench.order("1.1.0", &SkillFolder::default()), &Around::default()).unwrap();
    assert_eq!(deployer.last_good(), "1.0.0");

    let around = Around::default();
    deployer.carry_out(&Order::Rollback(None), &around).unwrap();
    assert_eq!(version_in_force(&deployer), "1.0.0");
    assert_eq!(*around.loaded.lock().unwrap(), [Some(first)], "its envelope was loaded again");

    let restarted = bench.deployer();
    assert!(restarted.active().is_none() && restarted.has_deployment());
    restarted.carry_out(&Order::Reload, &Around::default()).unwrap();
    assert_eq!(version_in_force(&restarted), "1.0.0");

    restarted.carry_out(&Order::Rollback(Some(Version::new(1, 1, 0))), &Around::default()).unwrap();
    assert_eq!(version_in_force(&restarted), "1.1.0", "a named version may be one that was rolled back from");
    let refused =
        restarted.carry_out(&Order::Rollback(Some(Version::new(9, 0, 0))), &Around::default()).unwrap_err();
    let refusal = refused.message;
    assert!(refusal.contains("9.0.0") && refusal.ends_with("; assembly 1.1.0 stays deployed"), "{refusal}");
}

#[test]
fn a_version_that_came_into_force_after_a_crash_is_one_to_go_back_to() {
    let bench = Bench::new();
    deployed(&bench);
    bench.flip("1.1.0");
    let restarted = bench.deployer();
    restarted.carry_out(&Order::Reload, &Around::default()).unwrap();
    assert_eq!((version_in_force(&restarted), restarted.last_good()), ("1.1.0".into(), "1.0.0".into()));

    restarted.carry_out(&bench.order("1.2.0", &SkillFolder::default()), &Around::default()).unwrap();
    restarted.carry_out(&Order::Rollback(None), &Around::default()).unwrap();
    assert_eq!(version_in_force(&restarted), "1.1.0");
}

#[test]
fn a_store_that_could_not_be_told_that_a_version_is_good_is_told_later() {
    let bench = Bench::new();
    deployed(&bench);
    bench.flip("1.1.0");
    let is_good = || bench.store().deployed().unwrap().unwrap().history.pop().unwrap().good;
    // Another process writes to the store.
    let busy = fs::File::create(bench.path("store/pointer.lock")).unwrap();
    busy.lock().unwrap();
    let restarted = bench.deployer();
    restarted.carry_out(&Order::Reload, &Around::default()).unwrap();
    assert_eq!(version_in_force(&restarted), "1.1.0", "it is in force all the same");
    assert!(!restarted.tell_good_again() && !is_good());

    drop(busy);
    assert!(restarted.tell_good_again() && is_good());
    assert!(!restarted.tell_good_again(), "it knows by now");
}

#[test]
fn an_older_version_that_was_never_here_is_deployed_only_if_older_is_allowed() {
    let bench = Bench::new();
    let deployer = deployed(&bench);
    let older = bench.artifact("0.9.0", &SkillFolder::default());
    let order = |intent| Order::Deploy {
        archive: older.clone(),
        signature: PathBuf::new(),
        skill_id: String::new(),
        intent,
    };
    let refused = deployer.carry_out(&order(Intent::Upgrade), &Around::default()).unwrap_err();
    assert!(refused.unacceptable && refused.message.contains("ask for a rollback"), "{refused}");
    deployer.carry_out(&order(Intent::Rollback), &Around::default()).unwrap();
    assert_eq!(version_in_force(&deployer), "0.9.0");
    assert_eq!(deployer.last_good(), "", "what was left for something older is not gone back to");
}

#[test]
fn there_is_nothing_to_reload_before_the_first_deployment() {
    let bench = Bench::new();
    assert_eq!(
        bench.deployer().carry_out(&Order::Reload, &Around::default()).unwrap_err().message,
        "no skill has been deployed yet; use /skill_runtime/deploy; nothing is deployed"
    );
}
