//! Promises of the simulated cell, on the shipped declaration.

use std::path::{Path, PathBuf};

use nalgebra::Vector3;
use swarm_base::{Duration, Time};
use swarm_cell::{CellConfig, Model};
use swarm_mujoco::driver::{Drive, Permit, StopCause, VelocityCommand};
use swarm_mujoco::{CONTROL_PERIOD, Cell, Commands, GripperCommand, Observation, Options, SimError, urdf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn config() -> CellConfig {
    CellConfig::parse(&std::fs::read_to_string(root().join("config/cell.yaml")).unwrap()).unwrap()
}

/// A cell with a gate that permits everything and a virtual clock.
struct Bench {
    cell: Cell,
    now: Time,
    sequence: u64,
    last: Observation,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut cell = Cell::new(&config(), &root(), Options::default()).unwrap();
        let last = cell.reset(seed);
        Self { cell, now: Time::ZERO, sequence: 0, last }
    }

    /// Robots in order; `None` sends no velocity.
    fn step(&mut self, velocities: [Option<Vec<f64>>; 3], permitted: bool) -> &Observation {
        let mut commands = Commands::none(self.now, 3);
        self.sequence += 1;
        for (inbox, velocity) in commands.robots.iter_mut().zip(velocities) {
            let (received, sequence) = (self.now, self.sequence);
            if permitted {
                inbox.permits.push(Permit { received, epoch: 1, sequence, speed_scale: 1.0 });
            }
            inbox
                .velocities
                .extend(velocity.map(|velocity_rad_s| VelocityCommand { received, velocity_rad_s }));
        }
        self.send(&commands)
    }

    fn send(&mut self, commands: &Commands) -> &Observation {
        self.last = self.cell.step(commands).unwrap();
        self.now = self.now + CONTROL_PERIOD;
        &self.last
    }

    fn idle(&mut self, cycles: u32) {
        for _ in 0..cycles {
            self.step([None, None, None], true);
        }
    }
}

fn moving(cycle: u32) -> [Option<Vec<f64>>; 3] {
    let wave = 0.4 * (f64::from(cycle) * 0.01).sin();
    [Some(vec![wave; 6]), Some(vec![-wave; 6]), Some(vec![wave; 7])]
}

#[test]
fn one_seed_gives_the_same_bits_and_another_does_not() {
    let run = |seed| {
        let mut bench = Bench::new(seed);
        (0..300).map(|cycle| bench.step(moving(cycle), true).clone()).collect::<Vec<_>>()
    };
    let (first, again, other) = (run(7), run(7), run(8));
    assert!(first == again, "seed 7 gave two different runs");
    assert_ne!(first[0].parts, other[0].parts);
    let seen = |run: &[Observation]| run.iter().find_map(|observation| observation.camera);
    assert_ne!(seen(&first), seen(&other));
}

#[test]
fn a_reset_cell_runs_like_a_new_one() {
    let mut bench = Bench::new(7);
    for cycle in 0..100 {
        bench.step(moving(cycle), true);
    }
    bench.last = bench.cell.reset(9);
    let mut fresh = Bench::new(9);
    assert_eq!(bench.last, fresh.last);
    bench.now = Time::ZERO;
    bench.sequence = 0;
    for cycle in 0..100 {
        assert!(
            bench.step(moving(cycle), true) == fresh.step(moving(cycle), true),
            "differs at cycle {cycle}"
        );
    }
}

#[test]
fn an_arm_follows_joint_velocities() {
    let mut bench = Bench::new(1);
    let wish = [vec![0.3, 0.1, -0.1, 0.2, 0.2, -0.5], vec![0.0; 6], vec![0.2, 0.1, 0.1, 0.1, -0.2, 0.1, 0.4]];
    let start = bench.last.clone();
    for _ in 0..250 {
        bench.step(wish.clone().map(Some), true);
    }
    for (robot, wish) in wish.iter().enumerate() {
        for (joint, wish) in wish.iter().enumerate() {
            let speed = bench.last.robots[robot].velocity_rad_s[joint];
            assert!(
                (speed - wish).abs() < 0.005,
                "robot {robot} joint {joint}: {speed} instead of {wish} rad/s"
            );
            // Travel is 0.5 s of the wish, less what the ramp of 20 rad/s² took.
            let travel =
                bench.last.robots[robot].position_rad[joint] - start.robots[robot].position_rad[joint];
            let expected = wish * (0.5 - wish.abs() / 40.0);
            assert!(
                (travel - expected).abs() < 0.002,
                "robot {robot} joint {joint}: {travel} instead of {expected}"
            );
        }
    }
}

