//! Limits into force: from the service that read and checked them to the deciding thread.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use swarm_black_box_file::Announce;
use swarm_ros::LifecycleState;
use swarm_rt::cells::queue::Sender;
use swarm_rt::wake::Waker;
use swarm_safety_core::Config;

use crate::board::{Board, InForce};
use crate::envelopes::{Envelopes, Limits};

/// The service's end.
#[derive(Debug)]
pub struct Exchange {
    pub envelopes: Envelopes,
    pub board: Arc<Board>,
    /// Told of limits before they are in force.
    pub recorder: Option<Announce>,
    pub limits: Sender<Arc<Config>>,
    pub waker: Waker,
    pub lifecycle: LifecycleState,
    /// Number of the newest limits that were asked for.
    pub generation: u64,
}

/// Only an active node has a deciding thread that decides.
pub fn require_active(lifecycle: &LifecycleState) -> Result<(), String> {
    if lifecycle.is_active() {
        return Ok(());
    }
    Err("the node is not active, and nothing was done (ros2 lifecycle get /safety_monitor)".to_owned())
}

impl Exchange {
    /// Reads the limits of `artifact` (empty: the ceiling alone), checks them and hands them over; their epoch comes when they are in
    /// force. Each try has a number of its own: one that was announced and then given up must not stand for the next.
    pub fn load(&mut self, artifact: &str) -> Result<Receiver<u64>, String> {
        self.generation += 1;
        let config = self.board.status().config;
        let limits = self.envelopes.load(&config, artifact, self.generation).map_err(|error| error.text())?;
        self.order(limits)
    }

    /// The core stops a cell whose limits change in motion; asking first spares a running skill that stop.
    fn order(&mut self, limits: Limits) -> Result<Receiver<u64>, String> {
        require_active(&self.lifecycle)?;
        if let Some((robot, speed)) = self.moving() {
            return Err(format!(
                "{robot} moves at {speed:.3} rad/s: an envelope is exchanged only while every arm is at rest"
            ));
        }
        let Limits { config, skill, artifact, envelope } = limits;
        let config = Arc::new(config);
        let (reply, answer) = mpsc::channel();
        let digest = artifact.unwrap_or_default();
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
        self.limits.send(config).map_err(|_| {
            "the deciding thread has not taken the limits before these; load them again".to_owned()
        })?;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use swarm_ros::CellFile;
    use swarm_ros::lifecycle::{Lifecycle, Managed};
    use swarm_rt::cells::queue;
    use swarm_rt::wake;
    use swarm_safety_core::{Timing, Tolerances};

    use super::*;
    use crate::setup;

    struct AlwaysReady;

    impl Managed for AlwaysReady {}

    #[test]
    fn limits_that_found_the_deciding_thread_busy_are_not_taken_for_the_next() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../config/cell.yaml");
        let cell = CellFile::read(&path).unwrap();
        let config = setup::sources(&cell).unwrap().config(Timing::default(), Tolerances::default()).unwrap();
        let lifecycle = LifecycleState::default();
        let mut node = Lifecycle::new(Box::new(AlwaysReady), lifecycle.clone(), |_| {});
        let (limits, mut deciding) = queue::queue(1);
        let mut exchange = Exchange {
            envelopes: Envelopes {
                cell: cell.config.cell.clone(),
                store: "/nowhere".into(),
                trust_file: "/nowhere".into(),
                roles: swarm_safety_setup::roles(&cell.config),
            },
            board: Arc::new(Board::new(Arc::new(config), 1)),
            recorder: None,
            limits,
            waker: wake::pair().1,
            lifecycle,
            generation: 0,
        };
        let refused = exchange.load("").unwrap_err();
        assert!(refused.contains("not active"), "{refused}");
        for label in ["configure", "activate"] {
            assert_eq!(node.change(0, label), Ok(true));
        }
        exchange.load("").unwrap();
        let refused = exchange.load("").unwrap_err();
        assert!(refused.contains("has not taken the limits before these"), "{refused}");
        let first = deciding.receive().unwrap().generation();
        exchange.load("").unwrap();
        let third = deciding.receive().unwrap().generation();
        assert_eq!((first, third), (2, 4), "each try has a number");
    }
}
