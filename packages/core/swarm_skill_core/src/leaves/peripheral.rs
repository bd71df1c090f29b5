//! Leaves that ask the cell's peripherals, see [`crate::errand`].

use std::sync::Arc;

use serde_json::Value as Json;
use swarm_base::Time;
use swarm_bt::{Halt, LeafCall, Value};
use swarm_cell::PeripheralKind;

use super::cooperate::Patience;
use super::{Behaviour, Context, Failure, Progress};
use crate::errand::{End, STOP_TIMEOUT, parse_content};

/// A goal or a call, until its end is known.
#[derive(Debug)]
pub(super) struct Call {
    kind: PeripheralKind,
    peripheral: String,
    content: Option<Json>,
    patience: Patience,
    answer: Answer,
    errand: u32,
    /// Since when it is to stop, by the clock, and why.
    stopping: Option<(Time, String)>,
}

impl Call {
    pub(super) fn action(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Self::new(call, PeripheralKind::Action, "goal")
    }

    pub(super) fn service(call: &LeafCall<'_>) -> Result<Self, Failure> {
        Self::new(call, PeripheralKind::Service, "request")
    }

    fn new(call: &LeafCall<'_>, kind: PeripheralKind, port: &str) -> Result<Self, Failure> {
        let content = parse_content(&call.get::<String>(port)?).map_err(Failure)?;
        Ok(Self {
            kind,
            peripheral: call.get("peripheral")?,
            content: Some(content),
            patience: Patience::of(call)?,
            answer: Answer::new(call)?,
            errand: 0,
            stopping: None,
        })
    }

    /// How it ended, as the leaf's answer.
    fn ended(&mut self, end: End, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let name = &self.peripheral;
        let reason = match (end, &self.stopping) {
            (End::Succeeded(content), None) => {
                self.answer.content = Some(content);
                return Ok(Progress::Done);
            }
            (End::Unknown(reason), _) => {
                let reason = format!("nobody knows whether {name} still does what it was asked: {reason}");
                context.errands.raise_alarm(reason.clone());
                reason
            }
            (_, Some((_, reason))) => reason.clone(),
            (End::Refused(reason), None) => format!("{name} refused: {reason}"),
            (End::Aborted(content), None) => format!("{name} aborted with {content}"),
            (End::Canceled, None) => format!("{name} was cancelled by somebody else"),
        };
        Err(Failure(reason))
    }

    /// It was told to stop and has not ended: waits, and then alarms.
    fn wait_for_stop(&self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let Some((since, reason)) = &self.stopping else { return Ok(Progress::Running) };
        if context.clock.since(*since) < STOP_TIMEOUT {
            return Ok(Progress::Running);
        }
        let refused = context.errands.look(self.errand).and_then(|errand| errand.refused.clone());
        let refused = refused.map(|why| format!("; the cancellation was refused: {why}")).unwrap_or_default();
        let reason =
            format!("{reason}, nor stopped within {:.1} s after that{refused}", STOP_TIMEOUT.as_secs_f64());
        context.errands.raise_alarm(reason.clone());
        context.errands.close(self.errand);
        Err(Failure(reason))
    }
}

impl Behaviour for Call {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        if let Some(content) = self.content.take() {
            self.errand = context.errands.begin(self.kind, &self.peripheral, content);
            return Ok(Progress::Running);
        }
        let end = context.errands.look(self.errand).map(|errand| errand.end().cloned());
        match end.unwrap_or_else(|| Some(End::Unknown("it was forgotten".into()))) {
            Some(end) => {
                context.errands.close(self.errand);
                self.ended(end, context)
            }
            None if self.stopping.is_none() && self.patience.is_over(context.now) => {
                let seconds = self.patience.seconds();
                self.stopping =
                    Some((context.clock, format!("{} has not ended within {seconds:.1} s", self.peripheral)));
                context.errands.stop(self.errand);
                Ok(Progress::Running)
            }
            None => self.wait_for_stop(context),
        }
    }

    fn tell(&self, call: &mut LeafCall<'_>) -> Result<(), Failure> {
        self.answer.tell(call)
    }

    fn halted(&mut self, context: &mut Context<'_>) -> Halt {
        context.errands.stop(self.errand);
        self.halting(context)
    }

    /// Until its end is known; that it is overdue is the tree's to say.
    fn halting(&mut self, context: &mut Context<'_>) -> Halt {
        if context.errands.look(self.errand).is_some_and(|errand| !errand.is_over()) {
            return Halt::Pending;
        }
        context.errands.close(self.errand);
        Halt::Done
    }
}

