//! `cargo xtask doctor`: what this machine has, what it lacks, and the command that mends it. Looks only; makes nothing.

use std::env;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Result;
use crate::layout::Layout;
use crate::process::{find_program, output};
use crate::ros::debian::{
    CAMERA_BED_TOOLS, DRAWN_CAMERA_TOOLS, NEEDS, Need, PAGE_TOOLS, REGISTRY_TOOLS, STREAM_TOOLS, install_line,
};
use crate::ros::native::LIBRARIES;
use crate::ros::underlay::{Underlay, process_variables};
use crate::ros::{RosEnv, State, domain, overlay};

/// `rust-version` of the workspace.
const RUSTC: (u32, u32) = (1, 95);
/// A release and a debug build, ROS and the install tree; measured, with room to spare.
const DISK_GIB: f64 = 14.0;
const MAKE_READY: &str = "cargo xtask setup";

/// One line of the examination.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Good(String),
    /// Something that builds or runs need; with the command that mends it.
    Bad(String, String),
    /// Good to know; nothing depends on it. With what would change it.
    Note(String, String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(what) => write!(f, "✓ {what}"),
            Self::Bad(what, mend) => write!(f, "✗ {what}\n    {mend}"),
            Self::Note(what, mend) => write!(f, "· {what}\n    {mend}"),
        }
    }
}

/// Prints the examination; true when nothing needed is missing.
pub fn run(layout: &Layout) -> Result<bool> {
    let mut findings = vec![rustc()];
    findings.extend(NEEDS.iter().chain(&STREAM_TOOLS).map(|need| match need.look() {
        Some(found) => Finding::Good(format!("{}: {found}", need.what)),
        None => Finding::Bad(need.what.to_owned(), install_line(need.packages())),
    }));
    findings.extend(DRAWN_CAMERA_TOOLS.iter().map(|need| wanted(need, "cargo xtask demo --record")));
    let of_tests = CAMERA_BED_TOOLS.iter().chain(&REGISTRY_TOOLS).chain(&PAGE_TOOLS);
    findings.extend(of_tests.map(|need| wanted(need, "cargo xtask test")));
    let state = RosEnv::look(layout)?;
    findings.extend(ros(layout, &state));
    findings.extend([disk_space(layout), real_time(), discovery()]);
    for finding in &findings {
        println!("{finding}");
    }
    Ok(!findings.iter().any(|finding| matches!(finding, Finding::Bad(..))))
}

/// A need of one command alone.
fn wanted(need: &Need, command: &str) -> Finding {
    match need.look() {
        Some(found) => Finding::Good(format!("{}: {found}", need.what)),
        None => {
            Finding::Note(format!("{}: missing, for {command}", need.what), install_line(need.packages()))
        }
    }
}

fn rustc() -> Finding {
    let (major, minor) = RUSTC;
    let mend = format!("rustup toolchain install {major}.{minor} && rustup default {major}.{minor}");
    let mut command = Command::new("rustc");
    let Ok(text) = output("asking rustc", command.arg("--version")) else {
        return Finding::Bad(format!("rustc {major}.{minor} or newer"), mend);
    };
    match version_of(&text) {
        Some(version) if version >= RUSTC => Finding::Good(text.trim().to_owned()),
        _ => Finding::Bad(format!("{} is older than {major}.{minor}", text.trim()), mend),
    }
}

/// `rustc 1.95.0 (...)` -> (1, 95)
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn ros(layout: &Layout, state: &State) -> Vec<Finding> {
    let mut findings = Vec::new();
    let made = |good: bool, what: String| {
        if good {
            Finding::Good(what)
        } else {
            Finding::Bad(format!("{what}: not made yet"), MAKE_READY.to_owned())
        }
    };
    match &state.underlay {
        Underlay::Sourced { prefixes } => {
            let names: Vec<String> = prefixes.iter().map(|prefix| prefix.display().to_string()).collect();
            findings.push(Finding::Good(format!("ROS 2 Jazzy, sourced: {}", names.join(":"))));
            findings.push(made(state.venv_ready, format!("tools: {}", layout.tools_venv().display())));
        }
        Underlay::Wheels { prefix } => {
            if Path::new("/opt/ros/jazzy/setup.bash").exists() {
                let what = "ROS 2 Jazzy is installed and not sourced; wheels are used instead".to_owned();
                findings.push(Finding::Note(what, "source /opt/ros/jazzy/setup.bash".to_owned()));
            }
            if let Some(other) = process_variables().get("ROS_DISTRO").filter(|distro| *distro != "jazzy") {
                let what = format!("ROS 2 {other} is sourced; wheels of Jazzy are used instead");
                findings.push(Finding::Note(what, "use a shell without it, or one with Jazzy".to_owned()));
            }
            findings.push(made(state.venv_ready, format!("ROS 2 Jazzy from wheels: {}", prefix.display())));
        }
    }
    if !state.absent_messages.is_empty() {
        let names = state.absent_messages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        findings.push(Finding::Bad(
            format!("message packages: {names}: missing"),
            overlay::remedy(&state.absent_messages),
        ));
    }
    findings.push(made(state.overlay_ready, "messages (swarm_msgs)".to_owned()));
    for library in LIBRARIES {
        let path = layout.native().join(library.stem);
        findings
            .push(made(state.venv_ready && path.exists(), format!("{}: {}", library.what, path.display())));
    }
    findings
}

