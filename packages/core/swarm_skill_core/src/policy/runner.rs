//! Asking a policy that thinks longer than a tick: [`PolicyRunner`], and what stands behind it.
//!
//! A tick never waits. It hands an observation over ([`PolicyRunner::submit`]), and asks in later ticks whether there is an answer
//! ([`PolicyRunner::poll`]). The thread that thinks meanwhile is an adapter's. A decision made from answers depends on the values and on
//! the ticks in which they came; [`InlineRunner`] fixes both, for lock step, previews and tests.

use std::collections::VecDeque;
use std::fmt;

use swarm_base::Duration;

use crate::policy::PolicyError;

/// What goes into a network and comes out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// In the order in which they are handed over.
    pub inputs: Vec<ModelInput>,
    /// Actions of a chunk.
    pub horizon: usize,
    /// Values of an action.
    pub action_len: usize,
}

/// An input: `steps` observations of `len` values, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInput {
    pub name: String,
    pub steps: usize,
    pub len: usize,
}

/// A network that is asked, and answers when it is done.
pub trait ChunkModel: Send + fmt::Debug {
    fn shape(&self) -> &ModelShape;

    /// The chunk for an observation whose lengths are those of the shape: `horizon * action_len` values, action by action.
    fn infer(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<f32>, PolicyError>;
}

/// A question's number; a runner gives none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuestionId(pub u64);

/// The answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub ticket: QuestionId,
    /// From the question to the answer.
    pub took: Duration,
    /// As many values as [`ModelShape`] says.
    pub chunk: Result<Vec<f32>, PolicyError>,
}

/// A network that is asked in one tick and answers in a later one. Never blocks.
pub trait PolicyRunner: Send + fmt::Debug {
    fn shape(&self) -> &ModelShape;

    /// Asks. [`PolicyError::Busy`] while an earlier question, whoever asked it, is not answered.
    fn submit(&mut self, inputs: &[Vec<f32>]) -> Result<QuestionId, PolicyError>;

    /// The answer, once; to a question of somebody who has gone, too.
    fn poll(&mut self) -> Option<Answer>;
}

impl ModelShape {
    /// Whether these are the inputs of one observation.
    pub fn check_inputs(&self, inputs: &[Vec<f32>]) -> Result<(), PolicyError> {
        if inputs.len() != self.inputs.len() {
            let (found, expected) = (inputs.len(), self.inputs.len());
            return Err(PolicyError::Inputs { found, expected });
        }
        for (input, values) in self.inputs.iter().zip(inputs) {
            let expected = input.steps * input.len;
            if values.len() != expected {
                return Err(PolicyError::Input { name: input.name.clone(), found: values.len(), expected });
            }
        }
        Ok(())
    }

    /// Whether this is a chunk.
    pub fn check_chunk(&self, chunk: &[f32]) -> Result<(), PolicyError> {
        let expected = self.horizon * self.action_len;
        if chunk.len() == expected {
            Ok(())
        } else {
            Err(PolicyError::Length { what: "answer", found: chunk.len(), expected })
        }
    }
}

/// Thinks while it is being asked, and answers at a stated poll.
#[derive(Debug)]
pub struct InlineRunner<M> {
    model: M,
    /// Polls that find no answer yet.
    delay: u32,
    next: u64,
    waiting: VecDeque<(u32, Answer)>,
}

impl<M: ChunkModel> InlineRunner<M> {
    /// Answers at the poll after `delay` polls.
    pub fn new(model: M, delay: u32) -> Self {
        Self { model, delay, next: 1, waiting: VecDeque::with_capacity(1) }
    }
}

impl<M: ChunkModel> PolicyRunner for InlineRunner<M> {
    fn shape(&self) -> &ModelShape {
        self.model.shape()
    }

    fn submit(&mut self, inputs: &[Vec<f32>]) -> Result<QuestionId, PolicyError> {
        if !self.waiting.is_empty() {
            return Err(PolicyError::Busy);
        }
        self.model.shape().check_inputs(inputs)?;
        let ticket = QuestionId(self.next);
        self.next += 1;
        let chunk = self.model.infer(inputs);
        self.waiting.push_back((self.delay, Answer { ticket, took: Duration::ZERO, chunk }));
        Ok(ticket)
    }

