//! What is shown of a run, on a cell whose arms go where they are told and on a clock that is moved by hand.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use crate::common::{Around, Bench, SkillFolder};
use swarm_base::{Duration, Time};
use swarm_kinematics::JointVector;
use swarm_metrics::Metrics;
use swarm_skill_core::{Goal, Timing};
use swarm_skill_runtime::deployer::{ActiveSkill, InForce};
use swarm_skill_runtime::engine::{Engine, GoalSink, GoalUpdate};
use swarm_skill_runtime::live::{Live, Ports, Seen};
use swarm_skill_runtime::robots::Robots;
use swarm_skill_runtime::world::{Safety, World};
use swarm_view::{Activity, Against, CellView, LeaseView, RobotView};
use swarm_watch::Client;

const TICK: Duration = Duration::from_millis(10);

struct Nobody;

impl GoalSink for Nobody {
    fn update(&self, _: GoalUpdate) {}
}

struct Cell {
    engine: Engine,
    world: World,
    robots: Arc<Robots>,
    skill: Arc<ActiveSkill>,
    live: Live,
    metrics: Arc<Metrics>,
    q: Vec<JointVector>,
    now: Time,
}

impl Cell {
    fn new(ports: &Ports) -> Self {
        Self::with(ports, &SkillFolder::default())
    }

    fn with(ports: &Ports, skill: &SkillFolder) -> Self {
        let bench = Bench::new();
        let deployer = bench.deployer();
        let skill = deployer.carry_out(&bench.order("1.0.0", skill), &Around::default()).unwrap();
        let (robots, metrics) = (bench.robots(), Arc::new(Metrics::new()));
        let away = |spec: &swarm_skill_core::RoleSpec| {
            let mut q = spec.home;
            q[0] += 0.3;
            q
        };
        Self {
            engine: Engine::new(Arc::clone(&robots), Timing::default()),
            world: World::new(&robots),
            live: Live::start(ports, &[], Arc::clone(&metrics), Arc::clone(&robots)),
            q: skill.skill.roles.iter().map(away).collect(),
            robots,
            skill,
            metrics,
            now: Time::ZERO,
        }
    }

    fn turn(&mut self) {
        self.now = self.now + TICK;
        for (robot, known) in self.robots.robots.iter().enumerate() {
            let names: Vec<String> = known.arm.joints().iter().map(|joint| joint.name.clone()).collect();
            let q: Vec<f64> = self.q[robot].iter().take(names.len()).copied().collect();
            self.world.hear_joints(&names, &q, &vec![0.0; names.len()], self.now);
            self.world.hear_wrench(robot, [0.0; 6], self.now);
        }
        let robot =
            RobotView { robot: "panda".into(), tcp_speed: Against::new(0.1, 0.25), ..RobotView::default() };
        let view = swarm_view::SafetyView { state: "RUN".into(), robots: vec![robot], ..Default::default() };
        let safety = Safety {
            epoch: 3,
            permits_motion: true,
            state: "RUN".into(),
            artifact: self.skill.artifact.to_string(),
            view,
        };
        self.world.hear_safety(safety, self.now);
        let in_force = InForce::Skill(Arc::clone(&self.skill));
        let turn = self.engine.turn(&self.world, &in_force, &mut self.live, self.now);
        for command in &turn.commands {
            self.q[command.robot] += command.wish.velocity * TICK.as_secs_f64();
        }
        let (world, now) = (&self.world, self.now);
        let took = std::time::Duration::from_micros(100);
        self.live.turned(&turn, took, Some(&self.skill), &|| Seen::of(world, now), now);
    }
}

impl Cell {
    /// Runs the skill once; gives the views of it, from the first before it to the one in which it has ended.
    fn views_of_a_run(&mut self, foxglove: u16) -> Vec<CellView> {
        let address = format!("127.0.0.1:{foxglove}");
        let mut client = Client::connect(&address, std::time::Duration::from_mins(1)).unwrap();
        let mut views: Vec<CellView> = Vec::new();
        let wait = std::time::Duration::from_millis(4);
        while views.is_empty() {
            self.turn();
            views.extend(client.next(wait).unwrap());
        }
        let goal = Goal { role: None, trace_id: "t1".into(), patience: Duration::from_millis(1_000) };
        self.engine.ask(&goal, Some(&self.skill), None, Box::new(Nobody), self.now);
        while !views.last().is_some_and(|view| view.run == "t1" && !view.running) {
            self.turn();
            views.extend(client.next(wait).unwrap());
        }
        views
    }
}

