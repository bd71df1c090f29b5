//! Upkeep that nobody looks after strands no cell.

use swarm_tuf_cli::years::{Handover, Plan, simulate};

const PLAN: Plan = Plan { years: 5, cells: 12, seed: 7, handover: Handover::ByTheOldKeys };

#[test]
fn no_cell_is_stranded_in_five_years() {
    let years = simulate(PLAN).unwrap();
    assert_eq!((years.stranded, &years.first_problem), (0, &None));
    // Every role changed its keys, and cells were away across several roots.
    let rotations: Vec<(&str, bool)> =
        years.rotations.iter().map(|(role, n)| (role.as_str(), *n >= 5)).collect();
    assert_eq!(
        rotations,
        [("pick", true), ("root", true), ("snapshot", true), ("targets", true), ("timestamp", true)]
    );
    assert!(years.roots > 60 && years.longest_away_days > 200, "{years:?}");
}

#[test]
fn the_simulation_sees_a_cell_that_is_stranded() {
    let years = simulate(Plan { years: 2, handover: Handover::OldRootsRemoved, ..PLAN }).unwrap();
    assert!(years.stranded > 0, "{years:?}");
}
