//! `cell bt run` and `cell bt replay`: trees with scripted leaves, and recorded runs.

pub(crate) mod run;
