//! One goal or call under way: futures of the middleware, looked at without waiting.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::{FutureExt as _, Stream, StreamExt as _};
use r2r::{ActionClientGoalUntyped, ActionClientUntyped, ClientUntyped, GoalStatus, Node};
use serde_json::Value;
use swarm_skill_core::{End, News};

use super::{SERVER_TIMEOUT, refused, succeeded};

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Ended = Result<(GoalStatus, r2r::Result<Value>), r2r::Error>;
type Accepted = Result<
    (ActionClientGoalUntyped, Pending<Ended>, Pin<Box<dyn Stream<Item = r2r::Result<Value>> + Send>>),
    r2r::Error,
>;

/// An errand, from the search for its server to its end.
pub(super) struct UnderWay {
    /// Of the action or service.
    name: String,
    server: Server,
    stage: Stage,
}

enum Stage {
    /// The server is looked for. What is sent when it is there.
    Looking(Box<dyn FnOnce() -> Stage + Send>),
    Asked(Pending<Accepted>),
    Goes(Goal),
    Called(Pending<r2r::Result<r2r::Result<Value>>>),
    Over(Option<End>),
}

struct Goal {
    handle: ActionClientGoalUntyped,
    result: Pending<Ended>,
    feedback: Pin<Box<dyn Stream<Item = r2r::Result<Value>> + Send>>,
    /// Answered with why not.
    cancellation: Option<Pending<Option<String>>>,
    /// Since when its status says that it has ended, though there is no result.
    silent_since: Option<Instant>,
}

impl UnderWay {
    pub(super) fn goal(client: &ActionClientUntyped, name: &str, goal: &Arc<Value>) -> Self {
        let (asked, goal) = (client.clone(), Value::clone(goal));
        let send = move || match asked.send_goal_request(goal) {
            Ok(answer) => Stage::Asked(Box::pin(answer.map(|answer| {
                answer.map(|(handle, result, feedback)| {
                    (handle, Box::pin(result) as _, Box::pin(feedback) as _)
                })
            }))),
            Err(error) => Stage::Over(Some(End::Refused(format!("the goal cannot be sent: {error}")))),
        };
        let looked = client.clone();
        let look = move || Some(Box::pin(Node::is_available(&looked).ok()?) as Pending<_>);
        Self::looking(Server::of(Box::new(look)), name, Box::new(send))
    }

    pub(super) fn call(client: &Arc<ClientUntyped>, name: &str, request: &Arc<Value>) -> Self {
        let (asked, request) = (Arc::clone(client), Value::clone(request));
        let send = move || match asked.request(request) {
            Ok(answer) => Stage::Called(Box::pin(answer)),
            Err(error) => Stage::Over(Some(End::Refused(format!("the request cannot be sent: {error}")))),
        };
        let looked = Arc::clone(client);
        let look = move || Some(Box::pin(Node::is_available(&*looked).ok()?) as Pending<_>);
        Self::looking(Server::of(Box::new(look)), name, Box::new(send))
    }

    fn looking(server: Server, name: &str, send: Box<dyn FnOnce() -> Stage + Send>) -> Self {
        Self { name: name.to_owned(), server, stage: Stage::Looking(send) }
    }

    pub(super) fn refused(reason: String) -> Self {
        let server = Server::of(Box::new(|| None));
        Self { name: String::new(), server, stage: Stage::Over(Some(End::Refused(reason))) }
    }

    /// Sends nothing, if nothing has been sent yet.
    pub(super) fn withdraw(&mut self) {
        if matches!(self.stage, Stage::Looking(_)) {
            self.stage = Stage::Over(Some(End::Refused("not wanted any more before it was sent".into())));
        }
    }

    /// Asks for the goal to be cancelled, again if it was asked before.
    pub(super) fn cancel(&mut self) {
        if let Stage::Goes(goal) = &mut self.stage {
            match goal.handle.cancel() {
                // r2r panics at a code that ROS does not define; that is a refusal like others.
                Ok(answer) => {
                    goal.cancellation = Some(Box::pin(AssertUnwindSafe(answer).catch_unwind().map(said)));
                }
                Err(error) => tracing::warn!("cannot ask {} to cancel: {error}", self.name),
            }
        }
    }

    /// What is new.
    pub(super) fn look(&mut self) -> Vec<News> {
        let (stage, news) = match std::mem::replace(&mut self.stage, Stage::Over(None)) {
            Stage::Looking(send) if self.server.is_there() => (send(), Vec::new()),
            stage @ Stage::Looking(_) if !self.server.is_gone() => (stage, Vec::new()),
            Stage::Looking(_) => {
                let seconds = SERVER_TIMEOUT.as_secs_f64();
                (
                    Stage::Over(None),
                    vec![refused(format!("nobody serves {} (looked for {seconds:.0} s)", self.name))],
                )
            }
            Stage::Asked(answer) => asked(answer),
            Stage::Goes(goal) => goes(goal),
            Stage::Called(answer) => called(answer),
            Stage::Over(end) => (Stage::Over(None), end.map(News::Ended).into_iter().collect()),
        };
        self.stage = stage;
        let waits = matches!(self.stage, Stage::Asked(_) | Stage::Goes(_) | Stage::Called(_));
        if waits && news.is_empty() && self.server.is_gone() {
            self.stage = Stage::Over(None);
            return vec![News::Ended(End::Unknown(format!("the server of {} is gone", self.name)))];
        }
        news
    }
}

