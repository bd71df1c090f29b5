//! Previews of the skill in force: its trees run on a kinematic twin, and nothing moves ([`swarm_skill_core::preview`]).
//!
//! 1. [`Rehearsals::begin`] lets one in at a time: computing needs a processor, which the control loop needs as well.
//! 2. What is played is the cell as it was measured last: where the arms are, which parts have been seen.
//! 3. [`Rehearsal::play`], on a thread of its own, assembles the skill once more and runs it; it tells how far it is, and ends
//!    when it is told to stop.
//!
//! Whether the safety monitor would permit motion is not asked: a skill can be looked at before the cell is ready.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use swarm_base::Shutdown;
use swarm_kinematics::JointVector;
use swarm_skill_core::{
    Grasps, PartSighting, Preview, RoleState, Run, Scene, Skill, TwinPart, preview_watched,
};

use crate::deployer::{ActiveSkill, Deployer};
use crate::robots::Robots;
use crate::world::World;

/// Time between two tellings.
const TELL_PERIOD: Duration = Duration::from_millis(100);

/// What whoever asked for a preview is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Rehearsed {
    /// The roles on the twin.
    Progress(Vec<RoleState>),
    /// The preview, or why there is none.
    Done(Result<Preview, String>),
}

/// Lets previews in, one at a time.
#[derive(Debug, Default)]
pub struct Rehearsals {
    busy: Arc<AtomicBool>,
}

/// A preview that has been let in.
#[derive(Debug)]
pub struct Rehearsal {
    active: Arc<ActiveSkill>,
    /// Where every arm is, in the order of the declaration, and what has been seen.
    postures: Vec<(String, Option<JointVector>)>,
    parts: Vec<TwinPart>,
    _place: Place,
}

/// Given back however the preview ends.
#[derive(Debug)]
struct Place(Arc<AtomicBool>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Rehearsals {
    /// Takes down how the cell is now. The error says that there is a preview already.
    pub fn begin(
        &self,
        active: Arc<ActiveSkill>,
        robots: &Robots,
        world: &World,
    ) -> Result<Rehearsal, String> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err("another preview is being computed; cancel it or wait for its end".into());
        }
        let place = Place(Arc::clone(&self.busy));
        let names = robots.robots.iter().map(|robot| robot.name.clone());
        let part = |seen: &PartSighting| TwinPart {
            name: seen.part.clone(),
            in_world: seen.in_world,
            grasps: Grasps::Anywhere,
        };
        Ok(Rehearsal {
            active,
            postures: names.zip(world.postures()).collect(),
            parts: world.sightings().latest().iter().map(part).collect(),
            _place: place,
        })
    }
}

impl Rehearsal {
    /// Computes the preview. `tell` gets the progress about ten times a second, and the end.
    pub fn play(self, deployer: &Deployer, stop: &Shutdown, tell: &dyn Fn(Rehearsed)) {
        let result = deployer.rehearsal(&self.active).and_then(|(skill, limits)| {
            let scene = self.scene(&skill);
            let mut told = Instant::now();
            let mut watch = |run: &Run| {
                if stop.is_requested() {
                    return ControlFlow::Break("canceled by the operator".to_owned());
                }
                if told.elapsed() >= TELL_PERIOD {
                    told = Instant::now();
                    tell(Rehearsed::Progress(run.role_states()));
                }
                ControlFlow::Continue(())
            };
            preview_watched(&skill, &limits, &scene, &mut watch).map_err(|refusal| refusal.to_string())
        });
        // The next one may begin as soon as this one's end has been heard of.
        let title = self.active.title();
        drop(self);
        match &result {
            Ok(preview) => match preview.verdict() {
                Ok(()) => tracing::info!("preview of {title}: {:.2} s", preview.duration.as_secs_f64()),
                Err(refusal) => tracing::warn!("preview of {title}: {refusal}"),
            },
            Err(reason) => tracing::warn!("no preview of {title}: {reason}"),
        }
        tell(Rehearsed::Done(result));
    }

    /// Arms are where they are, at home where nobody has heard of them.
    fn scene(&self, skill: &Skill) -> Scene {
        let posture = |robot: &str| self.postures.iter().find(|(name, _)| name == robot)?.1;
        Scene {
            starts: skill.roles.iter().map(|spec| posture(&spec.robot)).collect(),
            ..Scene::with_parts(self.parts.clone())
        }
    }
}
