//! What a whole process is given and refused. Each test runs itself again as a child process, because memory that is locked
//! and rights that are given up stay so.

use std::process::{Command, Output};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use swarm_base::{Clock, Duration};
use swarm_rt::periodic::{Occasion, Periodic};
use swarm_rt::purity::counters::{Counters, ThreadId};
use swarm_rt::{KernelClock, Lack, ThreadWish, What, look_at_thread, prepare_process, prepare_thread, wake};

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
fn assert_ended_well(output: &Output) {
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// Takes away what root and the limits of the user allow.
fn give_up_rights() {
    const NONE: Rlimit = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Memlock, NONE).unwrap();
    setrlimit(Resource::Rtprio, NONE).unwrap();
    let none = rustix::thread::CapabilitySets {
        effective: rustix::thread::CapabilitySet::empty(),
        permitted: rustix::thread::CapabilitySet::empty(),
        inheritable: rustix::thread::CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).unwrap();
}

fn lack_of(what: What, lacks: &[Lack]) -> &Lack {
    lacks.iter().find(|lack| lack.what == what).unwrap_or_else(|| panic!("no lack of {what:?} in {lacks:?}"))
}

#[test]
fn without_rights_every_lack_is_told_with_what_mends_it() {
    let output = in_a_child("without_rights_every_lack_is_told_with_what_mends_it", || {
        give_up_rights();
        let memory = prepare_process();
        let memory = lack_of(What::LockedMemory, &memory).to_string();
        assert!(memory.contains("found 0 KiB of") && memory.contains("the limit is 0 KiB"), "{memory}");
        assert!(memory.contains("memlock unlimited"), "{memory}");
        let thread = prepare_thread(&ThreadWish { priority: 80, cpu: None, stack_bytes: 1 << 16 });
        assert_eq!(thread.len(), 1, "{thread:?}");
        let scheduling = lack_of(What::Scheduling, &thread).to_string();
        assert!(scheduling.contains("SCHED_FIFO with priority 80, found SCHED_OTHER"), "{scheduling}");
        assert!(
            scheduling.contains("Operation not permitted") && scheduling.contains("rtprio 80"),
            "{scheduling}"
        );
    });
    assert_ended_well(&output);
}

/// With rights (root, or memlock and rtprio) nothing is lacking and the loop never faults; without them each of the two that
/// need rights is a lack, and the stack is resident all the same.
#[test]
fn a_prepared_loop_causes_no_page_fault() {
    let output = in_a_child("a_prepared_loop_causes_no_page_fault", || {
        let process = prepare_process();
        assert!(process.iter().all(|lack| lack.what == What::LockedMemory), "{process:?}");
        let (tell, told) = std::sync::mpsc::channel();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let looping = thread::spawn(move || {
            let (mut sleeper, _waker) = wake::pair();
            let lacks = prepare_thread(&ThreadWish { priority: 80, cpu: None, stack_bytes: 256 << 10 });
            let mut periodic = Periodic::aligned(KernelClock.now(), Duration::from_micros(500));
            let mut cycle = || while !matches!(periodic.wait(&mut sleeper), Occasion::Tick(_)) {};
            cycle();
            for round in 0..2 {
                tell.send((ThreadId::current(), lacks.clone())).unwrap();
                if wait.recv().is_ok() && round == 0 {
                    (0..1_000).for_each(|_| cycle());
                }
            }
        });
        let (thread, lacks) = told.recv().unwrap();
        assert!(lacks.iter().all(|lack| lack.what == What::Scheduling), "{lacks:?}");
        let before = Counters::of(thread).unwrap();
        go.send(()).unwrap();
        told.recv().unwrap();
        let counted = Counters::of(thread).unwrap() - before;
        go.send(()).unwrap();
        looping.join().unwrap();
        // Pages that were not locked may be taken back by the kernel and read again.
        assert!(counted.major_faults == 0 || !process.is_empty(), "{counted:?}");
        // Handing over the second message takes memory; the allocator's own pages may be touched for it.
        assert!(counted.minor_faults <= 2, "{counted:?}");
        // It really slept; on a busy machine a deadline may have passed before it could.
        assert!(counted.voluntary_switches >= 900, "{counted:?}");
    });
    assert_ended_well(&output);
}

// SR-18
#[test]
fn what_is_taken_from_a_thread_is_seen_from_another() {
    let output = in_a_child("what_is_taken_from_a_thread_is_seen_from_another", || {
        let all = sched_getaffinity(None).unwrap();
        let cpu = (0..CpuSet::MAX_CPU).rfind(|cpu| all.is_set(*cpu)).unwrap();
        let wish = ThreadWish { priority: 5, cpu: Some(cpu as u16), stack_bytes: 1 << 16 };
        let (tell, told) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let watched = thread::spawn(move || {
            tell.send((prepare_thread(&wish), ThreadId::current())).unwrap();
            let _ = wait.recv();
        });
        let (lacks, id) = told.recv().unwrap();
        // What was refused from the start is seen too.
        let refused = lacks.iter().any(|lack| lack.what == What::Scheduling);
        let seen = |wish| look_at_thread(id, wish).iter().map(|lack| lack.what).collect::<Vec<_>>();
        assert_eq!(seen(&wish), lacks.iter().map(|lack| lack.what).collect::<Vec<_>>());
        let other = look_at_thread(id, &ThreadWish { priority: 6, ..wish });
        let found = if refused { "SCHED_OTHER with priority 0" } else { "SCHED_FIFO with priority 5" };
        assert_eq!(lack_of(What::Scheduling, &other).found, found);
        let number = id.number();
        let mend = &lack_of(What::Scheduling, &other).mend;
        assert!(mend.contains(&format!("chrt --fifo --reset-on-fork --pid 6 {number}")), "{mend}");
        // Somebody lets it run anywhere; on a machine of one CPU there is no such place.
        sched_setaffinity(Pid::from_raw(number), &all).unwrap();
        assert_eq!(seen(&wish).contains(&What::Affinity), all.count() > 1);
        end.send(()).unwrap();
        watched.join().unwrap();
        let gone = look_at_thread(id, &wish);
        assert!(lack_of(What::Scheduling, &gone).found.starts_with("an unknown policy"), "{gone:?}");
    });
    assert_ended_well(&output);
}

#[test]
fn a_thread_started_by_a_real_time_thread_is_none() {
    let output = in_a_child("a_thread_started_by_a_real_time_thread_is_none", || {
        let lacks = prepare_thread(&ThreadWish { priority: 5, cpu: None, stack_bytes: 1 << 16 });
        // Where SCHED_FIFO is refused there is nothing to inherit, and the lack says so.
        assert!(lacks.iter().all(|lack| lack.what == What::Scheduling), "{lacks:?}");
        let stat =
            thread::spawn(|| std::fs::read_to_string("/proc/thread-self/stat").unwrap()).join().unwrap();
        // Fields 40 and 41 of proc(5) `stat`, real-time priority and policy; field 3 is the first after the name.
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = after_name.split_whitespace().skip(40 - 3).take(2).collect();
        assert_eq!(fields, ["0", "0"], "{stat}");
    });
    assert_ended_well(&output);
}
