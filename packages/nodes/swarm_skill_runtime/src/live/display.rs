//! The display thread: views and scenes to whoever has subscribed.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use swarm_foxglove::{Capsule, Part, SceneRobot, Server, Tone};
use swarm_kinematics::JointVector;
use swarm_skill_core::PartSighting;
use swarm_view::{CellView, RobotView};

use crate::robots::Robots;

/// One view with what its scene is made from.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) view: CellView,
    /// rad, in the order of the cell's declaration.
    pub(super) postures: Vec<Option<JointVector>>,
    pub(super) parts: Vec<PartSighting>,
}

#[derive(Debug)]
pub(super) struct Display {
    server: Server,
    robots: Arc<Robots>,
}

impl Display {
    pub(super) fn new(server: Server, robots: Arc<Robots>) -> Self {
        Self { server, robots }
    }

    /// Until the other end is dropped.
    pub(super) fn run(&self, frames: &Receiver<Frame>) {
        for frame in frames {
            self.server.show(&frame.view);
            if self.server.scene_is_wanted() {
                let parts = frame.parts.iter();
                let parts = parts.map(|part| Part { name: part.part.clone(), in_world: part.in_world });
                let parts: Vec<Part> = parts.collect();
                self.server.show_scene(frame.view.unix_ns, &self.arms(&frame), &parts);
            }
        }
    }

    /// The arms that have been heard, as the capsules that distances are measured of.
    fn arms(&self, frame: &Frame) -> Vec<SceneRobot> {
        let known = self.robots.robots.iter().zip(&frame.postures);
        known
            .filter_map(|(robot, q)| {
                let capsules = robot.arm.capsules(&robot.arm.forward(q.as_ref()?));
                let safety = frame.view.safety.robots.iter().find(|safety| safety.robot == robot.name);
                Some(SceneRobot {
                    name: robot.name.clone(),
                    tone: tone(&frame.view.safety.state, safety),
                    capsules: capsules
                        .as_slice()
                        .iter()
                        .map(|capsule| Capsule {
                            from_m: capsule.a.coords.into(),
                            to_m: capsule.b.coords.into(),
                            radius_m: capsule.radius,
                        })
                        .collect(),
                })
            })
            .collect()
    }
}

fn tone(state: &str, robot: Option<&RobotView>) -> Tone {
    match (state, robot) {
        ("STOP1" | "STOP2" | "ESTOP", _) => Tone::Stopped,
        ("RUN" | "SLOW", Some(robot)) if robot.speed_scale < 1.0 => Tone::Slowed,
        ("RUN" | "SLOW", Some(_)) => Tone::Moving,
        _ => Tone::Standing,
    }
}
