//! What each way of locking memory costs a process like a ROS node: threads with large stacks of which they use little.
//!
//!     cargo run --release -p swarm_rt --example memory_cost -- [none | all | prepared]
//!
//! `none` locks nothing, `all` is `mlockall(MCL_CURRENT | MCL_FUTURE)`, `prepared` is `prepare_process`. It prints what is
//! resident and locked with 16 threads of 8 MiB of stack, each of which has taken 100 KiB of memory.

use std::error::Error;
use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;

use rustix::mm::{MlockAllFlags, mlockall};
use swarm_rt::prepare_process;

const THREADS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let way = std::env::args().nth(1).unwrap_or_else(|| "prepared".to_owned());
    match way.as_str() {
        "none" => {}
        "all" => mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?,
        "prepared" => {
            for lack in prepare_process() {
                eprintln!("lack: {lack}");
            }
        }
        other => return Err(format!("no way is called `{other}`; there are: none, all, prepared").into()),
    }
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            thread::Builder::new().stack_size(8 << 20).spawn(move || {
                let memory = vec![1u8; 100 << 10];
                barrier.wait();
                barrier.wait();
                memory.len()
            })
        })
        .collect::<Result<_, _>>()?;
    barrier.wait();
    let status = fs::read_to_string("/proc/self/status")?;
    let lines =
        status.lines().filter(|line| ["VmSize", "VmRSS", "VmLck"].iter().any(|name| line.starts_with(name)));
    println!("{way}: {}", lines.collect::<Vec<_>>().join("  ").replace('\t', " "));
    barrier.wait();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")?;
    }
    Ok(())
}
