//! The middleware without its shared memory, so that no other process can stop ours by dying.
//!
//! Fast DDS hands messages between processes of one host over in shared memory, and guards it with locks that live there too.
//! A process that is killed while it holds one takes it along, and whoever needs it next waits for ever: a killed recorder
//! could silence the safety monitor, or an arm's driver. Over UDP a dead process is only a peer that no longer answers.
//!
//! Which transports are used is read from the environment when the first participant is made, and a process cannot safely
//! change its own environment. So it starts itself again, under the same process id, with the variable set.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Read by Fast DDS; a value that the user has set is kept.
const VARIABLE: &str = "FASTDDS_BUILTIN_TRANSPORTS";

/// Starts the process again without shared memory, if that is not so already. To be called before anything else is done.
pub(crate) fn leave_shared_memory() {
    if !is_needed(std::env::var_os("RMW_IMPLEMENTATION").as_deref(), std::env::var_os(VARIABLE).as_deref()) {
        return;
    }
    // Returns only if it failed.
    let error = std::env::current_exe().map(|program| {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| OsString::from(&program));
        Command::new(program).arg0(name).args(arguments).env(VARIABLE, "UDPv4").exec()
    });
    let (Ok(error) | Err(error)) = error;
    eprintln!(
        "cannot start again with {VARIABLE}=UDPv4: {error}; the middleware uses shared memory, and a killed process can block this \
         one: set the variable yourself"
    );
}

/// Only Fast DDS, which is ROS 2 Jazzy's default, has the variable.
fn is_needed(rmw: Option<&OsStr>, transports: Option<&OsStr>) -> bool {
    let fast_dds = rmw.is_none_or(|rmw| rmw.is_empty() || rmw.to_string_lossy().contains("fastrtps"));
    fast_dds && transports.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fast_dds_without_a_choice_of_the_user_is_started_again() {
        let needed = |rmw: Option<&str>, transports: Option<&str>| {
            is_needed(rmw.map(OsStr::new), transports.map(OsStr::new))
        };
        assert!(needed(None, None));
        assert!(needed(Some("rmw_fastrtps_cpp"), Some("")));
        assert!(!needed(Some("rmw_fastrtps_cpp"), Some("UDPv4")));
        assert!(!needed(None, Some("LARGE_DATA")));
        assert!(!needed(Some("rmw_cyclonedds_cpp"), None));
    }
}
