//! A panic ends the process.

/// From now on a panic of any thread is printed and ends the process with `SIGABRT`.
///
/// Called first in the `main` of a node that arms depend on: a process that lives on without one of its threads is missed by
/// nobody, while one that has ended falls silent, and the launch starts it again or ends.
pub fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_panic_of_any_thread_is_printed_and_ends_the_process() {
        const CHILD: &str = "SWARM_PANIC_IN_A_THREAD";
        if std::env::var_os(CHILD).is_some() {
            abort_on_panic();
            let thread =
                std::thread::spawn(|| assert!(std::env::var_os(CHILD).is_none(), "a thread's last words"));
            let _ = thread.join();
            return;
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        let test = "panics::tests::a_panic_of_any_thread_is_printed_and_ends_the_process";
        let output = child.args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().unwrap();
        assert_eq!(output.status.signal(), Some(signal_hook::consts::SIGABRT), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("a thread's last words"), "{output:?}");
    }
}
