//! The middleware without its shared memory, so that no other process can stop ours.
//!
//! Fast DDS hands messages between processes of one host over in shared memory, and guards it with locks that live there too.
//! - A process that is killed while it holds one takes it along, and whoever needs it next waits for ever: a killed recorder
//!   could silence the safety monitor, or an arm's driver.
//! - Whoever meets a process that has just come or gone looks for a third of a second whether its memory is sound, and holds the lock
//!   that everything it publishes needs: after some minutes of service calls from a terminal, joint states come 337 ms late.
//!
//! Over UDP a dead process is only a peer that no longer answers.
//!
//! Which transports are used is read from the environment when the first participant is made, and a process cannot safely
//! change its own environment. So it starts itself again, under the same process id, with other variables. Where discovery is for this
//! host alone, a variable is not enough, and it takes the profile [`PROFILE_NAME`] that lies beside the one that the launch files name.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Read by Fast DDS; any value but that of [`UDP`] is the user's choice, and kept.
const TRANSPORTS: &str = "FASTDDS_BUILTIN_TRANSPORTS";
const UDP: &str = "UDPv4";
/// Read by Fast DDS, both.
const PROFILES: &str = "FASTRTPS_DEFAULT_PROFILES_FILE";
const PROFILES_TOO: &str = "FASTDDS_DEFAULT_PROFILES_FILE";
/// Read by rcl, the second one deprecated.
const RANGE: &str = "ROS_AUTOMATIC_DISCOVERY_RANGE";
const LOCALHOST_ONLY: &str = "ROS_LOCALHOST_ONLY";
const STATIC_PEERS: &str = "ROS_STATIC_PEERS";
/// Where packages are installed.
const PREFIXES: &str = "AMENT_PREFIX_PATH";

/// In `config/`, installed as the share of `swarm_bringup`.
const PROFILE_NAME: &str = "fastdds_localhost.xml";

/// Starts the process again without shared memory, if that is not so already. To be called before anything else is done.
pub fn leave_shared_memory() {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let again = match plan(variable, Path::is_file) {
        Plan::Stay => return,
        Plan::StayWith(why) => {
            eprintln!(
                "{why}, and discovery is for this host alone: the middleware uses shared memory, and a process that comes, goes or \
                 is killed can hold this one up"
            );
            return;
        }
        Plan::Again { profile } => again(profile),
    };
    let Err(error) = again;
    eprintln!(
        "cannot start again without the middleware's shared memory: {error}; a killed process can block this one"
    );
}

/// Returns only if it fails.
fn again(profile: Option<PathBuf>) -> std::io::Result<Infallible> {
    let mut arguments = std::env::args_os();
    let program = std::env::current_exe()?;
    let name = arguments.next().unwrap_or_else(|| OsString::from(&program));
    let mut command = Command::new(program);
    command.arg0(name).args(arguments).env(TRANSPORTS, UDP);
    if let Some(profile) = profile {
        command.env(PROFILES, profile).env(RANGE, "SYSTEM_DEFAULT").env_remove(LOCALHOST_ONLY);
    }
    Err(command.exec())
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Nothing to do, or nothing that is ours to do.
    Stay,
    /// Without shared memory something that the user has set would be lost: what, and why.
    StayWith(String),
    /// With this profile, where discovery is for this host alone.
    Again { profile: Option<PathBuf> },
}