#[test]
fn at_the_loss_of_the_permit_an_arm_brakes_as_modelled_and_stays() {
    let mut bench = Bench::new(1);
    let wish = || [Some(vec![0.5, 0.0, 0.0, 0.0, 0.0, 1.0]), None, None];
    for _ in 0..200 {
        bench.step(wish(), true);
    }
    let before = bench.last.robots[0].position_rad.clone();
    let mut cycles = 0;
    while bench.last.robots[0].reference_rad_s.iter().any(|&v| v != 0.0) {
        bench.step(wish(), false);
        cycles += 1;
        assert!(cycles < 200, "still moving after {cycles} cycles");
    }
    // 20 ms of a permit that is still valid, then 1 rad/s at 10 rad/s² = 100 ms.
    assert!((58..=62).contains(&cycles), "{cycles} cycles");
    assert_eq!(bench.last.robots[0].drive, Drive::Stopping(StopCause::PermitOld));
    for _ in 0..100 {
        bench.step(wish(), false);
    }
    let robot = &bench.last.robots[0];
    assert_eq!(robot.counters.cycles_to_stand, Some(51));
    assert!(robot.velocity_rad_s.iter().all(|v| v.abs() < 1e-4), "{:?}", robot.velocity_rad_s);
    // Way after the last permit: 20 ms at 1 rad/s and v²/2a = 0.05 rad.
    let travel = robot.position_rad[5] - before[5];
    assert!((travel - 0.07).abs() < 0.005, "{travel} rad");
}

#[test]
fn an_arm_holds_still_against_gravity() {
    let mut bench = Bench::new(1);
    // Stretched out a little: home is nearly balanced.
    for _ in 0..300 {
        let shoulder = vec![0.0, 0.5, 0.0, 0.0, 0.0, 0.0];
        bench.step([Some(shoulder.clone()), Some(shoulder), None], true);
    }
    bench.idle(100);
    let start = bench.last.clone();
    bench.idle(2500);
    for (before, after) in start.robots.iter().zip(&bench.last.robots) {
        for (before, after) in before.position_rad.iter().zip(&after.position_rad) {
            assert!((before - after).abs() < 0.001, "drifted from {before} to {after} rad in 5 s");
        }
    }
    assert!(bench.last.robots[0].effort_nm[1].abs() > 20.0, "there was no load to hold");
}

/// With a tool that points down the sensor's z points down too: the weight is a positive force along it.
#[test]
fn the_wrench_at_rest_is_the_grippers_weight() {
    let mut bench = Bench::new(1);
    bench.idle(500);
    let config = config();
    for (robot, state) in config.robots.iter().zip(&bench.last.robots) {
        let camera_kg = if robot.model == Model::Panda { robot.payload.mass_kg } else { 0.0 };
        let weight = (robot.gripper.mass_kg + camera_kg) * 9.81;
        let [x, y, z, mx, my, mz] = state.wrench;
        assert!(
            (Vector3::new(x, y, z) - Vector3::new(0.0, 0.0, weight)).norm() < 0.05,
            "{}: {:?}",
            robot.name,
            state.wrench
        );
        // Moment of the weight about the flange: com x (0, 0, weight).
        let moment =
            Vector3::from(robot.gripper.com_m).cross(&Vector3::new(0.0, 0.0, robot.gripper.mass_kg * 9.81));
        assert!(
            (Vector3::new(mx, my, mz) - moment).norm() < 0.01,
            "{}: {:?} {moment:?}",
            robot.name,
            state.wrench
        );
    }
}

#[test]
fn a_command_that_is_no_number_is_refused_and_the_arm_stands() {
    let mut bench = Bench::new(1);
    let start = bench.last.clone();
    for _ in 0..100 {
        bench.step([Some(vec![f64::NAN; 6]), None, None], true);
    }
    let robot = &bench.last.robots[0];
    assert_eq!(robot.drive, Drive::Stopping(StopCause::CommandRefused));
    assert_eq!(robot.counters.commands_refused, 100);
    for (before, after) in start.robots[0].position_rad.iter().zip(&robot.position_rad) {
        assert!((before - after).abs() < 1e-4);
    }
    let mut commands = Commands::none(bench.now, 3);
    commands.robots[0].gripper.push(GripperCommand { width_m: f64::NAN, force_n: 10.0 });
    assert_eq!(bench.send(&commands).robots[0].gripper.refused, 1);
}

