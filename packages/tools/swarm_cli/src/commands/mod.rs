//! The commands of `cell`, one module each.

pub(crate) mod bag;
pub(crate) mod blackbox;
pub(crate) mod bt;
pub(crate) mod calibrate_cameras;
pub(crate) mod config;
pub(crate) mod evidence_artifact;
pub(crate) mod evidence_black_box;
pub(crate) mod evidence_kinematics;
pub(crate) mod export;
pub(crate) mod fit_capsules;
pub(crate) mod incident;
pub(crate) mod inspect;
pub(crate) mod keys;
pub(crate) mod kinematics;
pub(crate) mod package;
pub(crate) mod preview;
pub(crate) mod safety;
pub(crate) mod sign;
pub(crate) mod verify;
pub(crate) mod watch;