/// What the environment's variables ask for.
fn plan(variable: impl Fn(&str) -> Option<String>, is_file: impl Fn(&Path) -> bool) -> Plan {
    // Only Fast DDS, which is ROS 2 Jazzy's default, has these variables.
    let fast_dds = variable("RMW_IMPLEMENTATION").is_none_or(|rmw| rmw.contains("fastrtps"));
    let transports = variable(TRANSPORTS);
    if !fast_dds || transports.as_ref().is_some_and(|transports| transports != UDP) {
        return Plan::Stay;
    }
    let localhost = variable(RANGE).is_some_and(|range| range == "LOCALHOST")
        || variable(LOCALHOST_ONLY).is_some_and(|only| only == "1");
    if !localhost {
        return if transports.is_none() { Plan::Again { profile: None } } else { Plan::Stay };
    }
    if let Some(set) = [STATIC_PEERS, PROFILES_TOO].into_iter().find(|name| variable(name).is_some()) {
        return Plan::StayWith(format!("{set} is set"));
    }
    let profile = if let Some(path) = variable(PROFILES) {
        let beside = Path::new(&path).with_file_name(PROFILE_NAME);
        is_file(&beside)
            .then_some(beside)
            .ok_or_else(|| format!("{PROFILES} is {path}, with no {PROFILE_NAME} beside it"))
    } else {
        let prefixes = variable(PREFIXES).unwrap_or_default();
        std::env::split_paths(&prefixes)
            .map(|prefix| prefix.join("share/swarm_bringup/config").join(PROFILE_NAME))
            .find(|path| is_file(path))
            .ok_or_else(|| format!("swarm_bringup with its {PROFILE_NAME} is not in {PREFIXES}"))
    };
    match profile {
        Ok(profile) => Plan::Again { profile: Some(profile) },
        Err(why) => Plan::StayWith(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTALLED: &str = "/ws/install/share/swarm_bringup/config/fastdds_localhost.xml";

    fn planned(set: &[(&str, &str)]) -> Plan {
        let find =
            |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        plan(find, |path| path == Path::new(INSTALLED))
    }

    #[test]
    fn only_fast_dds_without_a_choice_of_the_user_is_started_again() {
        assert_eq!(planned(&[]), Plan::Again { profile: None });
        assert_eq!(planned(&[("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")]), Plan::Again { profile: None });
        assert_eq!(planned(&[(TRANSPORTS, UDP)]), Plan::Stay);
        assert_eq!(planned(&[(TRANSPORTS, "LARGE_DATA"), (RANGE, "LOCALHOST")]), Plan::Stay);
        assert_eq!(
            planned(&[("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp"), (RANGE, "LOCALHOST")]),
            Plan::Stay
        );
    }

    #[test]
    fn discovery_on_this_host_alone_needs_a_profile_whatever_the_transports_are() {
        let again = Plan::Again { profile: Some(INSTALLED.into()) };
        let prefixes = (PREFIXES, "/opt/ros/jazzy:/ws/install");
        assert_eq!(planned(&[(RANGE, "LOCALHOST"), prefixes]), again);
        assert_eq!(planned(&[(LOCALHOST_ONLY, "1"), (TRANSPORTS, UDP), prefixes]), again);
        let launched = (PROFILES, "/ws/install/share/swarm_bringup/config/fastdds.xml");
        assert_eq!(planned(&[(RANGE, "LOCALHOST"), (TRANSPORTS, UDP), launched]), again);
        // The second time.
        assert_eq!(
            planned(&[(RANGE, "SYSTEM_DEFAULT"), (TRANSPORTS, UDP), (PROFILES, INSTALLED)]),
            Plan::Stay
        );
        assert_eq!(planned(&[(RANGE, "SUBNET"), (TRANSPORTS, UDP), launched]), Plan::Stay);
    }

    #[test]
    fn what_the_user_has_set_and_would_be_lost_is_kept_and_said() {
        let why = |set: &[(&str, &str)]| match planned(set) {
            Plan::StayWith(why) => why,
            other => panic!("{other:?}"),
        };
        let range = (RANGE, "LOCALHOST");
        assert_eq!(
            why(&[range, (PROFILES, "/etc/mine.xml")]),
            "FASTRTPS_DEFAULT_PROFILES_FILE is /etc/mine.xml, with no fastdds_localhost.xml beside it"
        );
        assert_eq!(why(&[range, (PROFILES_TOO, "/etc/mine.xml")]), "FASTDDS_DEFAULT_PROFILES_FILE is set");
        assert_eq!(why(&[range, (STATIC_PEERS, "10.0.0.2")]), "ROS_STATIC_PEERS is set");
        assert_eq!(
            why(&[range, (PREFIXES, "/opt/ros/jazzy")]),
            "swarm_bringup with its fastdds_localhost.xml is not in AMENT_PREFIX_PATH"
        );
    }
}
