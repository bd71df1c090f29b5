//! Faults of the process around the decision: its threads, its disk, its limits, its death. No injection into the decision can bring
//! them about, so that each is run on the production binary, or on the part that meets it, by tests of its own.

/// One fault, and where it is run.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    pub id: &'static str,
    pub says: &'static str,
    /// What must come, and the cause or words that it must name.
    pub expected: &'static str,
    pub deadline: &'static str,
    /// Each as `file::function`, from the repository's root.
    pub tests: &'static [&'static str],
}

const fn fault(
    id: &'static str,
    says: &'static str,
    expected: &'static str,
    deadline: &'static str,
    tests: &'static [&'static str],
) -> Elsewhere {
    Elsewhere { id, says, expected, deadline, tests }
}

const ENDED: &[&str] = &[
    "tests/ros/test_safety_gate.py::test_a_monitor_that_is_killed_stuck_or_crashed_means_that_the_arms_stop_by_themselves",
    "tests/ros/test_driver.py::test_the_end_of_the_real_monitor_stops_the_arm_within_the_permits_time",
];
const REFUSED: &str = "tests/ros/test_safety_gate.py::test_an_envelope_that_may_not_be_loaded_is_refused_and_the_loaded_one_stays";
const ENVELOPES: &[&str] = &[REFUSED];
const AT_THE_PERMITS_END: &str = "the drivers' permit time-out, 20 ms";
const AT_ONCE: &str = "at once";

