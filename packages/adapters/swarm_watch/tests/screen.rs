//! The screen as a person sees it, compared with checked-in pictures. After a wanted change: `UPDATE_SCREENS=1 cargo test -p
//! swarm_watch`, then read the pictures.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use swarm_view::{Activity, Against, Barrier, CellView, LeaseView, RobotView, RoleView, SafetyView};
use swarm_watch::app::{App, Key};
use swarm_watch::{draw, text};

const START_NS: u64 = 1_000_000_000_000;

fn role(name: &str, robot: &str, phase: &str, activity: Activity, leaf: &str) -> RoleView {
    RoleView {
        role: name.into(),
        robot: robot.into(),
        phase: phase.into(),
        progress: 0.5,
        activity,
        leaves: vec![leaf.into()],
        ..RoleView::default()
    }
}

fn robot(name: &str, speed: f64, force: f64, separation: f64) -> RobotView {
    RobotView {
        robot: name.into(),
        speed_scale: 1.0,
        tcp_speed: Against::new(speed, 0.25),
        contact_force: Against::new(force, 30.0),
        separation: Against::new(separation, 0.05),
        joint_velocity_ratio: Some(0.4),
    }
}

/// Half a minute of a run: fetch, a hold of one view; the leader asks for the feeder that the follower has, and then stands at the
/// barrier of `mate`, where the follower is late.
fn view(step: u64) -> CellView {
    let phase = if step < 5 { "" } else { "fetch" };
    let held = if step == 30 { Activity::Holding } else { Activity::Running };
    let first = if step < 5 { Activity::Joining } else { held };
    let mut leader = role("leader", "ur5e_left", phase, first, "Leader/move to peg");
    if step > 45 {
        leader.barrier = Some(Barrier { phase: "mate".into(), waits_for: vec!["follower".into()] });
    }
    let follower = role("follower", "ur5e_right", phase, first, "Follower/grip/close");
    let spotter = role("spotter", "panda", phase, first, "Spotter/Hold::4");
    CellView {
        unix_ns: START_NS + step * 500_000_000,
        sequence: step,
        skill: "assembly@1.2.0".into(),
        run: "assembly-1".into(),
        running: true,
        roles: vec![leader, follower, spotter],
        leases: vec![LeaseView {
            resource: "feeder".into(),
            holder: if step < 20 { String::new() } else { "follower".into() },
            token: 7,
            epoch: 3,
            waiting: if step > 40 && step <= 45 { vec!["leader".into()] } else { Vec::new() },
        }],
        safety: SafetyView {
            state: "RUN".into(),
            epoch: 3,
            age_s: Some(0.01),
            robots: vec![
                robot("ur5e_left", 0.12, 3.2, 0.31),
                robot("ur5e_right", 0.24, 31.0, 0.055),
                robot("panda", 0.0, 0.4, f64::INFINITY),
            ],
            ..SafetyView::default()
        },
    }
}

fn screen(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(118, 24)).unwrap();
    terminal.draw(|frame| draw::draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    let line = |row: &[ratatui::buffer::Cell]| {
        row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    rows.map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is not as it was:\n{found}\n--- expected:\n{expected}");
}

fn seen(steps: u64) -> App {
    let mut app = App::default();
    for step in 0..steps {
        app.timeline.add(view(step));
    }
    app
}

#[test]
fn a_run_with_a_barrier_a_lease_and_a_limit_reached() {
    compare("run.txt", &screen(&seen(60)));
}

#[test]
fn a_role_that_waits_for_a_lease() {
    compare("lease.txt", &screen(&seen(44)));
}

#[test]
fn paused_in_the_past_with_the_runtime_gone() {
    let mut app = seen(60);
    app.press(Key::Earlier);
    app.press(Key::ZoomOut);
    compare("paused.txt", &screen(&app));
    app.trouble = "the connection to the skill runtime has ended: it was closed".into();
    assert!(screen(&app).lines().next().unwrap().ends_with(&app.trouble));
}

#[test]
fn before_anything_has_been_heard() {
    compare("nothing.txt", &screen(&App::default()));
}

#[test]
fn a_small_terminal_shows_what_fits() {
    let mut terminal = Terminal::new(TestBackend::new(20, 5)).unwrap();
    terminal.draw(|frame| draw::draw(frame, &seen(3))).unwrap();
}

#[test]
fn one_view_as_lines() {
    let mut stopped = view(60);
    stopped.running = false;
    stopped.safety.state = "STOP2".into();
    stopped.safety.cause = "contact_force".into();
    stopped.safety.detail = "31.0 N, at most 30.0 N are allowed".into();
    stopped.roles[1].activity = Activity::Aborted;
    stopped.roles[1].message = "the safety monitor stopped the cell".into();
    compare("lines.txt", &text::lines(&stopped));
}
