//! The threads that must be in time: started as they were asked for, and looked at while they run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use swarm_base::{Clock as _, Duration, Time};
use swarm_rt::purity::allocation::{self, Forbidden};
use swarm_rt::purity::counters::ThreadId;
use swarm_rt::purity::system_calls::{Allowed, Breach, allow_only};
use swarm_rt::wake::{self, Sleeper, Waker, Woken};
use swarm_rt::{KernelClock, Lack, ThreadWish, look_at_thread, prepare_thread};

/// Time between two looks at the threads.
const LOOK_PERIOD: Duration = Duration::from_millis(1_000);

/// Time between two looks whether a thread has ended before it said how it was set up.
const START_PERIOD: Duration = Duration::from_millis(50);

/// Time between two looks whether a thread is through.
const JOIN_PERIOD: Duration = Duration::from_millis(1);

/// Of a thread between the end of its work and that of the process.
const REST: Duration = Duration::from_millis(3_600_000);

/// A running thread.
#[derive(Debug)]
pub struct Thread {
    handle: JoinHandle<()>,
    seat: Option<Seat>,
    through: Arc<AtomicBool>,
}

/// A thread and the scheduling that it was granted.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    id: ThreadId,
    wish: ThreadWish,
}

/// What a starting thread says of its own set-up.
#[derive(Debug)]
pub struct SetUp {
    told: Arc<Mutex<Told>>,
    waker: Waker,
    through: Arc<AtomicBool>,
}

/// A thread whose guards are in force: memory and system calls ([`SetUp::guard`]). It cannot end.
#[derive(Debug)]
pub struct Guarded {
    through: Arc<AtomicBool>,
    /// None where the program has no allocator that can be forbidden, which is a lack.
    _forbidden: Option<Forbidden>,
}