/// All of them.
#[rustfmt::skip]
pub const ELSEWHERE: &[Elsewhere] = &[
    // The monitor's own end.
    fault("monitor-killed", "the monitor is killed (SIGKILL) while an arm moves", "permits cease; every driver stops its arm", AT_THE_PERMITS_END, ENDED),
    fault("monitor-stuck", "the monitor is stopped (SIGSTOP) while an arm moves, and goes on later", "the same; afterwards `cycle_overrun`, and nothing goes on by itself", AT_THE_PERMITS_END, ENDED),
    fault("monitor-panics", "the monitor ends itself (SIGABRT, which is how a panic ends it)", "the same", AT_THE_PERMITS_END, ENDED),
    fault("monitor-panics-deciding", "the deciding thread panics", "last words on standard error, then SIGABRT", AT_ONCE, &["packages/adapters/swarm_rt/tests/purity.rs::a_panic_says_why_before_it_ends_the_process"]),
    fault("monitor-interrupted", "the monitor is ended by SIGINT in motion", "permits are withdrawn before it ends", AT_ONCE, &["tests/ros/test_safety_gate.py::test_an_interrupted_monitor_stops_the_arms_at_once_and_ends_within_two_seconds"]),
    fault("monitor-inactive", "the node is deactivated in motion", "permits are withdrawn; resets are refused", AT_ONCE, &["tests/ros/test_safety_gate.py::test_an_inactive_monitor_lets_nothing_move_and_does_nothing_later"]),
    fault("monitor-restarted", "the monitor starts again while the skill goes on commanding", "DENY until a reset; commands from before move nothing", AT_ONCE, &["tests/ros/test_safety_gate.py::test_a_restarted_monitor_denies_until_reset_and_takes_no_command_from_before"]),
    // Real time.
    fault("no-real-time", "SCHED_FIFO, the declared CPU or locked memory is not granted", "the monitor refuses to arm, unless `--degraded` was said, which every status then shows", "at the start", &["tests/ros/test_safety_gate.py::test_without_real_time_the_gate_does_not_arm_unless_it_is_told_to", "packages/adapters/swarm_rt/tests/process.rs::without_rights_every_lack_is_told_with_what_mends_it"]),
    fault("real-time-lost", "somebody takes SCHED_FIFO, the priority or the CPU of the deciding or the publishing thread away while the cell is armed", "`not_real_time`; the status says `real_time: false`, diagnostics an error with the command that mends it", "the next look, 1 s", &["tests/ros/test_safety_gate.py::test_a_cell_that_was_armed_in_real_time_stops_when_somebody_takes_that_away"]),
    fault("allocation", "the deciding thread takes or frees memory", "the process ends (SIGABRT), permits cease", AT_ONCE, &["packages/adapters/swarm_rt/tests/purity.rs::taking_memory_ends_the_process", "packages/adapters/swarm_rt/tests/purity.rs::freeing_memory_ends_the_process"]),
    fault("contended-lock", "the deciding thread waits for a lock", "the process ends (SIGSYS), permits cease", AT_ONCE, &["packages/adapters/swarm_rt/tests/purity.rs::waiting_for_a_lock_ends_the_process"]),
    fault("system-call", "the deciding thread makes a system call that is not on its list", "the same", AT_ONCE, &["packages/adapters/swarm_rt/tests/purity.rs::opening_a_file_ends_the_process", "packages/adapters/swarm_rt/tests/purity.rs::sleeping_in_another_way_ends_the_process"]),
    // The black box.
    fault("recorder-dead", "the black box cannot be written", "`not_recorded` where `black_box.on_failure` is `stop`, else a diagnostics error; the loop goes on", "the next look at the disk, 1 s", &["tests/ros/test_black_box.py::test_a_black_box_that_cannot_be_written_stops_the_cell_where_it_is_told_so", "packages/adapters/swarm_black_box_file/tests/it/disks.rs::the_cell_stops_for_a_dead_disk_if_it_is_configured_to"]),
    fault("recorder-full", "the disk is full", "what does not fit is lost and counted, nothing before or after it", "the first write that does not fit", &["packages/adapters/swarm_black_box_file/tests/it/disks.rs::a_full_disk_costs_what_does_not_fit_and_nothing_before_or_after_it"]),
    fault("recorder-slow", "the disk takes longer than the queue can hold", "failing while it is waited for; lost cycles are recorded as lost", "`slow_after`, 1 s", &["packages/adapters/swarm_black_box_file/tests/it/disks.rs::a_disk_that_does_not_come_back_counts_as_failing_while_it_is_waited_for", "packages/adapters/swarm_black_box_file/tests/it/recorder.rs::cycles_that_did_not_fit_the_queue_are_recorded_as_lost"]),
    fault("recorder-lags", "the disk is slower than the cycles for so long that some are lost", "`not_recorded` where `black_box.on_failure` is `stop`, until cycles have flowed for 1 s again; what was lost is counted", "the next cycle", &["packages/nodes/swarm_safety_monitor/src/recording.rs::a_disk_that_is_slow_but_never_stuck_stops_the_cell_when_cycles_are_lost_and_until_none_are", "tests/ros/test_black_box.py::test_a_disk_that_hangs_stops_the_cell_and_what_it_does_not_take_is_counted"]),
    fault("recorder-dies-idle", "the disk dies or fills up while nothing has to be written", "as `recorder-dead`", "the next look at the idle disk, 10 s", &["packages/adapters/swarm_black_box_file/tests/it/disks.rs::a_disk_that_dies_or_fills_up_is_found_before_the_next_stop_needs_it", "tests/ros/test_black_box.py::test_a_disk_that_dies_is_found_before_a_stop_needs_it"]),
    fault("recorder-killed", "the monitor is killed while it records", "the recording can be read up to its last segment", AT_ONCE, &["tests/ros/test_black_box.py::test_a_monitor_that_is_killed_leaves_a_recording_that_can_be_read"]),
    // Envelopes.
    fault("envelope-missing", "the artifact is not in the store, or none is loaded", "not loaded; commands are refused (`other_artifact`)", AT_ONCE, &[REFUSED, "tests/ros/test_safety_gate.py::test_without_a_loaded_envelope_no_command_passes"]),
    fault("envelope-badly-signed", "it is signed by a key that the cell does not trust", "not loaded; the limits in force stay", AT_ONCE, ENVELOPES),
    fault("envelope-looser", "it allows more than the cell's ceiling in one field", "not loaded, and the field is named; the limits in force stay", AT_ONCE, ENVELOPES),
    fault("envelope-expired", "its validity is over", "not loaded, and the date is named; the limits in force stay", AT_ONCE, ENVELOPES),
    fault("envelope-other-cell", "it is for another cell", "not loaded, and both are named; the limits in force stay", AT_ONCE, ENVELOPES),
    fault("envelope-broken", "it is no YAML", "not loaded; the limits in force stay", AT_ONCE, ENVELOPES),
    // What stands between the gate and the arm.
    fault("driver-killed", "the driver shell is killed and comes back in the middle of a run", "it says zeros, and waits for a reset", "its start", &["tests/ros/test_driver.py::test_a_shell_that_comes_back_in_the_middle_of_a_run_waits_for_a_reset"]),
    fault("driver-ended", "the driver shell is ended by a signal in motion", "it brakes, and the last that it says is zero", "the arm's braking time", &["tests/ros/test_driver.py::test_a_shell_that_is_ended_leaves_the_arm_standing"]),
    fault("permit-wrong", "a permit is malformed, replayed, of another epoch or too old", "the driver stops its arm", AT_ONCE, &["tests/ros/test_driver.py::test_one_wrong_message_stops_the_arm"]),
    fault("permit-ignored", "the arm goes on after its permit was withdrawn", "the driver reports it; the gate deepens the stop (`stop-ignored`)", AT_ONCE, &["tests/ros/test_driver.py::test_an_arm_that_does_not_obey_is_reported"]),
    fault("permit-reliable", "a driver asks for reliable permits, which are not sent", "it hears none, and stands", AT_ONCE, &["tests/ros/test_safety_gate.py::test_a_driver_that_asks_for_reliable_permits_hears_none"]),
    fault("simulation-ends", "everything that speaks for the arms is killed in motion", "`joint_state_timeout` or `wrench_timeout`", "the input's time-out", &["tests/ros/test_safety_gate.py::test_a_killed_simulation_stops_the_cell_and_its_restart_recovers"]),
];
