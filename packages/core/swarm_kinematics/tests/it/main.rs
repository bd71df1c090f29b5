//! Tests of the public interface on the shipped robots.

mod capsules;
mod common;
mod fit;
mod momentum;
mod motion;
mod oracle;
mod urdf;
