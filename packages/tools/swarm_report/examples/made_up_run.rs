//! Prints the log of the tests' made-up run, to look at a change of the page without a cell:
//! `cargo run -p swarm_report --example made_up_run > run.jsonl && cargo run -p swarm_report run.jsonl`

#[path = "../tests/common/mod.rs"]
mod common;

fn main() {
    print!("{}", common::text(&common::run_with_one_stop()));
}
