//! What can be measured, and by whom.

use crate::ros::debian::{
    CAMERA_BED_TOOLS, HTTP_LOAD_TOOLS, Need, POWER_CUT_TOOLS, REAL_TIME_TOOLS, REGISTRY_TOOLS,
};

/// Something that can be measured.
#[derive(Debug)]
pub struct Evidence {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) workload: Workload,
}

#[derive(Debug)]
pub(super) enum Workload {
    /// An executable that needs no ROS; the output file follows `arguments`.
    Program {
        package: &'static str,
        executable: &'static str,
        arguments: &'static [&'static str],
        oracle: Oracle,
        /// Packages of other programs that it starts.
        starts: &'static [&'static str],
        tools: &'static [Need],
    },
    /// As [`Workload::Program`], of `swarm_capture_check`, with cameras around it and the Python of the tests.
    Capture { executable: &'static str, tools: &'static [Need] },
    /// As [`Workload::Capture`], in a ROS domain of its own; the path of a node follows `--node`.
    CaptureWithNode { executable: &'static str, node: &'static str, tools: &'static [Need] },
    /// An executable of a node package, run in a ROS domain of its own; its last line is the result.
    RosProgram { executable: &'static str, arguments: &'static [&'static str], tools: &'static [Need] },
    /// The demo's skill, over many seeds.
    Trials,
    /// The demo's skill, back to back for a while.
    Soak,
}

impl Workload {
    /// What it needs of the system.
    pub(super) fn tools(&self) -> &'static [Need] {
        match self {
            Self::Program { tools, .. }
            | Self::Capture { tools, .. }
            | Self::CaptureWithNode { tools, .. }
            | Self::RosProgram { tools, .. } => tools,
            Self::Trials | Self::Soak => &[],
        }
    }
}

/// What a program measures itself against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oracle {
    Itself,
    /// Packages of the Python that tests run with; `SWARM_TEST_PYTHON` names it to the program.
    Python,
}