fn asked(mut answer: Pending<Accepted>) -> (Stage, Vec<News>) {
    match answer.as_mut().now_or_never() {
        None => (Stage::Asked(answer), Vec::new()),
        Some(Ok((handle, result, feedback))) => {
            let goal = Goal { handle, result, feedback, cancellation: None, silent_since: None };
            (Stage::Goes(goal), vec![News::Accepted])
        }
        Some(Err(r2r::Error::RCL_RET_ACTION_GOAL_REJECTED)) => {
            (Stage::Over(None), vec![refused("the server does not accept the goal".into())])
        }
        Some(Err(error)) => {
            (Stage::Over(None), vec![unknown(format!("the answer to the goal is lost: {error}"))])
        }
    }
}

fn goes(mut goal: Goal) -> (Stage, Vec<News>) {
    // Nobody looks at feedback, but r2r's queue of it is short.
    while let Some(Some(_)) = goal.feedback.next().now_or_never() {}
    let mut news = Vec::new();
    if let Some(cancellation) = &mut goal.cancellation
        && let Some(answer) = cancellation.as_mut().now_or_never()
    {
        goal.cancellation = None;
        news.extend(answer.map(News::CancelRefused));
    }
    match goal.result.as_mut().now_or_never() {
        Some(result) => {
            news.push(ended(result));
            return (Stage::Over(None), news);
        }
        None if is_terminal(&goal.handle.get_status()) => {
            let since = *goal.silent_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= SERVER_TIMEOUT {
                news.push(unknown("it has ended, but its result is lost".into()));
                return (Stage::Over(None), news);
            }
        }
        None => {}
    }
    (Stage::Goes(goal), news)
}

fn called(mut answer: Pending<r2r::Result<r2r::Result<Value>>>) -> (Stage, Vec<News>) {
    match answer.as_mut().now_or_never() {
        None => (Stage::Called(answer), Vec::new()),
        Some(Ok(Ok(content))) => (Stage::Over(None), vec![succeeded(content)]),
        Some(Ok(Err(error)) | Err(error)) => {
            (Stage::Over(None), vec![unknown(format!("its answer is lost: {error}"))])
        }
    }
}

fn ended(result: Ended) -> News {
    match result {
        Ok((GoalStatus::Succeeded, Ok(content))) => succeeded(content),
        Ok((GoalStatus::Aborted, Ok(content))) => News::Ended(End::Aborted(Arc::new(content))),
        Ok((GoalStatus::Canceled, _)) => News::Ended(End::Canceled),
        Ok((GoalStatus::Succeeded | GoalStatus::Aborted, Err(error))) => News::Ended(End::Aborted(Arc::new(
            Value::String(format!("a result that cannot be read: {error}")),
        ))),
        Ok((status, _)) => unknown(format!("its result comes with status {status}")),
        Err(error) => unknown(format!("its result is lost: {error}")),
    }
}

fn unknown(reason: String) -> News {
    News::Ended(End::Unknown(reason))
}

/// The answer to a cancellation, if it is no.
fn said(answer: std::thread::Result<r2r::Result<()>>) -> Option<String> {
    match answer {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(_) => Some("its answer has a code that ROS 2 does not know".into()),
    }
}

fn is_terminal(status: &r2r::Result<GoalStatus>) -> bool {
    matches!(status, Ok(GoalStatus::Succeeded | GoalStatus::Canceled | GoalStatus::Aborted))
}

/// Whether the other end is there. The middleware answers only that it is, so a look without an answer means that it is not.
struct Server {
    look: Look,
    /// The present look, and since when.
    looking: Option<(Instant, Pending<r2r::Result<()>>)>,
    seen: Option<Instant>,
}

type Look = Box<dyn Fn() -> Option<Pending<r2r::Result<()>>> + Send>;

/// Time between two looks.
const LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(250);

impl Server {
    fn of(look: Look) -> Self {
        Self { looking: look().map(|found| (Instant::now(), found)), look, seen: None }
    }

    fn is_there(&mut self) -> bool {
        if let Some((_, found)) = &mut self.looking {
            if let Some(found) = found.as_mut().now_or_never() {
                self.looking = None;
                self.seen = found.ok().map(|()| Instant::now());
            }
        } else if self.seen.is_none_or(|seen| seen.elapsed() >= LOOK_PERIOD) {
            self.looking = (self.look)().map(|found| (Instant::now(), found));
        }
        self.seen.is_some()
    }

    /// The present look has been going on for too long, or cannot be begun.
    fn is_gone(&mut self) -> bool {
        let there = self.is_there();
        self.looking.as_ref().map_or(!there, |(since, _)| since.elapsed() >= SERVER_TIMEOUT)
    }
}
