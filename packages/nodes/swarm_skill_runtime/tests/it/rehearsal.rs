//! Previews of the deployed skill: from where the arms are, under its envelope, one at a time, and ended when they are told to.

use std::cell::RefCell;
use std::sync::Arc;

use crate::common::{Around, Bench, SkillFolder};
use swarm_base::{Shutdown, Time};
use swarm_skill_core::{Limit, Outcome, Preview, PreviewRefusal};
use swarm_skill_runtime::deployer::{ActiveSkill, Deployer};
use swarm_skill_runtime::rehearsal::{Rehearsals, Rehearsed};
use swarm_skill_runtime::world::World;

/// A runtime with a deployed skill, in a cell that is only measured.
struct Stage {
    bench: Bench,
    deployer: Deployer,
    active: Arc<ActiveSkill>,
    world: World,
    rehearsals: Rehearsals,
}

impl Stage {
    fn of(files: &SkillFolder) -> Self {
        let bench = Bench::new();
        let deployer = bench.deployer();
        let active = deployer.carry_out(&bench.order("1.0.0", files), &Around::default()).unwrap();
        let world = World::new(&bench.robots());
        Self { bench, deployer, active, world, rehearsals: Rehearsals::default() }
    }

    /// Every arm's first joint is measured so far from home.
    fn arms_at(mut self, away_rad: f64) -> Self {
        for (robot, spec) in self.bench.robots().robots.iter().zip(&self.active.skill.roles) {
            let names: Vec<String> = robot.arm.joints().iter().map(|joint| joint.name.clone()).collect();
            let mut q: Vec<f64> = spec.home.iter().take(names.len()).copied().collect();
            q[0] += away_rad;
            self.world.hear_joints(&names, &q, &vec![0.0; names.len()], Time::from_millis(1));
        }
        self
    }

    fn play(&self, stop: &Shutdown) -> Preview {
        let begun = self.rehearsals.begin(Arc::clone(&self.active), &self.bench.robots(), &self.world);
        let told = RefCell::new(Vec::new());
        begun.unwrap().play(&self.deployer, stop, &|news| told.borrow_mut().push(news));
        match told.into_inner().pop() {
            Some(Rehearsed::Done(Ok(preview))) => preview,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_preview_begins_where_the_arms_are() {
    let go = Shutdown::new();
    let at_home = Stage::of(&SkillFolder::default()).arms_at(0.0).play(&go);
    let away = Stage::of(&SkillFolder::default()).arms_at(0.1).play(&go);
    assert_eq!((at_home.verdict(), away.verdict()), (Ok(()), Ok(())));
    assert!(away.duration > at_home.duration, "{:?} {:?}", away.duration, at_home.duration);
    for (away, at_home) in away.arms.iter().zip(&at_home.arms) {
        assert!(away.swept.voxels > at_home.swept.voxels, "{away:?} {at_home:?}");
    }
    // Where nobody has heard of an arm, it is taken to be at home.
    assert_eq!(Stage::of(&SkillFolder::default()).play(&go), at_home);
}

#[test]
fn a_skill_that_breaks_its_envelope_is_refused_with_the_place() {
    // The leader turns its first joint 0.1 rad beyond what its envelope allows.
    let leader = r#"<root BTCPP_format="4"><BehaviorTree ID="Leader"><Sequence><EnterPhase phase="home"/>
        <MoveJoints name="beyond" q="-0.7;-1.5708;1.5708;-1.5708;-1.5708;0.5708"/></Sequence></BehaviorTree></root>"#;
    let envelope = "schema: 1\nrobots:\n  leader: {joints: {upper_rad: [-0.8, 3.6, 3.1, 3.6, 3.6, 3.6]}}\n";
    let files = SkillFolder { leader: leader.into(), envelope: envelope.into(), ..SkillFolder::default() };
    let preview = Stage::of(&files).play(&Shutdown::new());
    let Err(PreviewRefusal::Breaches(breaches)) = preview.verdict() else { panic!("{preview:#?}") };
    let [breach] = &breaches[..] else { panic!("{breaches:#?}") };
    assert_eq!((breach.limit, breach.robot.as_str()), (Limit::JointPosition, "ur5e_left"));
    assert!((breach.margin() + 0.1).abs() < 0.005, "{breach}");
    assert_eq!((breach.place.phase.as_str(), breach.place.role.as_str()), ("home", "leader"));
}

#[test]
fn a_preview_ends_when_it_is_told_to() {
    let stop = Shutdown::new();
    stop.request();
    let preview = Stage::of(&SkillFolder::default()).play(&stop);
    assert_eq!(preview.outcome, Outcome::Canceled("canceled by the operator".into()));
}

#[test]
fn there_is_one_preview_at_a_time() {
    let stage = Stage::of(&SkillFolder::default());
    let begin = || stage.rehearsals.begin(Arc::clone(&stage.active), &stage.bench.robots(), &stage.world);
    let first = begin().unwrap();
    assert_eq!(begin().unwrap_err(), "another preview is being computed; cancel it or wait for its end");
    drop(first);
    // Whoever has heard of the end of one can have the next.
    let told = RefCell::new(None);
    begin().unwrap().play(&stage.deployer, &Shutdown::new(), &|news| {
        if let Rehearsed::Done(_) = news {
            *told.borrow_mut() = Some(begin().map(drop));
        }
    });
    assert_eq!(told.into_inner(), Some(Ok(())));
}

/// The artifact in the store is the one that is judged, not what somebody has made of it since.
#[test]
fn what_was_changed_in_the_store_is_not_previewed() {
    let stage = Stage::of(&SkillFolder::default());
    let tree = walk(&stage.bench.path("store")).into_iter().find(|path| path.ends_with("trees/leader.xml"));
    let tree = tree.expect("the tree is in the store");
    let mut permissions = std::fs::metadata(&tree).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a folder of this test alone")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&tree, permissions).unwrap();
    std::fs::write(&tree, crate::common::tree("Leader").replace("<MoveJoints/>", "")).unwrap();
    let refusal = stage.deployer.rehearsal(&stage.active).unwrap_err();
    assert!(refusal.contains("leader.xml"), "{refusal}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