/// Says a message, once.
#[derive(Debug)]
pub(super) struct Publish {
    peripheral: String,
    message: Json,
}

impl Publish {
    pub(super) fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        let message = parse_content(&call.get::<String>("message")?).map_err(Failure)?;
        Ok(Self { peripheral: call.get("peripheral")?, message })
    }
}

impl Behaviour for Publish {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        context.errands.publish(&self.peripheral, self.message.clone());
        Ok(Progress::Done)
    }
}

/// Waits for a message that comes after the leaf has started.
#[derive(Debug)]
pub(super) struct WaitTopic {
    peripheral: String,
    since: Time,
    patience: Patience,
    answer: Answer,
}

impl WaitTopic {
    pub(super) fn new(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let (peripheral, patience) = (call.get("peripheral")?, Patience::of(call)?);
        Ok(Self { peripheral, since: context.clock, patience, answer: Answer::new(call)? })
    }
}

impl Behaviour for WaitTopic {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let samples = &context.inputs.topics;
        let sample = samples.iter().find(|sample| *sample.peripheral == *self.peripheral);
        if let Some(sample) = sample.filter(|sample| sample.at > self.since) {
            self.answer.content = Some(Arc::clone(&sample.content));
            return Ok(Progress::Done);
        }
        if self.patience.is_over(context.now) {
            let (name, seconds) = (&self.peripheral, self.patience.seconds());
            return Err(Failure(format!("{name} has said nothing for {seconds:.1} s")));
        }
        Ok(Progress::Running)
    }

    fn tell(&self, call: &mut LeafCall<'_>) -> Result<(), Failure> {
        self.answer.tell(call)
    }
}

/// What was answered, for the ports `result` (all of it, as JSON) and `value` (the part that `pick` names).
#[derive(Debug)]
struct Answer {
    /// JSON pointer (RFC 6901); empty for none.
    pick: String,
    content: Option<Arc<Json>>,
}

impl Answer {
    fn new(call: &LeafCall<'_>) -> Result<Self, Failure> {
        let pick: String = call.get("pick")?;
        if !pick.is_empty() && !pick.starts_with('/') {
            return Err(Failure(format!(
                "port 'pick' is '{pick}', expected a JSON pointer such as /position/x"
            )));
        }
        Ok(Self { pick, content: None })
    }

    fn tell(&self, call: &mut LeafCall<'_>) -> Result<(), Failure> {
        let Some(content) = &self.content else { return Ok(()) };
        call.set("result", content.to_string())?;
        if !self.pick.is_empty() {
            let picked = content.pointer(&self.pick);
            let picked = picked.ok_or_else(|| Failure(format!("there is no {} in {content}", self.pick)))?;
            call.set("value", to_value(picked))?;
        }
        Ok(())
    }
}

/// A number, truth or text as it is, a list of numbers as a vector, anything else as JSON.
fn to_value(json: &Json) -> Value {
    let floats = |items: &Vec<Json>| items.iter().map(Json::as_f64).collect::<Option<Vec<f64>>>();
    match json {
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::Str(text.as_str().into()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Value::Int(value),
            (None, value) => Value::Float(value.unwrap_or(f64::NAN)),
        },
        Json::Array(items) => floats(items)
            .map_or_else(|| Value::Str(json.to_string().into()), |numbers| Value::Vector(numbers.into())),
        Json::Null | Json::Object(_) => Value::Str(json.to_string().into()),
    }
}
