//! What the deciding thread hears: from the middleware's threads to it, without either waiting for the other.
//!
//! Samples travel in a cell that holds the newest of each kind. What happened once must not be overwritten: presses of the
//! emergency stop are counted in a cell of their own, refused messages and resets by numbers that only grow.

use swarm_base::{Clock as _, Duration, Time};
use swarm_rt::KernelClock;
use swarm_rt::cells::newest::{self, Reader, Writer};
use swarm_rt::cells::presses::{self, Button, Presses};
use swarm_rt::wake::Waker;
use swarm_safety_core::{Input, Inputs, MAX_ROBOTS, ResetRequest, ingest::Refused};

/// How long a reset may wait for the deciding thread. Whoever asked waits longer: what he was told is not done, is not done later.
const RESET_HOLDS: Duration = Duration::from_millis(1_000);

/// Everything heard so far.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// Newest samples; a refused message or a reset in it is new if its number below has grown.
    inputs: Inputs,
    /// Messages refused so far, per robot.
    refused: [u64; MAX_ROBOTS],
    /// Resets asked for so far, and when the last one was.
    resets: u64,
    reset_at: Time,
}

/// The speaking end, for the threads that take messages off the middleware.
#[derive(Debug)]
pub struct Mouth {
    heard: Heard,
    cell: Writer<Heard>,
    button: Button,
    waker: Waker,
}

/// The listening end, for the deciding thread.
#[derive(Debug)]
pub struct Ears {
    cell: Reader<Heard>,
    presses: Presses,
    refused: [u64; MAX_ROBOTS],
    resets: u64,
}

/// Both ends; `waker` wakes the deciding thread.
pub fn pair(waker: Waker) -> (Mouth, Ears) {
    let (writer, reader) = newest::newest(&Heard::default());
    let (button, presses) = presses::presses();
    (
        Mouth { heard: Heard::default(), cell: writer, button, waker },
        Ears { cell: reader, presses, refused: [0; MAX_ROBOTS], resets: 0 },
    )
}

impl Mouth {
    /// Changes samples; they lie ready for the next cycle.
    pub fn say(&mut self, change: impl FnOnce(&mut Inputs)) {
        change(&mut self.heard.inputs);
        self.cell.write(self.heard);
    }

    /// As [`Self::say`], and wakes the deciding thread.
    pub fn say_now(&mut self, change: impl FnOnce(&mut Inputs)) {
        self.say(change);
        self.waker.wake();
    }

    /// A message of `robot` that was refused.
    pub fn refuse(&mut self, robot: usize, input: Input, refused: Refused) {
        let Some(count) = self.heard.refused.get_mut(robot) else { return };
        *count += 1;
        self.say_now(|inputs| inputs.robots[robot].refused = Some((input, refused)));
    }

    /// `/emergency_stop`. A press counts even if it is taken back at once.
    pub fn emergency_stop(&mut self, stop: bool) {
        self.say(|inputs| inputs.emergency_stop.held = stop);
        if stop {
            self.button.press();
        }
        self.waker.wake();
    }

    pub fn reset(&mut self, request: ResetRequest) {
        self.heard.resets += 1;
        self.heard.reset_at = KernelClock.now();
        self.say_now(|inputs| inputs.reset = Some(request));
    }
}

impl Ears {
    /// What has been heard; what happened once is handed over once. Neither allocates nor waits.
    pub fn take(&mut self) -> Inputs {
        let pressed = self.presses.take() > 0;
        let heard = self.cell.read();
        let mut inputs = heard.inputs;
        inputs.emergency_stop.pressed = pressed;
        for (robot, (count, seen)) in
            inputs.robots.iter_mut().zip(heard.refused.iter().zip(&mut self.refused))
        {
            if count == seen {
                robot.refused = None;
            }
            *seen = *count;
        }
        if heard.resets == self.resets || KernelClock.now().since(heard.reset_at) > RESET_HOLDS {
            inputs.reset = None;
        }
        self.resets = heard.resets;
        inputs
    }

    /// Passes over resets and refusals that nobody has taken; a press of the emergency stop stays.
    pub fn drop_requests(&mut self) {
        let heard = self.cell.read();
        (self.refused, self.resets) = (heard.refused, heard.resets);
    }
}

#[cfg(test)]
mod tests {
    use swarm_base::Time;
    use swarm_rt::wake::{self, Woken};
    use swarm_safety_core::InputFault;

    use super::*;

    const REFUSED: Refused = Refused { fault: InputFault::NotFinite, joint: None, value: 0.0, limit: 0.0 };

    #[test]
    fn what_happened_once_is_handed_over_once() {
        let (_sleeper, waker) = wake::pair();
        let (mut mouth, mut ears) = pair(waker);
        mouth.refuse(1, Input::Wrench, REFUSED);
        mouth.reset(ResetRequest { epoch: 7 });
        mouth.say(|inputs| inputs.emergency_stop.held = false);
        let inputs = ears.take();
        assert_eq!(inputs.robots[1].refused, Some((Input::Wrench, REFUSED)));
        assert_eq!(inputs.reset, Some(ResetRequest { epoch: 7 }));
        let inputs = ears.take();
        assert_eq!((inputs.robots[1].refused, inputs.reset), (None, None));
        mouth.refuse(1, Input::Wrench, REFUSED);
        assert!(ears.take().robots[1].refused.is_some(), "an equal one is another one");
    }

    #[test]
    fn a_reset_that_lay_there_for_too_long_does_not_count() {
        let (_sleeper, waker) = wake::pair();
        let (mut mouth, mut ears) = pair(waker);
        mouth.reset(ResetRequest { epoch: 7 });
        mouth.heard.reset_at = Time(KernelClock.now().0 - RESET_HOLDS.0 - 1);
        mouth.say(|_| {});
        assert_eq!(ears.take().reset, None);
        mouth.reset(ResetRequest { epoch: 7 });
        assert!(ears.take().reset.is_some(), "the next one does");
    }

    #[test]
    fn a_press_that_is_taken_back_at_once_still_counts() {
        let (_sleeper, waker) = wake::pair();
        let (mut mouth, mut ears) = pair(waker);
        mouth.emergency_stop(true);
        mouth.emergency_stop(false);
        let stop = ears.take().emergency_stop;
        assert!(stop.pressed && !stop.held);
        assert!(!ears.take().emergency_stop.pressed);
        mouth.emergency_stop(true);
        assert!(ears.take().emergency_stop.held && ears.take().emergency_stop.held);
    }

    // SR-20
    #[test]
    fn samples_do_not_wake_the_deciding_thread_and_a_stop_does() {
        let (mut sleeper, waker) = wake::pair();
        let (mut mouth, _ears) = pair(waker);
        mouth.say(|inputs| inputs.emergency_stop.held = false);
        assert_eq!(sleeper.sleep_until(Time::ZERO), Woken::Deadline);
        mouth.emergency_stop(true);
        assert_eq!(sleeper.sleep_until(Time(u64::MAX / 4)), Woken::Event);
    }
}
