//! What is shown of a cell while it runs: trees to Groot2, roles and safety to Foxglove and `cell watch`, figures to Prometheus.
//!
//! [`Live`] belongs to the control thread and waits for nobody: trees go through wait-free feeds, views through a bounded queue to
//! the [`display`] thread, which turns them into messages and works out the scene; what finds the queue full is left out, since a
//! newer view follows in 50 ms. A server that cannot be started is reported and left out: no robot stands still because nobody can watch.

mod display;
mod leases;
mod phases;
mod trees;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use swarm_base::{Duration, ErrorChain, Role, Time};
use swarm_foxglove::{Camera, Server as FoxgloveServer};
use swarm_groot::{Feed, Server as GrootServer};
use swarm_metrics::{Metrics, RunEnd, Server as MetricsServer};
use swarm_skill_core::{Activity, Outcome, RoleState, Run};
use swarm_view::{CellView, LeaseView, Place, RoleView};

use crate::deployer::ActiveSkill;
use crate::engine::{Turn, Watch};
use crate::robots::Robots;
use crate::world::World;
use display::{Display, Frame};
use phases::Phases;
use trees::TreeView;

/// Where to listen; port 0 leaves a server out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Loopback unless somebody has said otherwise.
    pub address: IpAddr,
    /// Of the first role; the others follow in steps of two, since Groot2 takes a port and the next one.
    pub groot: u16,
    pub foxglove: u16,
    pub metrics: u16,
}

impl Default for Ports {
    /// No server at all.
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), groot: 0, foxglove: 0, metrics: 0 }
    }
}

/// Time between two views.
const VIEW_PERIOD: Duration = Duration::from_millis(50);

/// Views that wait for the display thread at most.
const QUEUE: usize = 2;

/// Roles by the order of their Groot2 ports.
pub const GROOT_PORTS: [(Role, u16); 3] = [(Role::Leader, 0), (Role::Follower, 2), (Role::Spotter, 4)];

/// The control thread's end of everything that is shown.
#[derive(Debug)]
pub struct Live {
    metrics: Arc<Metrics>,
    groot: Vec<(Role, GrootServer)>,
    /// Of the present run, in the order of its roles.
    feeds: Vec<Feed>,
    trees: Vec<TreeView>,
    leases: Vec<LeaseView>,
    phases: Phases,
    views: Option<SyncSender<Frame>>,
    display: Option<JoinHandle<()>>,
    _page: Option<MetricsServer>,
    sequence: u64,
    shown: Time,
    /// In the order in which their topics were named; empty without a Foxglove server.
    cameras: Vec<Camera>,
    /// Servers that could not be started, as sentences.
    missing: Vec<String>,
}

impl Live {
    /// `cameras` are the topics under which pictures will be shown, see [`Live::cameras`].
    pub fn start(ports: &Ports, cameras: &[String], metrics: Arc<Metrics>, robots: Arc<Robots>) -> Self {
        let mut missing = Vec::new();
        let mut note = |error: &dyn std::error::Error| missing.push(ErrorChain(error).to_string());
        let at = |port: u16| (port != 0).then(|| SocketAddr::new(ports.address, port));
        let page = at(ports.metrics).and_then(|address| {
            MetricsServer::start_at(address, Arc::clone(&metrics)).inspect_err(|error| note(error)).ok()
        });
        let groot = GROOT_PORTS.iter().filter_map(|(role, step)| {
            let address = at(ports.groot.checked_add(*step).filter(|_| ports.groot != 0)?)?;
            let server = GrootServer::start_at(address).inspect_err(|error| note(error)).ok()?;
            Some((*role, server))
        });
        let groot = groot.collect();
        let foxglove = at(ports.foxglove).and_then(|address| {
            FoxgloveServer::start_at(address, robots.cell()).inspect_err(|error| note(error)).ok()
        });
        let cameras = foxglove.iter().flat_map(|server| cameras.iter().map(|topic| server.camera(topic)));
        let cameras = cameras.collect();
        let (views, display) = match foxglove.map(|server| Display::new(server, robots)) {
            None => (None, None),
            Some(display) => {
                let (views, queue) = sync_channel(QUEUE);
                let thread = std::thread::Builder::new().name("display".into());
                match thread.spawn(move || display.run(&queue)) {
                    Ok(thread) => (Some(views), Some(thread)),
                    Err(error) => {
                        note(&error);
                        (None, None)
                    }
                }
            }
        };
        for reason in &missing {
            tracing::error!("{reason} (the cell runs without it)");
        }
        Self {
            metrics,
            groot,
            feeds: Vec::new(),
            trees: Vec::new(),
            leases: Vec::new(),
            phases: Phases::default(),
            views,
            display,
            _page: page,
            sequence: 0,
            shown: Time::ZERO,
            cameras,
            missing,
        }
    }

    /// Servers that could not be started, as sentences.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Where the pictures of each camera go.
    pub fn cameras(&self) -> &[Camera] {
        &self.cameras
    }