#[test]
fn a_gripper_moves_only_under_a_permit_and_stays_where_it_was_when_that_ends() {
    let mut bench = Bench::new(1);
    let width = |bench: &Bench| bench.last.robots[1].gripper.width_m;
    let close = |bench: &mut Bench| {
        let mut commands = Commands::none(bench.now, 3);
        commands.robots[1].gripper.push(GripperCommand { width_m: 0.03, force_n: 20.0 });
        bench.send(&commands);
    };
    let open = width(&bench);
    close(&mut bench);
    for _ in 0..200 {
        bench.step([None, None, None], false);
    }
    assert!((width(&bench) - open).abs() < 0.0005, "no permit, no motion");
    bench.idle(200);
    assert!((width(&bench) - open).abs() < 0.0005, "the command waited too long to count");
    assert_eq!(bench.last.robots[1].gripper.refused, 1);

    close(&mut bench);
    bench.idle(100);
    let between = width(&bench);
    assert!(between < open - 0.01 && between > 0.04, "{between}");
    for _ in 0..200 {
        bench.step([None, None, None], false);
    }
    let stopped = width(&bench);
    assert!(
        (stopped - between).abs() < 0.005,
        "it stopped within the permit's time-out: {between} to {stopped}"
    );
    bench.idle(200);
    assert!((width(&bench) - stopped).abs() < 0.0005, "a motion that was cut off is not taken up again");

    close(&mut bench);
    bench.idle(400);
    let gripper = bench.last.robots[1].gripper;
    assert!((gripper.width_m - 0.03).abs() < 0.0005, "{gripper:?}");
    assert!(!gripper.holding, "there is nothing between the fingers");
}

/// 30 pictures a second, each within some millimetres of the truth, and with an error that a longer look doesn't average out.
#[test]
fn the_camera_is_near_the_truth_but_not_on_it() {
    let mut bench = Bench::new(3);
    let (mut pictures, mut sum) = (0, Vector3::zeros());
    for _ in 0..1000 {
        let observation = bench.step([None, None, None], true);
        if let Some(seen) = observation.camera {
            let error = seen.pocket_in_world.translation.vector
                - observation.parts.pocket_in_world.translation.vector;
            assert!(error.norm() < 0.005, "{error:?}");
            pictures += 1;
            sum += error;
        }
    }
    assert_eq!(pictures, 60);
    let bias = (sum / f64::from(pictures)).norm();
    assert!((0.0002..0.002).contains(&bias), "{bias} m");
}

#[test]
fn commands_for_another_number_of_robots_are_an_error() {
    let mut bench = Bench::new(1);
    let error = bench.cell.step(&Commands::none(Time::ZERO, 2)).unwrap_err();
    assert_eq!(error.to_string(), "commands for 2 robots, but the cell has 3");
}

#[test]
fn a_missing_urdf_is_named() {
    let mut config = config();
    config.robots[0].urdf = "urdf/none.urdf".to_owned();
    let Err(SimError::Read { path, .. }) = urdf::compose(&config, &root()) else { panic!("composed") };
    assert!(path.ends_with("urdf/none.urdf"), "{}", path.display());
}

/// What RViz gets can be read back and is the same tree; every mesh file it names is there.
#[test]
fn the_composed_urdf_is_the_cell() {
    let tree = urdf::compose(&config(), &root()).unwrap().tree;
    let text = urdf::to_urdf(&tree, "package://swarm_bringup/");
    let again = urdf::parse("cell.urdf", &text).unwrap();
    assert_eq!(again.root(), Some("world"));
    assert_eq!(again.links.len(), tree.links.len());
    assert_eq!(again.joints.len(), tree.joints.len());
    for file in text.split('"').filter_map(|word| word.strip_prefix("package://swarm_bringup/")) {
        assert!(root().join(file).is_file(), "{file} is missing");
    }
    for name in ["ur5e_left_shoulder_pan_joint", "panda_panda_joint1", "ur5e_right_gripper_left_finger_joint"]
    {
        assert!(text.contains(&format!("joint name=\"{name}\"")), "{name}");
    }
}

#[test]
fn a_driver_waits_no_longer_for_a_permit_than_it_was_told() {
    let options = Options { permit_timeout: Duration::from_millis(60), ..Options::default() };
    let mut bench = Bench::new(1);
    bench.cell = Cell::new(&config(), &root(), options).unwrap();
    let wish = || [Some(vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.2]), None, None];
    bench.step(wish(), true);
    let mut followed = 0;
    while bench.step(wish(), false).robots[0].drive == Drive::Following {
        followed += 1;
    }
    assert_eq!(followed, 30, "60 ms are 30 cycles");
}
