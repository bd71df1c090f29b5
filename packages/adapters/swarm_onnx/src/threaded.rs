//! A network on a thread of its own, so that no tick waits for it.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Instant;

use swarm_base::Duration;
use swarm_skill_core::{Answer, ChunkModel, ModelShape, PolicyError, PolicyRunner, QuestionId};

/// Thinks on its own thread. The thread ends when the runner is dropped, after the inference that it may be in.
#[derive(Debug)]
pub struct ThreadedRunner {
    shape: ModelShape,
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
    asked: Option<QuestionId>,
    last: u64,
}

#[derive(Debug)]
struct Question {
    ticket: QuestionId,
    since: Instant,
    inputs: Vec<Vec<f32>>,
}

impl ThreadedRunner {
    /// # Errors
    /// If the system gives no thread.
    pub fn start(mut model: impl ChunkModel + 'static) -> std::io::Result<Self> {
        let shape = model.shape().clone();
        // One question at a time, and its one answer: neither channel is ever full.
        let (questions, asked) = sync_channel::<Question>(1);
        let (answer, answers) = sync_channel(1);
        thread::Builder::new().name("policy".into()).spawn(move || {
            for Question { ticket, since, inputs } in asked {
                let chunk = model.infer(&inputs);
                let took = Duration::from_nanos(since.elapsed().as_nanos() as u64);
                if answer.send(Answer { ticket, took, chunk }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { shape, questions, answers, asked: None, last: 0 })
    }
}

impl PolicyRunner for ThreadedRunner {
    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn submit(&mut self, inputs: &[Vec<f32>]) -> Result<QuestionId, PolicyError> {
        if self.asked.is_some() {
            return Err(PolicyError::Busy);
        }
        self.shape.check_inputs(inputs)?;
        let ticket = QuestionId(self.last + 1);
        let question = Question { ticket, since: Instant::now(), inputs: inputs.to_vec() };
        self.questions.try_send(question).map_err(|_| ended())?;
        self.last = ticket.0;
        self.asked = Some(ticket);
        Ok(ticket)
    }

    fn poll(&mut self) -> Option<Answer> {
        let ticket = self.asked?;
        let answer = match self.answers.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Answer { ticket, took: Duration::ZERO, chunk: Err(ended()) },
        };
        self.asked = None;
        Some(answer)
    }
}

/// A thread only ends before its runner by a panic.
fn ended() -> PolicyError {
    PolicyError::Failed("the thread of the policy has ended; the skill has to be deployed again".into())
}