    /// After a turn: counts how long it took, and shows it when a view is due.
    pub fn turned(
        &mut self,
        turn: &Turn,
        took: std::time::Duration,
        active: Option<&ActiveSkill>,
        world: &dyn Fn() -> Seen,
        now: Time,
    ) {
        self.metrics.tick(took);
        let Some(views) = &self.views else { return };
        if now.since(self.shown) < VIEW_PERIOD {
            return;
        }
        self.shown = now;
        self.sequence += 1;
        let seen = world();
        let view = CellView {
            unix_ns: unix_ns(),
            sequence: self.sequence,
            skill: active.map(|active| format!("{}@{}", active.skill_id, active.version)).unwrap_or_default(),
            run: turn.trace_id.clone(),
            running: turn.running,
            roles: role_views(&turn.roles, &self.trees),
            leases: self.leases.clone(),
            safety: seen.safety,
        };
        // A full queue means a display that is behind: the next view is newer anyhow.
        let _ = views.try_send(Frame { view, postures: seen.postures, parts: seen.parts });
    }

    pub fn overrun(&self) {
        self.metrics.overrun();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.views.take();
        // A panic of the thread has been printed by then.
        let _ = self.display.take().map(JoinHandle::join);
    }
}

/// What of the world is shown.
#[derive(Debug)]
pub struct Seen {
    safety: swarm_view::SafetyView,
    postures: Vec<Option<swarm_kinematics::JointVector>>,
    parts: Vec<swarm_skill_core::PartSighting>,
}

impl Seen {
    pub fn of(world: &World, now: Time) -> Self {
        let parts = world.sightings().latest().to_vec();
        Self { safety: world.safety_view(now), postures: world.postures(), parts }
    }
}

impl Watch for Live {
    fn began(&mut self, run: &mut Run, now: Time) {
        self.feeds.clear();
        self.trees.clear();
        for (spec, ..) in run.watched() {
            let (feed, source) = swarm_groot::feed(&spec.tree);
            if let Some((_, server)) = self.groot.iter().find(|(role, _)| *role == spec.role) {
                server.show(source);
            }
            self.feeds.push(feed);
            self.trees.push(TreeView::new(spec.role, &spec.tree));
        }
        self.leases.clear();
        self.phases = Phases::new(now);
    }

    fn ticked(&mut self, run: &mut Run, now: Time) {
        for (((spec, state, ring), feed), view) in run.watched().zip(&mut self.feeds).zip(&mut self.trees) {
            swarm_bt::Observer::begin(feed, state.tick_count(), now);
            for (_, transition) in ring.drain() {
                swarm_bt::Observer::transition(feed, transition);
            }
            feed.publish(&spec.tree, state);
            view.look(&spec.tree, state);
        }
        let phases: Vec<String> = run.role_states().into_iter().map(|role| role.phase).collect();
        let barriers: Vec<Option<&str>> = self.trees.iter().map(TreeView::phase_barrier).collect();
        self.leases = leases::of(run.executors());
        for executor in run.executors() {
            if let Some(score) = executor.policy_tick().score {
                self.metrics.observation_deviation(executor.spec().role.as_str(), score);
            }
        }
        if let Some(entered) = self.phases.look(&phases, &barriers, now) {
            self.metrics.phase_entered(&entered.from, &entered.to, entered.took.to_std());
        }
    }

    fn ended(&mut self, skill: &ActiveSkill, outcome: &Outcome) {
        // A role that was stopped may keep its ticket to the end; the resource goes with the run.
        self.leases.clear();
        let end = match outcome {
            Outcome::Succeeded => RunEnd::Succeeded,
            Outcome::Aborted(_) => RunEnd::Aborted,
            Outcome::Canceled(_) => RunEnd::Canceled,
        };
        self.metrics.run_ended(&skill.skill_id, end);
    }
}

fn role_views(states: &[RoleState], trees: &[TreeView]) -> Vec<RoleView> {
    let tree_of = |role: Role| trees.iter().find(|tree| tree.role() == role);
    let view = |state: &RoleState| {
        let ended = matches!(
            state.activity,
            Activity::Idle | Activity::Succeeded | Activity::Aborted | Activity::Canceled
        );
        RoleView {
            role: state.role.to_string(),
            robot: state.robot.clone(),
            phase: state.phase.clone(),
            progress: state.progress,
            activity: activity(state.activity),
            message: state.message.clone(),
            leaves: tree_of(state.role).filter(|_| !ended).map(TreeView::leaves).unwrap_or_default(),
            barrier: None,
        }
    };
    let mut views: Vec<RoleView> = states.iter().map(view).collect();
    let at: Vec<Option<&Place>> = states
        .iter()
        .zip(&views)
        .map(|(state, view)| tree_of(state.role).filter(|_| view.is_engaged()).and_then(TreeView::barrier))
        .collect();
    swarm_view::fill_barriers(&mut views, &at);
    views
}

fn activity(activity: Activity) -> swarm_view::Activity {
    match activity {
        Activity::Idle => swarm_view::Activity::Idle,
        Activity::Joining => swarm_view::Activity::Joining,
        Activity::Running => swarm_view::Activity::Running,
        Activity::Holding => swarm_view::Activity::Holding,
        Activity::Succeeded => swarm_view::Activity::Succeeded,
        Activity::Aborted => swarm_view::Activity::Aborted,
        Activity::Canceled => swarm_view::Activity::Canceled,
    }
}

fn unix_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}