/// What the free space of the disk falls short of, where it does: "disk: 9.1 GiB free of 14 GiB needed". A build that fills a disk
/// fails late, and with whatever it was just doing.
pub fn short_of_disk(layout: &Layout) -> Option<String> {
    match disk_space(layout) {
        Finding::Bad(what, mend) => Some(format!("{what}; {mend}")),
        Finding::Good(_) | Finding::Note(..) => None,
    }
}

fn disk_space(layout: &Layout) -> Finding {
    let mut command = Command::new("df");
    let free = output("asking for the free space", command.arg("-Pk").arg(layout.root()));
    let Some(gib) = free.ok().as_deref().and_then(free_gib) else {
        return Finding::Note("free disk space is unknown".to_owned(), "df -h .".to_owned());
    };
    if gib >= DISK_GIB {
        Finding::Good(format!("disk: {gib:.0} GiB free"))
    } else {
        Finding::Bad(format!("disk: {gib:.1} GiB free of {DISK_GIB} GiB needed"), "cargo clean".to_owned())
    }
}

/// The fourth column of the second line of `df -Pk`.
fn free_gib(text: &str) -> Option<f64> {
    let kib: f64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib / f64::from(1 << 20))
}

fn real_time() -> Finding {
    let search_path = env::var_os("PATH").unwrap_or_default();
    let allowed = find_program("chrt", &search_path).is_some_and(|chrt| {
        let mut command = Command::new(chrt);
        command.args(["--fifo", "80", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if allowed {
        return Finding::Good("real-time scheduling (SCHED_FIFO 80) is permitted".to_owned());
    }
    let what = "real-time scheduling is not permitted; a simulated cell runs without, a real one must not";
    let mend = "printf '%s - rtprio 90\\n%s - memlock unlimited\\n' \"$USER\" \"$USER\" | sudo tee /etc/security/limits.d/99-swarm.conf  # then log in again";
    Finding::Note(what.to_owned(), mend.to_owned())
}

fn discovery() -> Finding {
    let variables = process_variables();
    let range =
        variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE").map_or("LOCALHOST (set by xtask)", String::as_str);
    let domain: u16 = variables.get("ROS_DOMAIN_ID").and_then(|text| text.parse().ok()).unwrap_or(0);
    let Some(port) = domain::discovery_port(domain) else {
        return Finding::Bad(
            format!("ROS_DOMAIN_ID={domain} has no UDP ports"),
            "export ROS_DOMAIN_ID=0  # 0 to 101 are safe".to_owned(),
        );
    };
    match domain::claim(port) {
        Ok(()) => Finding::Good(format!("discovery: {range}, domain {domain} is free on this machine")),
        Err(error) => Finding::Note(
            format!("discovery: {range}, domain {domain} is in use on this machine (UDP {port}: {error})"),
            format!("export ROS_DOMAIN_ID={}", if domain == 42 { 43 } else { 42 }),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_free_space_are_read_from_the_tools_words() {
        assert_eq!(version_of("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(version_of("rustc"), None);
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 263174212 12582912 25165824 14% /\n";
        assert_eq!(free_gib(text), Some(24.0));
        assert_eq!(free_gib("df: no such file"), None);
    }

    #[test]
    fn what_is_missing_comes_with_its_command() {
        let text = Finding::Bad("cmake".into(), "apt-get install -y cmake".into()).to_string();
        assert_eq!(text, "✗ cmake\n    apt-get install -y cmake");
    }
}
