//! Tests of the decision on the shipped robots: every promise is one test.

mod bench;
mod running;
