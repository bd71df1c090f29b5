//! `cell bt run` and `cell bt replay`: trees with scripted leaves, and recorded runs.

mod export;
pub(crate) mod replay;
pub(crate) mod run;
