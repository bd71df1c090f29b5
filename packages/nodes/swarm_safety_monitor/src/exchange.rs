//! Limits into force: from the service that read and checked them to the deciding thread.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use swarm_black_box_file::Announce;
use swarm_ros::LifecycleState;
use swarm_rt::cells::queue::Sender;
use swarm_rt::wake::Waker;
use swarm_safety_core::Config;

use crate::envelopes::Limits;
use crate::intake::Intake;
use crate::publishing::{Board, InForce};

/// The service's end.
#[derive(Debug)]
pub struct Exchange {
    pub board: Arc<Board>,
    pub intake: Arc<Intake>,
    /// Told of limits before they are in force.
    pub recorder: Option<Announce>,
    pub limits: Sender<Arc<Config>>,
    pub waker: Waker,
    pub lifecycle: LifecycleState,
}

impl Exchange {
    /// Hands limits over; their epoch comes when they are in force. The core stops a cell whose limits change in motion; asking
    /// first spares a running skill that stop.
    pub fn order(&mut self, limits: Limits) -> Result<Receiver<u64>, String> {
        if !self.lifecycle.is_active() {
            return Err("the node is not active (ros2 lifecycle get /safety_monitor)".to_owned());
        }
        if let Some((robot, speed)) = self.moving() {
            return Err(format!(
                "{robot} moves at {speed:.3} rad/s: an envelope is exchanged only while every arm is at rest"
            ));
        }
        let Limits { config, skill, artifact, envelope } = limits;
        let config = Arc::new(config);
        let (reply, answer) = mpsc::channel();
        let digest = artifact.clone().unwrap_or_default();
        tracing::info!(skill, artifact = digest, "limits exchanged");
        if let Some(recorder) = &self.recorder {
            recorder.limits(swarm_black_box::Limits {
                generation: config.generation(),
                envelope,
                skill: skill.clone(),
                artifact: digest.clone(),
            });
        }
        self.board.announce(InForce { config: Arc::clone(&config), skill, artifact: digest }, reply);
        // Commands of the new artifact count from now on; of which epoch they are, the deciding thread says.
        self.intake.loaded(artifact.as_deref());
        self.limits
            .send(config)
            .map_err(|_| "the deciding thread has not taken the limits before these".to_owned())?;
        self.waker.wake();
        Ok(answer)
    }

    /// A robot that is told to move, or moves, and how fast.
    fn moving(&self) -> Option<(String, f64)> {
        let status = self.board.status();
        let (rest, told) = (status.config.tolerances().rest_rad_s, status.state.moves());
        status.config.arms().iter().zip(&status.inputs.robots).find_map(|(arm, heard)| {
            let speed = heard.joints.map_or(0.0, |joints| joints.qd.amax());
            (told || speed > rest).then(|| (arm.name.clone(), speed))
        })
    }
}