    fn poll(&mut self) -> Option<Answer> {
        let (delay, _) = self.waiting.front_mut()?;
        match delay.checked_sub(1) {
            Some(left) => {
                *delay = left;
                None
            }
            None => self.waiting.pop_front().map(|(_, answer)| answer),
        }
    }
}

/// What every [`PolicyRunner`] promises, as checks that a test of any implementation runs.
pub mod contract {
    use super::{Answer, PolicyRunner};
    use crate::policy::PolicyError;

    /// Runs all checks on a runner that has not been asked yet. `wait` lets time pass; it is called up to 10,000 times per answer.
    ///
    /// # Panics
    /// With the broken promise.
    pub fn check(runner: &mut dyn PolicyRunner, mut wait: impl FnMut()) {
        assert_eq!(runner.poll(), None, "who has not been asked does not answer");
        let shape = runner.shape().clone();
        let zeros: Vec<Vec<f32>> =
            shape.inputs.iter().map(|input| vec![0.0; input.steps * input.len]).collect();

        let first = runner.submit(&zeros).expect("the first question is taken");
        let again = runner.submit(&zeros);
        let answer = until_answered(runner, &mut wait);
        // An answer may have been ready at once; the question before it is then still not taken away.
        assert_eq!(again, Err(PolicyError::Busy), "one question at a time");
        assert_eq!(answer.ticket, first, "the answer is that of the question");
        let chunk = answer.chunk.expect("zeros are answered");
        assert_eq!(chunk.len(), shape.horizon * shape.action_len, "an answer is a chunk");
        assert_eq!(runner.poll(), None, "an answer is given once");

        let second = runner.submit(&zeros).expect("after an answer the next question is taken");
        assert!(second > first, "tickets are new");
        let same = until_answered(runner, &mut wait).chunk.expect("zeros are answered again");
        let bits = |chunk: &[f32]| chunk.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&same), bits(&chunk), "the same question has the same answer");

        let mut short = zeros.clone();
        short[0].pop();
        let found = runner.submit(&short).expect_err("a short input is refused");
        let (name, len) = (&shape.inputs[0].name, zeros[0].len());
        assert_eq!(
            found,
            PolicyError::Input { name: name.clone(), found: len - 1, expected: len },
            "a refusal names the input"
        );
        let few = runner.submit(&zeros[1..]).expect_err("a missing input is refused");
        assert_eq!(few, PolicyError::Inputs { found: zeros.len() - 1, expected: zeros.len() });
        runner.submit(&zeros).expect("a refusal does no harm");
        until_answered(runner, &mut wait).chunk.expect("and the answer is one");
    }

    fn until_answered(runner: &mut dyn PolicyRunner, wait: &mut impl FnMut()) -> Answer {
        for _ in 0..10_000 {
            if let Some(answer) = runner.poll() {
                return answer;
            }
            wait();
        }
        panic!("a question is not answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the sum of everything.
    #[derive(Debug)]
    struct Sum(ModelShape);

    impl ChunkModel for Sum {
        fn shape(&self) -> &ModelShape {
            &self.0
        }

        fn infer(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<f32>, PolicyError> {
            Ok(vec![inputs.iter().flatten().sum(); self.0.horizon * self.0.action_len])
        }
    }

    fn sum() -> Sum {
        let input = |name: &str, steps, len| ModelInput { name: name.into(), steps, len };
        Sum(ModelShape { inputs: vec![input("a", 1, 2), input("b", 2, 3)], horizon: 4, action_len: 2 })
    }

    #[test]
    fn the_inline_runner_keeps_the_contract() {
        for delay in [0, 1, 7] {
            contract::check(&mut InlineRunner::new(sum(), delay), || {});
        }
    }

    #[test]
    fn an_answer_comes_at_the_stated_poll() {
        let mut runner = InlineRunner::new(sum(), 2);
        let inputs = [vec![1.0, 2.0], vec![0.0; 6]];
        runner.submit(&inputs).unwrap();
        assert_eq!((runner.poll(), runner.poll()), (None, None));
        assert_eq!(runner.poll().unwrap().chunk, Ok(vec![3.0; 8]));
    }
}
