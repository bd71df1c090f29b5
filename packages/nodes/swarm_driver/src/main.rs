//! `ros2 run swarm_driver swarm_driver`: the shells of the robots that declare a driver. See the crate's page.

use std::process::ExitCode;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context as _, bail};
use swarm_base::{Duration, Shutdown};
use swarm_driver::acts::{self, Clients};
use swarm_driver::cycle::{self, Controller, Cycle};
use swarm_driver::setup::{self, Times};
use swarm_driver::shell::Shell;
use swarm_driver::{listen, report};
use swarm_driver_core::Driver;
use swarm_ros::{CellFile, Managed, NodeShell, Parameter, ParameterSpec, PrimaryState, TransitionError};

/// AoU-02 of the safety manual.
const PERMIT_TIMEOUT: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    // AoU-12: an arm must not be left with its last velocity because the thread that tells it more has ended.
    swarm_ros::abort_on_panic();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm_driver: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut node = NodeShell::create("swarm_driver")?;
    let cell = CellFile::from_parameter(&node)?;
    let only = node.declare(
        ParameterSpec::<String>::new("robot", "")
            .describe("The one robot that this process drives; empty: every robot that declares a driver")
            .read_only(),
    );
    let time = |name, default, what| {
        let spec = ParameterSpec::<i64>::new(name, default).describe(what).range(2_000..=1_000_000);
        node.declare(spec.read_only())
    };
    let permit_timeout_us = time(
        "permit_timeout_us",
        PERMIT_TIMEOUT.as_micros().cast_signed(),
        "Age of a permit from which the arm stands, microseconds",
    );
    let command_timeout_us =
        time("command_timeout_us", 100_000, "Age of a joint command from which the arm stands, microseconds");
    let stamp_tolerance_us = node.declare(
        ParameterSpec::<i64>::new("stamp_tolerance_us", 5_000)
            .describe("How far the clocks of the cell's computers may disagree, microseconds")
            .range(0..=1_000_000)
            .read_only(),
    );
    node.check_parameters()?;

    let times = Times {
        permit_timeout: micros(&permit_timeout_us),
        command_timeout: micros(&command_timeout_us),
        stamp_tolerance: micros(&stamp_tolerance_us),
    };
    if times.permit_timeout > PERMIT_TIMEOUT {
        tracing::warn!(
            "permits count for {} ms here: the safety manual takes {} ms for granted (AoU-02)",
            times.permit_timeout.as_micros() / 1_000,
            PERMIT_TIMEOUT.as_micros() / 1_000
        );
    }
    let only = only.get();
    let mut robots = Vec::new();
    for (robot, arm) in cell.config.robots.iter().zip(cell.arm_models()?) {
        if let Some(driver) = &robot.driver
            && (only.is_empty() || only == robot.name)
        {
            robots.push((robot.name.clone(), driver.clone(), arm));
        }
    }
    if robots.is_empty() {
        match only.as_str() {
            "" => bail!("no robot of the cell has a 'driver:' block"),
            name => bail!("the cell has no robot '{name}' with a 'driver:' block (parameter 'robot')"),
        }
    }

    let mut shells = Shells { each: Vec::new(), cycles: Vec::new(), ending: Shutdown::new() };
    for (name, driver, arm) in robots {
        let options = setup::options(&name, &driver, &arm, times);
        let (period, shell) = (options.period, Shell::new(Driver::new(options)));
        let joints: Vec<String> = arm.joints().iter().map(|joint| joint.name.clone()).collect();
        let controller = Controller::create(&mut node, &driver, joints.clone())?;
        let clients = Clients::create(&mut node, &name, &driver)?;
        listen::subscribe(&mut node, &name, &arm, times, &shell)?;
        let seen = shell.clone();
        node.diagnostics().add(&format!("robot {name}"), move || {
            seen.look(|driver, now| report::report(driver, &joints, now))
        });
        let (requests, orders) = mpsc::channel();
        // It ends with the cycle that sends it requests.
        acts::start(name.clone(), clients, shell.clone(), orders).context("cannot start a thread")?;
        let cycle = Cycle {
            robot: name,
            shell: shell.clone(),
            controller,
            requests,
            period,
            priority: driver.priority,
        };
        shells.cycles.push(cycle::start(cycle, shells.ending.clone()).context("cannot start a thread")?);
        shells.each.push(shell);
    }
    node.spin_managed(shells)?;
    Ok(())
}

/// What the life cycle does with the shells.
struct Shells {
    each: Vec<Shell>,
    cycles: Vec<JoinHandle<()>>,
    /// Ends the cycles; after the node's own shutdown, so that they can still tell the arms to stand.
    ending: Shutdown,
}

impl Shells {
    fn set_active(&self, active: bool) {
        for shell in &self.each {
            shell.hear(|driver, _| driver.set_active(active));
        }
    }
}

impl Managed for Shells {
    fn on_activate(&mut self) -> Result<(), TransitionError> {
        self.set_active(true);
        Ok(())
    }

    fn on_deactivate(&mut self) -> Result<(), TransitionError> {
        self.set_active(false);
        Ok(())
    }

    fn on_shutdown(&mut self, _from: PrimaryState) -> Result<(), TransitionError> {
        self.set_active(false);
        // The publishers go with the node: the arms are told to stand before it does.
        self.ending.request();
        for cycle in self.cycles.drain(..) {
            // A panic in it would have ended the process.
            let _ = cycle.join();
        }
        Ok(())
    }
}

/// A parameter in microseconds; its range leaves no negative value.
fn micros(parameter: &Parameter<i64>) -> Duration {
    Duration::from_micros(parameter.get().unsigned_abs())
}
