//! `ros2 run swarm_capture swarm_capture`: the cameras of a cell. See the crate's page.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use r2r::std_srvs::srv::Trigger;
use r2r::swarm_msgs::srv::{StartRecording, TakeSnapshot};
use swarm_bag::msg::CaptureStatus;
use swarm_bag::recorder::Share;
use swarm_bag::{Qos, Topic};
use swarm_capture::outlets::Outlets;
use swarm_capture::report::{self, Reporter};
use swarm_capture::session::{self, Bag, Session};
use swarm_capture::settings::{Declared, Mistakes};
use swarm_capture::studio::{self, Calibration, Studio};
use swarm_capture::{camera, lenses, now, topics};
use swarm_capture_core::calibrate::Biases;
use swarm_capture_core::recording::{Request, State};
use swarm_onvif::Keyring;
use swarm_ros::{CellFile, Managed, NodeShell, PrimaryState, TransitionError, qos};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How long the followers may take to end; a node has 2 s in all.
const END_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swarm_capture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut shell = NodeShell::create("capture")?;
    let declared = Declared::declare(&shell);
    shell.check_parameters()?;
    let settings = declared.settings()?;
    if (settings.raw_images || settings.gstreamer) && !cfg!(feature = "gstreamer") {
        tracing::warn!("this node was built without GStreamer: no decoded pictures, no RTP over UDP");
    }
    let keyring = Keyring::load(settings.credentials_file.as_deref())?;
    let biases = settings.calibration_file.as_deref().map(read_biases).transpose()?;
    let lenses = lenses::load(&settings, &std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default())?;
    let robots = match settings.cell_config.as_deref().map(CellFile::read).transpose()? {
        Some(cell) => cell.config.robots.into_iter().map(|robot| robot.name).collect(),
        None => Vec::new(),
    };
    let wanted = if settings.topics.is_empty() {
        topics::of_cell(&robots)
    } else {
        topics::listed(&settings.topics, &robots).map_err(Mistakes)?
    };

    let outlets = Arc::new(Outlets::new(settings.ring));
    let (session, recording) =
        Session::start(Arc::clone(&outlets), settings.recorder).context("cannot start a thread")?;
    let calibration = Calibration { biases, lenses };
    let studio =
        Studio::open(&mut shell, settings, keyring, calibration, Arc::clone(&outlets), session.clone())?;
    let studio = Arc::new(studio);
    let arrivals = topics::subscribe(&mut shell, &wanted, &outlets)?;
    let status = Topic::of::<CaptureStatus>("/capture/status", Qos::reliable(1).transient_local())?;
    let status = studio::publish(&mut shell, &outlets, status, qos::LATCHED, Share::State)?;
    serve(&mut shell, &studio)?;
    for index in 0..studio.desks.len() {
        let seen = Arc::clone(&studio);
        let name = format!("camera {}", studio.desks[index].settings.name);
        shell.diagnostics().add(&name, move || {
            let desk = &seen.desks[index];
            report::camera_report(&desk.view().clone(), desk.pictures_dropped())
        });
    }
    let seen = Arc::clone(&studio);
    shell
        .diagnostics()
        .add("recording", move || report::recording_report(&seen.session.state(), seen.outlets.recording()));
    shell.diagnostics().add("topics", move || {
        let report = swarm_ros::Report::ok("messages heard");
        arrivals.counts().into_iter().fold(report, |report, (name, count)| report.with(&name, count))
    });
    let (reporting, ended) = mpsc::channel();
    let reporter = Reporter::new(Arc::clone(&studio), status);
    let reporter = std::thread::Builder::new()
        .name("report".into())
        .spawn(move || reporter.run(&ended))
        .context("cannot start a thread")?;
    let threads = vec![recording, reporter];
    shell.spin_managed(Capture { studio, session, followers: None, reporting: Some(reporting), threads })?;
    Ok(())
}

fn read_biases(path: &std::path::Path) -> anyhow::Result<Biases> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the calibration {}", path.display()))?;
    Biases::parse(&text).map_err(|error| anyhow::anyhow!("the calibration {}: {error}", path.display()))
}