impl Guarded {
    /// Tells that the thread is through with its work, and sleeps until the process ends. A thread that ends gives memory back, and
    /// where another holds the allocator's lock it would have to wait for it, by a call that is not on its list.
    pub fn rest(self, sleeper: &mut Sleeper) -> ! {
        self.through.store(true, Ordering::Release);
        loop {
            sleeper.sleep_until(KernelClock.now() + REST);
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    seat: Option<Seat>,
    lacks: Vec<Lack>,
}

/// Starts a thread, prepares it as wished, lets it `work`, and gives what it lacks once it has called [`SetUp::is_done`].
/// `None` = the system's fair time sharing, of which nothing can be lacking.
pub fn start(
    builder: Builder,
    wish: Option<ThreadWish>,
    work: impl FnOnce(SetUp) + Send + 'static,
) -> std::io::Result<(Thread, Vec<Lack>)> {
    let (mut sleeper, waker) = wake::pair();
    let told = Arc::new(Mutex::new(Told::default()));
    let through = Arc::new(AtomicBool::new(false));
    let set_up = SetUp { told: Arc::clone(&told), waker, through: Arc::clone(&through) };
    let handle = builder.spawn(move || {
        set_up.prepare(wish);
        work(set_up);
    })?;
    while sleeper.sleep_until(KernelClock.now() + START_PERIOD) == Woken::Deadline {
        if handle.is_finished() {
            break;
        }
    }
    let Told { seat, lacks } = std::mem::take(&mut *lock(&told));
    Ok((Thread { handle, seat, through }, lacks))
}

impl Thread {
    /// What it was granted, if it was granted all that it was to have: what is lacking from the start cannot be lost.
    pub fn seat(&self) -> Option<Seat> {
        self.seat
    }

    /// Waits until it has ended, or rests ([`Guarded`]).
    pub fn join(self) -> std::thread::Result<()> {
        while !self.handle.is_finished() {
            if self.through.load(Ordering::Acquire) {
                return Ok(());
            }
            std::thread::sleep(JOIN_PERIOD.to_std());
        }
        self.handle.join()
    }
}

impl SetUp {
    fn prepare(&self, wish: Option<ThreadWish>) {
        let Some(wish) = wish else { return };
        let lacks = prepare_thread(&wish);
        let seat = lacks.is_empty().then(|| Seat { id: ThreadId::current(), wish });
        *lock(&self.told) = Told { seat, lacks };
    }

    /// What the calling thread was granted, for a thread that looks at itself.
    pub fn seat(&self) -> Option<Seat> {
        lock(&self.told).seat
    }

    /// Something more is lacking.
    pub fn lacks(&self, lack: impl Into<Lack>) {
        lock(&self.told).lacks.push(lack.into());
    }

    /// Puts the guards in force, and is done: from here on the thread takes no memory and makes no system call but to sleep with
    /// `sleeper` and to wake by `listener`. A breach ends the process.
    pub fn guard(self, sleeper: &Sleeper, listener: &Waker) -> Guarded {
        // Tried first: a thread that keeps to its list can say no more than that it is done.
        if let Err(lack) = allocation::forbid().map(drop) {
            self.lacks(lack);
        }
        let allowed = Allowed { sleeper, wakers: &[listener, &self.waker] };
        if let Err(lack) = allow_only(allowed, Breach::KillsTheProcess) {
            self.lacks(lack);
        }
        let guarded = Guarded { through: Arc::clone(&self.through), _forbidden: allocation::forbid().ok() };
        self.is_done();
        guarded
    }

    /// Nothing more will be lacking. Neither locks nor touches memory: the thread's guards may be in force.
    pub fn is_done(self) {
        self.waker.wake();
        std::mem::forget(self);
    }
}

/// Looks once a second whether threads still have what they were granted: others can take it away (`chrt`, `taskset`).
#[derive(Debug)]
pub struct Watch {
    seats: Vec<Seat>,
    due: Time,
    lost: Vec<Lack>,
}

impl Watch {
    pub fn new(seats: impl IntoIterator<Item = Seat>, now: Time) -> Self {
        Self { seats: seats.into_iter().collect(), due: now + LOOK_PERIOD, lost: Vec::new() }
    }

    /// Everything that is lost by now, if that has changed since the last look.
    pub fn look(&mut self, now: Time) -> Option<&[Lack]> {
        if now < self.due {
            return None;
        }
        self.due = now + LOOK_PERIOD;
        let lost = self.seats.iter().flat_map(|seat| look_at_thread(seat.id, &seat.wish)).collect();
        let before = std::mem::replace(&mut self.lost, lost);
        (before != self.lost).then_some(&self.lost)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every holder leaves a whole value behind at each point where it could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use swarm_rt::What;

    use super::*;

    const WISH: ThreadWish = ThreadWish { priority: 5, cpu: None, stack_bytes: 1 << 16 };

    fn builder() -> Builder {
        Builder::new().stack_size(1 << 20)
    }

    #[test]
    fn what_a_thread_says_before_it_is_set_up_is_told_to_whoever_started_it() {
        let (end, wait) = mpsc::channel::<()>();
        let (thread, lacks) = start(builder(), None, move |set_up| {
            set_up.lacks(Lack {
                what: What::Allocator,
                asked: "a guard".to_owned(),
                found: "none".to_owned(),
                errno: None,
                mend: "install one".to_owned(),
            });
            set_up.is_done();
            let _ = wait.recv();
        })
        .unwrap();
        assert_eq!(lacks.iter().map(|lack| lack.what).collect::<Vec<_>>(), [What::Allocator]);
        assert!(thread.seat().is_none(), "it asked for nothing that it could lose");
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_that_ends_before_it_says_so_keeps_nobody_waiting() {
        let (thread, lacks) = start(builder(), None, drop).unwrap();
        assert!(lacks.is_empty());
        thread.join().unwrap();
    }

    // SR-18
    #[test]
    fn a_loss_is_told_once_and_so_is_its_end() {
        let (end, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let (thread, lacks) = start(builder(), Some(WISH), move |set_up| {
            tell.send(ThreadId::current()).unwrap();
            set_up.is_done();
            let _ = wait.recv();
        })
        .unwrap();
        // Without the right to SCHED_FIFO nothing was granted that could be lost.
        assert_eq!(thread.seat().is_some(), lacks.is_empty(), "{lacks:?}");
        let mut watch = Watch::new(thread.seat(), Time::ZERO);
        assert!(watch.look(Time::ZERO).is_none(), "too early");
        assert!(watch.look(Time::ZERO + LOOK_PERIOD).is_none(), "nothing is lost");
        // As somebody else's hand would: the thread has another priority than it should.
        let wish = ThreadWish { priority: 6, ..WISH };
        watch.seats = vec![Seat { id: told.recv().unwrap(), wish }];
        let second = |n: u64| Time::ZERO + Duration(LOOK_PERIOD.0 * n);
        let lost = watch.look(second(2)).unwrap();
        assert_eq!(lost.iter().map(|lack| lack.what).collect::<Vec<_>>(), [What::Scheduling]);
        assert!(watch.look(second(3)).is_none(), "still lost, and told");
        watch.seats.clear();
        assert_eq!(watch.look(second(4)), Some(&[][..]));
        drop(end);
        thread.join().unwrap();
    }
}
