//! The guards of a real-time thread, tripped one by one. Each test runs itself again as a child process, since a guard that
//! works ends the process that trips it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::Signal;
use swarm_base::{Clock, Duration, Time};
use swarm_rt::KernelClock;
use swarm_rt::cells::{newest, presses, queue};
use swarm_rt::latency::Latencies;
use swarm_rt::periodic::{Occasion, Periodic};
use swarm_rt::purity::allocation::{self, TrapAllocator};
use swarm_rt::purity::counters::{Counters, ThreadId};
use swarm_rt::purity::system_calls::{Allowed, Breach, allow_only};
use swarm_rt::wake::{self, Sleeper, Waker, Woken};

#[global_allocator]
static ALLOCATOR: TrapAllocator = TrapAllocator;

const CHILD: &str = "SWARM_RT_CHILD";

/// Runs `body` on a thread of a child process; gives how the child ended. `test` is the name of the calling test.
fn in_a_child(test: &str, body: impl FnOnce() + Send + 'static) -> Output {
    if std::env::var(CHILD).is_ok_and(|name| name == test) {
        let failed = thread::spawn(body).join().is_err();
        std::process::exit(i32::from(failed));
    }
    let program = std::env::current_exe().unwrap();
    Command::new(program).args(["--exact", test, "--nocapture"]).env(CHILD, test).output().unwrap()
}

#[track_caller]
fn assert_killed_by(output: &Output, signal: Signal, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(signal.as_raw()), "{:?}: {said}", output.status);
    assert!(said.contains(words), "{said}");
}

#[track_caller]
fn assert_ended_well(output: &Output) {
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

fn guard(sleeper: &Sleeper, wakers: &[&Waker], breach: Breach) {
    allow_only(Allowed { sleeper, wakers }, breach).unwrap();
}

#[test]
fn taking_memory_ends_the_process() {
    let output = in_a_child("taking_memory_ends_the_process", || {
        let _forbidden = allocation::forbid().unwrap();
        drop(std::hint::black_box(Box::new([0u8; 48])));
    });
    assert_killed_by(
        &output,
        Signal::ABORT,
        "swarm_rt: a real-time thread took 48 bytes of memory; aborting\n",
    );
}

#[test]
fn freeing_memory_ends_the_process() {
    let output = in_a_child("freeing_memory_ends_the_process", || {
        let memory = std::hint::black_box(vec![0u8; 48]);
        let _forbidden = allocation::forbid().unwrap();
        drop(memory);
    });
    assert_killed_by(&output, Signal::ABORT, "a real-time thread freed 48 bytes of memory");
}

#[test]
fn growing_memory_ends_the_process() {
    let output = in_a_child("growing_memory_ends_the_process", || {
        let mut memory = vec![0u8; 48];
        let _forbidden = allocation::forbid().unwrap();
        memory.reserve_exact(100);
        std::hint::black_box(memory);
    });
    assert_killed_by(&output, Signal::ABORT, "a real-time thread resized memory to 148 bytes");
}

#[test]
fn other_threads_and_later_times_may_use_memory() {
    let output = in_a_child("other_threads_and_later_times_may_use_memory", || {
        let (mut sleeper, waker) = wake::pair();
        let other = thread::spawn(move || {
            std::hint::black_box(vec![0u8; 1000]);
            waker.wake();
        });
        let forbidden = allocation::forbid().unwrap();
        sleeper.sleep_until(Time(u64::MAX));
        drop(forbidden);
        let before = allocation::uses();
        drop(std::hint::black_box(vec![0u8; 1000]));
        assert_eq!(allocation::uses() - before, 2);
        other.join().unwrap();
    });
    assert_ended_well(&output);
}

#[test]
fn opening_a_file_ends_the_process() {
    let output = in_a_child("opening_a_file_ends_the_process", || {
        let (sleeper, _waker) = wake::pair();
        guard(&sleeper, &[], Breach::KillsTheProcess);
        let _ = std::fs::File::open("/dev/null");
    });
    assert_killed_by(&output, Signal::SYS, "");
}

#[test]
fn a_log_line_ends_the_process() {
    let output = in_a_child("a_log_line_ends_the_process", || {
        let (sleeper, _waker) = wake::pair();
        guard(&sleeper, &[], Breach::KillsTheProcess);
        eprintln!("a log line");
    });
    assert_killed_by(&output, Signal::SYS, "");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("a log line"));
}

#[test]
fn sleeping_in_another_way_ends_the_process() {
    let output = in_a_child("sleeping_in_another_way_ends_the_process", || {
        let (sleeper, _waker) = wake::pair();
        guard(&sleeper, &[], Breach::KillsTheProcess);
        thread::sleep(std::time::Duration::from_millis(1));
    });
    assert_killed_by(&output, Signal::SYS, "");
}

#[test]
fn waiting_for_a_lock_ends_the_process() {
    let output = in_a_child("waiting_for_a_lock_ends_the_process", || {
        let (sleeper, _waker) = wake::pair();
        let lock = Arc::new(Mutex::new(()));
        let theirs = Arc::clone(&lock);
        let held = lock.lock().unwrap();
        let waiting = thread::spawn(move || {
            guard(&sleeper, &[], Breach::KillsTheProcess);
            // Never unlocked: that would be a second breach, and this is about the waiting.
            std::mem::forget(theirs.lock());
        });
        // The child ends here, killed. If it does not, the lock is given back after a while, and the child ends well.
        let given_up = KernelClock.now() + Duration::from_millis(5_000);
        while !waiting.is_finished() && KernelClock.now() < given_up {
            thread::sleep(std::time::Duration::from_millis(1));
        }
        drop(held);
        waiting.join().unwrap();
    });
    assert_killed_by(&output, Signal::SYS, "");
}

