use std::path::PathBuf;

/// Why a cell could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not well-formed XML")]
    Xml { path: String, source: roxmltree::Error },
    #[error("{path}: {what}")]
    Urdf { path: String, what: String },
    #[error("robot '{robot}': {what}")]
    Robot { robot: String, what: String },
    #[error("MuJoCo refuses the scene made from the cell's declaration: {0}")]
    Model(String),
    #[error("commands for {actual} robots, but the cell has {expected}")]
    Robots { expected: usize, actual: usize },
    #[cfg(feature = "render")]
    #[error("cannot draw the scene {what}: {reason}")]
    Render { what: String, reason: String },
}