/// Ports that nobody listens on: eight in a row, the last two for views and metrics. Tests that run side by side look in different
/// places.
fn free_ports(from: u16) -> Ports {
    let free = |port: &u16| (*port..port + 8).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let first = (from..from + 10_000).step_by(8).find(free).unwrap();
    Ports { groot: first, foxglove: first + 6, metrics: first + 7, ..Ports::default() }
}

#[test]
fn a_run_is_shown_while_it_runs_and_counted_when_it_has_ended() {
    let ports = free_ports(21_000);
    let mut cell = Cell::new(&ports);
    assert_eq!(cell.live.missing(), [""; 0]);
    let views = cell.views_of_a_run(ports.foxglove);
    assert_eq!(views[0].skill, "assembly@1.0.0");
    let running: Vec<&CellView> = views.iter().filter(|view| view.running).collect();
    let leaves = running.iter().flat_map(|view| &view.roles).flat_map(|role| &role.leaves);
    assert!(leaves.clone().any(|leaf| leaf.starts_with("MoveJoints")), "{:?}", leaves.collect::<Vec<_>>());
    let last = views.last().unwrap();
    assert!(last.roles.iter().all(|role| role.activity == Activity::Succeeded && role.phase == "home"));
    assert!(last.roles.iter().all(|role| role.leaves.is_empty() && role.barrier.is_none()), "nothing runs");
    assert_eq!(last.safety.robots[0].tcp_speed, Against::new(0.1, 0.25));
    assert_eq!(last.safety.age_s, Some(0.0));
    let text = cell.metrics.text();
    for line in [
        r#"skill_execution_total{skill_id="assembly",status="succeeded"} 1"#,
        r#"phase_transition_duration_seconds_count{from="start",to="home"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    for port in [ports.groot, ports.groot + 2, ports.groot + 4, ports.metrics] {
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}

/// Both go home with the bench to themselves: one waits until the other is there.
#[test]
fn a_lease_is_shown_with_its_holder_its_token_and_who_waits() {
    let at_the_bench = |id: &str| {
        format!(
            r#"<root BTCPP_format="4"><BehaviorTree ID="{id}"><Sequence>
                 <EnterPhase phase="home"/><Lease resource="bench"><MoveJoints/></Lease>
               </Sequence></BehaviorTree></root>"#
        )
    };
    let skill = SkillFolder {
        leader: at_the_bench("Leader"),
        follower: at_the_bench("Follower"),
        ..SkillFolder::default()
    };
    let ports = free_ports(31_000);
    let mut cell = Cell::with(&ports, &skill);
    let views = cell.views_of_a_run(ports.foxglove);
    let leases: Vec<&LeaseView> = views.iter().flat_map(|view| &view.leases).collect();
    let first = leases.iter().find(|lease| !lease.waiting.is_empty() && !lease.holder.is_empty());
    let first = first.unwrap_or_else(|| panic!("somebody has the bench while another waits: {leases:?}"));
    let second = leases.iter().find(|lease| lease.holder == first.waiting[0]);
    let second = second.unwrap_or_else(|| panic!("whoever waits gets it: {leases:?}"));
    assert_eq!((first.resource.as_str(), second.resource.as_str()), ("bench", "bench"));
    // Of tickets with the same number the leader's comes first.
    let place = |lease: &LeaseView| (lease.epoch, lease.token, lease.holder != "leader");
    assert!(first.epoch > 0 && place(first) < place(second), "tokens grow: {leases:?}");
    assert!(views.last().unwrap().leases.is_empty(), "nothing is leased when the run is over");
}

#[test]
fn a_taken_port_costs_its_view_alone() {
    let ports = free_ports(11_000);
    let _taken = TcpListener::bind(("127.0.0.1", ports.groot + 2)).unwrap();
    let cell = Cell::new(&ports);
    assert_eq!(cell.live.missing().len(), 1);
    assert!(cell.live.missing()[0].starts_with("cannot listen on 127.0.0.1:"), "{:?}", cell.live.missing());
    TcpStream::connect(("127.0.0.1", ports.groot)).unwrap();
    TcpStream::connect(("127.0.0.1", ports.metrics)).unwrap();
}

#[test]
fn without_ports_nothing_listens_and_runs_are_counted_all_the_same() {
    let mut cell = Cell::new(&Ports::default());
    let goal = Goal { role: None, trace_id: "t1".into(), patience: Duration::from_millis(1_000) };
    cell.engine.ask(&goal, Some(&cell.skill), None, Box::new(Nobody), cell.now);
    while !cell.metrics.text().contains("skill_execution_total{") {
        cell.turn();
    }
}
