//! Carries out what the decisions ask of the arm: calls its services, sends it goals, reports the answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt as _;
use r2r::action_msgs::srv::CancelGoal;
use r2r::std_srvs::srv::Trigger;
use r2r::{ActionClientUntyped, Client, ClientUntyped, GoalStatus};
use serde_json::json;
use swarm_cell::{ControllerKind, DriverConfig};
use swarm_driver_core::{Act, Request};
use swarm_ros::{NodeShell, qos};

use crate::shell::Shell;

const SLIDER_TYPE: &str = "ur_msgs/srv/SetSpeedSliderFraction";
const RECOVERY_TYPE: &str = "franka_msgs/action/ErrorRecovery";

/// How often answers are looked for.
const TURN: Duration = Duration::from_millis(5);

/// Answers that come later than this are not waited for.
const GIVEN_UP: Duration = Duration::from_secs(30);

type Answer = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Clients of everything that one arm offers.
pub struct Clients {
    slider: Option<ClientUntyped>,
    protective_stop: Option<Client<Trigger::Service>>,
    stop: Option<Client<Trigger::Service>>,
    goals: Option<Client<CancelGoal::Service>>,
    recovery: Option<ActionClientUntyped>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    /// Makes the clients that the declaration of `robot` names.
    pub fn create(node: &mut NodeShell, robot: &str, driver: &DriverConfig) -> anyhow::Result<Self> {
        let node = node.node();
        let mut trigger = |service: &Option<String>| {
            let make = |name: &String| node.create_client::<Trigger::Service>(name, qos::SERVICE);
            service.as_ref().map(make).transpose()
        };
        let protective_stop = trigger(&driver.protective_stop)?;
        let stop = trigger(&driver.stop)?;
        let slider = match &driver.speed_slider {
            None => None,
            Some(slider) => Some(
                node.create_client_untyped(&slider.service, SLIDER_TYPE, qos::SERVICE)
                    .map_err(|error| known(error, SLIDER_TYPE))
                    .with_context(|| format!("the speed slider of {robot} cannot be reached"))?,
            ),
        };
        let recovery = match &driver.error_recovery {
            None => None,
            Some(action) => Some(
                node.create_action_client_untyped(action, RECOVERY_TYPE)
                    .map_err(|error| known(error, RECOVERY_TYPE))
                    .with_context(|| format!("the error recovery of {robot} cannot be reached"))?,
            ),
        };
        let goals = match driver.controller_kind {
            ControllerKind::ForwardVelocity => None,
            // The service behind an action's cancellation; an empty id and a zero stamp mean every goal.
            ControllerKind::JointTrajectory => Some(node.create_client::<CancelGoal::Service>(
                &format!("{}/follow_joint_trajectory/_action/cancel_goal", driver.controller),
                qos::SERVICE,
            )?),
        };
        Ok(Self { slider, protective_stop, stop, goals, recovery })
    }

    fn carry_out(&self, act: Act) -> anyhow::Result<Answer> {
        match act {
            Act::Slider(fraction) => {
                let slider = self.slider.as_ref().context("no speed slider is declared")?;
                let answer = slider.request(json!({ "speed_slider_fraction": fraction }))?;
                Ok(Box::pin(async move {
                    let response = answer.await.map_err(in_words)?.map_err(in_words)?;
                    match response["success"].as_bool() {
                        Some(true) => Ok(()),
                        _ => Err(format!("the driver refused to put the speed slider to {fraction}")),
                    }
                }))
            }
            Act::ProtectiveStop => call(self.protective_stop.as_ref()),
            Act::Stop => call(self.stop.as_ref()),
            Act::CancelGoals => {
                let goals = self.goals.as_ref().context("the controller takes no goals")?;
                let answer = goals.request(&CancelGoal::Request::default())?;
                Ok(Box::pin(async move {
                    let response = answer.await.map_err(in_words)?;
                    // No goal, and goals that have ended, are what is wanted.
                    if response.return_code == CancelGoal::Response::ERROR_REJECTED as i8 {
                        return Err("the controller refused to cancel its goals".to_owned());
                    }
                    Ok(())
                }))
            }
            Act::RecoverFromErrors => {
                let recovery = self.recovery.as_ref().context("no error recovery is declared")?;
                let accepted = recovery.send_goal_request(json!({}))?;
                Ok(Box::pin(async move {
                    let (_goal, result, _feedback) = accepted.await.map_err(in_words)?;
                    match result.await.map_err(in_words)?.0 {
                        GoalStatus::Succeeded => Ok(()),
                        status => Err(format!("the error recovery ended as {status}")),
                    }
                }))
            }
        }
    }
}

/// Starts the thread that carries out requests until their sender is gone.
pub fn start(
    robot: String,
    clients: Clients,
    shell: Shell,
    requests: Receiver<Request>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("acts {robot}")).spawn(move || {
        let mut open: Vec<(Request, Instant, Answer)> = Vec::new();
        loop {
            match requests.recv_timeout(TURN) {
                Ok(request) => match clients.carry_out(request.act) {
                    Ok(answer) => open.push((request, Instant::now(), answer)),
                    Err(error) => tell(&shell, &robot, request, Err(format!("{error:#}"))),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            open.retain_mut(|(request, since, answer)| match answer.as_mut().now_or_never() {
                Some(result) => {
                    tell(&shell, &robot, *request, result);
                    false
                }
                None => since.elapsed() < GIVEN_UP,
            });
        }
    })
}

fn tell(shell: &Shell, robot: &str, request: Request, answer: Result<(), String>) {
    match &answer {
        Ok(()) => tracing::info!(robot, act = ?request.act, "done"),
        Err(why) => tracing::warn!(robot, act = ?request.act, "{why}"),
    }
    shell.hear(|driver, _| driver.hear_answer(request.number, answer));
}

fn call(service: Option<&Client<Trigger::Service>>) -> anyhow::Result<Answer> {
    let answer = service.context("no service is declared for it")?.request(&Trigger::Request::default())?;
    Ok(Box::pin(async move {
        match answer.await.map_err(in_words)? {
            Trigger::Response { success: true, .. } => Ok(()),
            Trigger::Response { message, .. } => Err(format!("the driver refused: {message}")),
        }
    }))
}

/// A vendor's type exists where the vendor's package was installed when this node was built.
fn known(error: r2r::Error, wanted: &str) -> anyhow::Error {
    let package = wanted.split('/').next().unwrap_or_default();
    match error {
        r2r::Error::InvalidMessageType { .. } => anyhow::anyhow!(
            "this node was built where the package {package} is not installed, so it does not know {wanted}: install it \
             (ros-jazzy-{}, or in a workspace that is sourced) and build again",
            package.replace('_', "-")
        ),
        error => error.into(),
    }
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` wants it
fn in_words(error: r2r::Error) -> String {
    error.to_string()
}
