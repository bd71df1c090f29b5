//! The engine: every node, every rule and every mistake in a document.

mod blackboard;
mod common;
mod conditions;
mod controls;
mod decorators;
mod documents;
mod fuzz_corpus;
mod halting;
mod halting_model;
mod hand_vectors;
mod limits;
mod load_errors;
mod published_tree;
mod replay;
mod scripts;
mod strict;
mod substitution;