/// In the order in which they are listed.
pub(super) const EVIDENCES: &[Evidence] = &[
    Evidence {
        name: "demo",
        about: "20 perturbed assemblies; emergency stops in motion; deploying and rolling back",
        workload: Workload::Trials,
    },
    Evidence {
        name: "soak",
        about: "the demo's skill back to back: growth of memory beside an idle listener, missed barriers, overruns",
        workload: Workload::Soak,
    },
    Evidence {
        name: "artifact",
        about: "bad artifacts refused; verification against plain SHA-256; memory against size",
        workload: Workload::Program {
            package: "swarm_cli",
            executable: "cell",
            arguments: &["evidence-artifact", "--out"],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "gate",
        about: "a command's way through the safety gate against a bare echo node",
        workload: Workload::RosProgram { executable: "gate_latency", arguments: &[], tools: &[] },
    },
    Evidence {
        name: "swap",
        about: "deployments and rollbacks beside a running skill, with kills at random moments",
        workload: Workload::RosProgram { executable: "swap_evidence", arguments: &[], tools: &[] },
    },
    Evidence {
        name: "safety-jitter",
        about: "how late the deciding thread wakes, against cyclictest on the same CPU in the same seconds",
        workload: Workload::RosProgram {
            executable: "safety_evidence",
            arguments: &["jitter"],
            tools: &REAL_TIME_TOOLS,
        },
    },
    Evidence {
        name: "safety-estop",
        about: "from a stop's message in the process to every permit withdrawn, against a bare eventfd",
        workload: Workload::RosProgram { executable: "safety_evidence", arguments: &["estop"], tools: &[] },
    },
    Evidence {
        name: "safety-purity",
        about: "allocations, locks, page faults and system calls of the deciding thread",
        workload: Workload::RosProgram { executable: "safety_evidence", arguments: &["purity"], tools: &[] },
    },
    Evidence {
        name: "safety-cost",
        about: "a verdict on three arms; forward kinematics and Jacobian against Pinocchio in C++",
        workload: Workload::Program {
            package: "swarm_cli",
            executable: "cell",
            arguments: &["evidence-kinematics", "--out"],
            oracle: Oracle::Python,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "safety-proof",
        about: "histories of inputs on the shipped decision, of any length or of two to three cycles; deliberate defects of it, all found",
        workload: Workload::Program {
            package: "swarm_safety_check",
            executable: "safety_check",
            arguments: &["proof", "--out"],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "safety-faults",
        about: "faults injected into every arm of a running cell at random moments",
        workload: Workload::Program {
            package: "swarm_safety_check",
            executable: "safety_check",
            arguments: &["faults", "--out"],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "safety-availability",
        about: "stops that nothing calls for in 100 h of simulated work; what slowing down for people costs",
        workload: Workload::RosProgram { executable: "safety_availability", arguments: &[], tools: &[] },
    },
    Evidence {
        name: "black-box",
        about: "recordings tampered with, writers killed, every verdict derived again in another process",
        workload: Workload::Program {
            package: "swarm_cli",
            executable: "cell",
            arguments: &["evidence-black-box", "--out"],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "bt-oracle",
        about: "random behaviour trees on BehaviorTree.CPP and here, every transition compared",
        workload: Workload::Program {
            package: "swarm_bt_evidence",
            executable: "bt_evidence",
            arguments: &["oracle", "--out"],
            oracle: Oracle::Python,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "bt-speed",
        about: "ticks, logs, scripts and loading of behaviour trees, in turns with BehaviorTree.CPP",
        workload: Workload::Program {
            package: "swarm_bt_evidence",
            executable: "bt_evidence",
            arguments: &["speed", "--out"],
            oracle: Oracle::Python,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "bt-replay",
        about: "random runs of behaviour trees recorded, killed and replayed bit for bit",
        workload: Workload::Program {
            package: "swarm_bt_evidence",
            executable: "bt_evidence",
            arguments: &["replay", "--out"],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "roles",
        about: "the protocol between roles in a million episodes under faults, and every fate of every message",
        workload: Workload::Program {
            package: "swarm_role_check",
            executable: "role_check",
            arguments: &["proof", "--out"],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "capture-discovery",
        about: "a network of ONVIF devices, well-behaved and not, found in one round; a strict client beside it",
        workload: Workload::Capture { executable: "discovery", tools: &CAMERA_BED_TOOLS },
    },
    Evidence {
        name: "capture-sync",
        about: "capture times of cameras whose clocks are wrong, against the truth; arrival times beside them",
        workload: Workload::Capture { executable: "sync", tools: &CAMERA_BED_TOOLS },
    },
    Evidence {
        name: "capture-powercut",
        about: "the power cut at random moments of a recording; rosbag2's default settings beside it",
        workload: Workload::Capture { executable: "powercut", tools: &POWER_CUT_TOOLS },
    },
    Evidence {
        name: "capture-loss",
        about: "a million frames through losses, reboots and a disk that stalls: every one accounted for",
        workload: Workload::Capture { executable: "loss", tools: &CAMERA_BED_TOOLS },
    },
    Evidence {
        name: "capture-cpu",
        about: "what recording a stream costs, GStreamer beside it; 64 streams on one core",
        workload: Workload::CaptureWithNode {
            executable: "cpu",
            node: "swarm_capture",
            tools: &CAMERA_BED_TOOLS,
        },
    },
    Evidence {
        name: "capture-snapshot",
        about: "from the trigger to a readable bag of the last 30 s of four cameras",
        workload: Workload::Capture { executable: "snapshot", tools: &[] },
    },
    Evidence {
        name: "export",
        about: "a recording of four cameras turned into a dataset, checked by others' readers",
        workload: Workload::Capture { executable: "export", tools: &CAMERA_BED_TOOLS },
    },
    Evidence {
        name: "tuf",
        about: "every attack that the update framework is meant against; five years of key rotation",
        workload: Workload::Program {
            package: "swarm_tuf_cli",
            executable: "tuf_evidence",
            arguments: &[],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "registry-load",
        about: "lists, downloads and uploads of the registry in turns with a bare server; memory at a thousand clients",
        workload: Workload::Program {
            package: "swarm_registry",
            executable: "registry_evidence",
            arguments: &["load", "--out"],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &HTTP_LOAD_TOOLS,
        },
    },
    Evidence {
        name: "deltas",
        about: "new weights as a difference to the old ones, beside zstd's own",
        workload: Workload::Program {
            package: "swarm_delta_cli",
            executable: "deltas_evidence",
            arguments: &[],
            oracle: Oracle::Itself,
            starts: &[],
            tools: &[],
        },
    },
    Evidence {
        name: "restore-drill",
        about: "a registry backed up while it takes artifacts in, destroyed, restored and verified",
        workload: Workload::Program {
            package: "csactl",
            executable: "csactl",
            arguments: &["evidence-restore", "--out"],
            oracle: Oracle::Itself,
            starts: &["swarm_registry"],
            tools: &[],
        },
    },
    Evidence {
        name: "poison-drill",
        about: "a fleet is given a bad artifact: until every cell is back, with some that cannot be reached",
        workload: Workload::Program {
            package: "swarm_fleet_drill",
            executable: "fleet_drill",
            arguments: &["poison", "--out"],
            oracle: Oracle::Itself,
            starts: &["swarm_registry", "csactl"],
            tools: &[],
        },
    },
    Evidence {
        name: "bridge-faults",
        about: "cells killed, cut off, with full disks and wrong clocks; a database stopped while uploads go on",
        workload: Workload::Program {
            package: "swarm_fleet_drill",
            executable: "fleet_drill",
            arguments: &["faults", "--out"],
            oracle: Oracle::Itself,
            starts: &["swarm_registry", "csactl"],
            tools: &REGISTRY_TOOLS,
        },
    },
];