/// What the life cycle does: cameras are followed while the node is active.
struct Capture {
    studio: Arc<Studio>,
    session: Session,
    followers: Option<Followers>,
    /// Dropped to end the reporter.
    reporting: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// The tasks that keep the cameras connected.
struct Followers {
    runtime: Runtime,
    /// Dropped to end them.
    following: watch::Sender<()>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Followers {
    /// Waits until each has handed on what it holds; one that hangs is left behind.
    fn end(self) {
        drop(self.following);
        let ended = futures::future::join_all(self.tasks);
        let _ = self.runtime.block_on(async { tokio::time::timeout(END_TIMEOUT, ended).await });
        self.runtime.shutdown_background(); // sockets close with it
    }
}

impl Capture {
    /// A recording that was asked for in the parameters begins with the node, so that its path is wrong now and not later.
    fn begin_recording(&self) -> Result<(), String> {
        let output_bag = self.studio.settings.output_bag.as_str();
        if output_bag.is_empty() {
            return Ok(());
        }
        let path = session::destination(output_bag, "", Bag::Recording, now().0)?;
        let request = Request::Start { path: path.display().to_string(), cameras: usize::MAX };
        self.session.ask(request).outcome
    }
}

impl Managed for Capture {
    fn on_activate(&mut self) -> Result<(), TransitionError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cameras")
            .enable_all()
            .build()
            .map_err(|error| {
                TransitionError::Failed(format!("cannot start threads for the cameras: {error}"))
            })?;
        self.session.ask(Request::Activate).outcome.map_err(TransitionError::Failed)?;
        if let Err(why) = self.begin_recording() {
            self.session.ask(Request::Deactivate).outcome.map_err(TransitionError::Failed)?;
            return Err(TransitionError::Failed(why));
        }
        let (following, ending) = watch::channel(());
        let follow = |index| runtime.spawn(camera::follow(Arc::clone(&self.studio), index, ending.clone()));
        let followers = (0..self.studio.desks.len()).map(follow).collect();
        self.followers = Some(Followers { runtime, following, tasks: followers });
        Ok(())
    }

    fn on_deactivate(&mut self) -> Result<(), TransitionError> {
        // Before the recording, which gets what they still hold.
        if let Some(followers) = self.followers.take() {
            followers.end();
        }
        self.session.ask(Request::Deactivate).outcome.map_err(TransitionError::Failed)
    }

    fn on_shutdown(&mut self, _from: PrimaryState) -> Result<(), TransitionError> {
        if let Some(followers) = self.followers.take() {
            followers.end();
        }
        self.session.end();
        self.reporting = None;
        for thread in self.threads.drain(..) {
            // A panic in it has been printed where it happened.
            let _ = thread.join();
        }
        Ok(())
    }
}

fn serve(shell: &mut NodeShell, studio: &Arc<Studio>) -> anyhow::Result<()> {
    let seen = Arc::clone(studio);
    shell.serve_on_thread::<StartRecording::Service>("/capture/start", move |request| {
        let failed = |message| StartRecording::Response {
            success: false,
            message,
            ..StartRecording::Response::default()
        };
        let parameter = &seen.settings.output_bag;
        let path = match session::destination(&request.output_bag, parameter, Bag::Recording, now().0) {
            Ok(path) => path.display().to_string(),
            Err(message) => return failed(message),
        };
        let cameras = if seen.desks.is_empty() { usize::MAX } else { seen.streaming() };
        match seen.session.ask(Request::Start { path: path.clone(), cameras }).outcome {
            Ok(()) => StartRecording::Response {
                success: true,
                message: format!("recording into {path}"),
                output_bag: path,
            },
            Err(message) => failed(message),
        }
    })?;
    let seen = Arc::clone(studio);
    shell.serve_on_thread::<Trigger::Service>("/capture/stop", move |_| {
        let recorded = seen.outlets.recording();
        match seen.session.ask(Request::Stop).outcome {
            Ok(()) => {
                let message = match (seen.session.state(), recorded) {
                    (State::Failed { why, .. }, _) => {
                        return Trigger::Response { success: false, message: why.to_string() };
                    }
                    (_, Some((status, _))) => format!("{} is finished", status.path.display()),
                    _ => String::new(),
                };
                Trigger::Response { success: true, message }
            }
            Err(message) => Trigger::Response { success: false, message },
        }
    })?;
    let seen = Arc::clone(studio);
    shell.serve_on_thread::<TakeSnapshot::Service>("/capture/snapshot", move |request| {
        let failed =
            |message| TakeSnapshot::Response { success: false, message, ..TakeSnapshot::Response::default() };
        if !(0.0..=86_400.0).contains(&request.seconds) {
            return failed(format!("seconds is {}, expected 0 (all there is) to 86400", request.seconds));
        }
        if seen.settings.ring.span.is_zero() {
            return failed("snapshots are off: snapshot.seconds is 0".to_owned());
        }
        let parameter = &seen.settings.output_bag;
        let path = match session::destination(&request.output_bag, parameter, Bag::Snapshot, now().0) {
            Ok(path) => path.display().to_string(),
            Err(message) => return failed(message),
        };
        let back_ns = (request.seconds * 1e9) as u64;
        let answer = seen.session.ask(Request::Snapshot { path: path.clone(), back_ns });
        match (answer.outcome, answer.metadata) {
            (Ok(()), Some(metadata)) => {
                let span = metadata.span();
                TakeSnapshot::Response {
                    success: true,
                    message: format!("{} messages in {path}", span.count),
                    output_bag: path,
                    duration: (span.last - span.first) as f64 / 1e9,
                    messages: span.count,
                }
            }
            (Err(message), _) => failed(message),
            (Ok(()), None) => failed("nothing was written".to_owned()),
        }
    })?;
    Ok(())
}