#[test]
fn waking_a_stranger_ends_the_process() {
    let output = in_a_child("waking_a_stranger_ends_the_process", || {
        let (sleeper, _waker) = wake::pair();
        let (mut other, wake_other) = wake::pair();
        let deadline = KernelClock.now() + Duration::from_millis(60_000);
        let sleeping = thread::spawn(move || while other.sleep_until(deadline) == Woken::Event {});
        guard(&sleeper, &[], Breach::KillsTheProcess);
        while !sleeping.is_finished() {
            wake_other.wake();
            // Without a system call, until the other really sleeps: waking one that does not needs none.
            let asleep = KernelClock.now() + Duration::from_millis(1);
            while KernelClock.now() < asleep {
                std::hint::spin_loop();
            }
        }
    });
    assert_killed_by(&output, Signal::SYS, "");
}

#[test]
fn a_panic_says_why_before_it_ends_the_process() {
    let output = in_a_child("a_panic_says_why_before_it_ends_the_process", || {
        let (sleeper, _waker) = wake::pair();
        guard(&sleeper, &[], Breach::KillsTheProcess);
        let cycle = sleeper.waker();
        let _forbidden = allocation::forbid().unwrap();
        panic!("joint {} is not a number in {}", 3, std::any::type_name_of_val(&cycle));
    });
    assert_killed_by(&output, Signal::ABORT, "joint 3 is not a number in swarm_rt::wake::Waker; aborting");
}

#[test]
fn to_find_out_a_call_can_fail_instead() {
    let output = in_a_child("to_find_out_a_call_can_fail_instead", || {
        let (sleeper, _waker) = wake::pair();
        guard(&sleeper, &[], Breach::FailsTheCall);
        let error = std::fs::File::open("/dev/null").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    });
    assert_ended_well(&output);
}

/// What a real loop does, under every guard: periods, events, all cells both ways, latencies; stopped and continued once.
#[test]
fn the_first_look_at_the_clock_may_come_after_the_list() {
    let output = in_a_child("the_first_look_at_the_clock_may_come_after_the_list", || {
        let (sleeper, _waker) = wake::pair();
        guard(&sleeper, &[], Breach::KillsTheProcess);
        std::hint::black_box(KernelClock.now());
    });
    assert_ended_well(&output);
}

// SR-19
#[test]
fn a_clean_loop_lives_and_its_thread_ends() {
    const CYCLES: u64 = 2_000;
    let output = in_a_child("a_clean_loop_lives_and_its_thread_ends", || {
        let (mut sleeper, waker) = wake::pair();
        let (mut listener, wake_listener) = wake::pair();
        let (mut sensor, mut sensed) = newest::newest(&[0.0f64; 7]);
        let (button, mut pressed) = presses::presses();
        let (mut log, mut logged) = queue::queue::<(u64, [f64; 7])>(256);
        let (tell, told) = std::sync::mpsc::channel();
        let looping = thread::spawn(move || {
            let mut latencies = Latencies::new();
            let mut periodic = Periodic::aligned(KernelClock.now(), Duration::from_micros(200));
            tell.send(ThreadId::current()).unwrap();
            guard(&sleeper, &[&wake_listener], Breach::KillsTheProcess);
            let forbidden = allocation::forbid().unwrap();
            let (mut cycles, mut presses) = (0, 0);
            while cycles < CYCLES {
                let occasion = periodic.wait(&mut sleeper);
                presses += pressed.take();
                if let Occasion::Tick(tick) = occasion {
                    cycles += 1;
                    latencies.record(tick.late);
                    // What finds the queue full is counted there.
                    let _ = log.send((cycles, *sensed.read()));
                    wake_listener.wake();
                }
            }
            drop(forbidden);
            (presses, latencies.count())
        });
        let watched = told.recv().unwrap();
        let mut pressed = 0;
        let mut before = Counters::default();
        let mut filtered = false;
        while !looping.is_finished() {
            // Its memory is not locked here, so pages of code may still come from the disk: only that they can be read.
            if let Ok(counters) = Counters::of(watched) {
                assert!(counters.voluntary_switches >= before.voluntary_switches, "{before:?} {counters:?}");
                before = counters;
            }
            filtered |= watched.is_filtered().unwrap_or(false);
            sensor.write([1.0; 7]);
            button.press();
            pressed += 1;
            waker.wake();
            listener.sleep_until(KernelClock.now() + Duration::from_millis(5));
            while logged.receive().is_some() {}
            if pressed == 100 {
                let this = rustix::process::getpid();
                // A shell stops this process and lets it go on; the sleep goes on too.
                let script = format!("kill -STOP {0}; sleep 0.05; kill -CONT {0}", this.as_raw_nonzero());
                assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
            }
        }
        let (seen, recorded) = looping.join().unwrap();
        assert!(filtered, "the kernel says that it filters the thread's system calls");
        assert!(pressed >= 100, "the loop was over before it was stopped once: {pressed}");
        assert!(seen <= pressed && seen + 2 >= pressed, "{seen} of {pressed} presses");
        assert_eq!(recorded, CYCLES);
    });
    assert_ended_well(&output);
}
