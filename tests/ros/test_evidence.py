"""A short form of each measurement about safety, deployments, cameras and updates: it runs to its end, gives what its figures are documented to be called, and what
holds on any machine holds. How fast this machine is, only the long form says: `cargo xtask evidence NAME`. (`safety-cost` compiles its
C++ reference for two minutes; what it measures is tested where it lies, against the same reference's Python.)"""

import json
import os
import subprocess
import sys

import pytest
from harness import bin_dir, repository

# name: program and arguments, whether a file is to be named for the result, keys, what has to hold.
MEASUREMENTS = {
    "gate": (
        ["gate_latency", "--samples=200"],
        False,
        {"p50_us", "p99_us", "samples", "lost", "stops", "echo_p50_us", "echo_lost", "ratio_p50", "ratio_p99"},
        lambda f: f["samples"] + f["lost"] == f["echo_samples"] + f["echo_lost"] == 200 and f["p99_us"] >= f["p50_us"] > 0,
    ),
    "safety-jitter": (
        ["safety_evidence", "jitter", "--seconds=2", "--runs=1", "--least-moving-share=0.1"],
        False,
        {"ratio_p999", "ratio_p9999", "ratio_max", "idle_moving_share"},
        # The program itself refuses a run in which periods were lost, or in which an idle cell hardly moved.
        lambda f: f["idle_cycles"] > 1000 and f["load_cycles"] > 1000,
    ),
    "safety-estop": (
        ["safety_evidence", "estop", "--stops=5000", "--polled=100", "--published=50"],
        False,
        {"stops", "p50_us", "dds_p50_us", "dds_p99_us", "own_cpu_us_p999", "ratio_p99999", "decided_p50_us"},
        lambda f: f["stops"] == 5000 and f["polling_cycles_max"] <= 1 and f["decided_p50_us"] < f["p50_us"] < f["dds_p50_us"],
    ),
    "safety-purity": (
        ["safety_evidence", "purity", "--cycles=1000000"],
        False,
        {"cycles", "allocations", "locks", "page_faults", "involuntary_switches", "cycles_run", "cycles_stop1", "cycles_estop"},
        lambda f: f["cycles"] > 900_000 and f["allocations"] == f["locks"] == f["page_faults"] == 0 and f["system_calls_listed"] > 2,
    ),
    "safety-faults": (
        ["safety_check", "faults", "--phases=3", "--out"],
        True,
        {"faults", "total", "detected", "worst_cycles"},
        lambda f: f["faults"] >= 40 and f["detected"] == f["total"] == 9 * f["faults"] and f["worst_cycles"] <= 2,
    ),
    "safety-proof, exploration": (
        ["safety_check", "explore", "--out"],
        True,
        {"transitions", "invariants", "any_length_transitions"},
        lambda f: f["transitions"] > 100_000 and f["invariants"] >= 12 and f["any_length_transitions"] > 10_000,
    ),
    "safety-proof, mutants": (
        ["safety_check", "mutants", "--seed=1", "--out"],
        True,
        {"mutants", "mutants_killed"},
        lambda f: f["mutants_killed"] == f["mutants"] > 0,
    ),
    "swap": (
        ["swap_evidence", "--deploys=60"],
        False,
        {"deploys", "torn", "in_motion", "rollback_ms_p100"},
        lambda f: f["deploys"] >= 60
        and all(f[what] > 0 for what in ("killed", "waited", "reloads", "envelopes_refused", "flips_failed"))
        and f["torn"] == f["in_motion"] == 0,
    ),
    "soak": (
        ["xtask", "evidence", "soak", "--minutes=1", "--profile=dev", "--out"],
        True,
        {"minutes", "rss_slope_kb_per_min", "missed_barriers", "overruns"},
        # After a minute nodes still fill their buffers: how they grow, only the long form says. A busy machine makes the gate stop runs.
        lambda f: f["runs"] >= 1
        and (f["missed_barriers"] == 0 or f["succeeded"] < f["runs"])
        and f["rss_slope_error_kb_per_min"] > 0,
    ),
    "black-box": (
        ["cell", "evidence-black-box", "--edits=2000", "--kills=10", "--cycles=4000", "--out"],
        True,
        {"edits_tried", "edits_found", "kills_tried", "kills_readable", "segments_lost_max", "verdicts", "verdicts_bit_exact", "rt_thread_ns"},
        lambda f: f["edits_found"] == f["edits_tried"] > f["edits_by_files"] > 0
        and f["kills_readable"] == f["kills_tried"] and f["verdicts_bit_exact"] == f["verdicts"],
    ),
    "capture-discovery": (
        ["discovery", "--short"],
        True,
        {"devices", "found", "seconds", "strict_client_found"},
        # A busy machine may answer late; what is no camera is never found.
        lambda f: f["devices"] >= 50 and f["found"] >= 0.9 * f["devices"] and f["strict_client_found"] < f["found"] and f["phantoms"] == 0,
    ),
    "capture-sync": (
        ["sync", "--short"],
        True,
        {"p99_us", "max_us", "arrival_p99_us"},
        lambda f: f["frames"] > 50 and f["p99_us"] < f["arrival_p99_us"],
    ),
    "capture-powercut": (
        ["powercut", "--short"],
        True,
        {"cuts", "opened", "tail_s_p100", "cpu_overhead", "reference_tail_s"},
        # A cut within a sync: readers that ignore SQLite's log may refuse a .db3.
        lambda f: f["opened"] <= f["opened_with_log"] == f["cuts"] == 3,
    ),
    "capture-loss": (
        ["loss", "--short"],
        True,
        {"frames_sent", "frames_recorded", "frames_reported_lost"},
        lambda f: f["frames_sent"] == f["frames_recorded"] + f["frames_reported_lost"] >= 100_000 and f["frames_reported_lost"] > 0,
    ),
    "capture-cpu": (
        ["cpu", "--short"],
        True,
        {"pct_core_per_stream", "streams_max", "frames_lost", "ratio_gstreamer"},
        lambda f: f["pct_core_per_stream"] > 0 and f["ratio_gstreamer"] > 0,
    ),
    "capture-snapshot": (
        ["snapshot", "--short"],
        True,
        {"ready_ms", "rss_mb"},
        # The 30 s themselves are 120 MB; memory does not depend on how fast a machine is.
        lambda f: f["ready_ms"] > 0 and 120 < f["rss_mb"] < 200,
    ),
    "export": (
        ["export", "--short"],
        True,
        {"x_real_time", "episodes"},
        lambda f: f["episodes"] == 2 and f["x_real_time"] > 0,
    ),
    "tuf": (
        ["tuf_evidence", "--years=1", "--cells=4"],
        True,
        {"attacks", "attacks_refused", "years", "stranded"},
        lambda f: f["attacks_refused"] == f["attacks"] > 0 and f["years"] == 1 and f["stranded"] == 0,
    ),
    "registry-load": (
        ["registry_evidence", "load", "--turns=1", "--seconds=1", "--megabytes=12", "--out"],
        True,
        {"list_per_s", "download_gb_per_s", "ratio_list", "ratio_download", "ratio_upload"},
        lambda f: f["list_per_s"] > 0 and f["download_gb_per_s"] > 0 and f["rss_mb_1000_clients"] > 0,
    ),
    "deltas": (
        ["deltas_evidence", "--megabytes=2"],
        True,
        {"sparse_mb", "dense_fraction", "apply_gb_per_s", "zstd_patch_mb"},
        lambda f: f["sparse_mb"] < 0.95 * 2 / 40 and f["dense_fraction"] < 0.55 and f["apply_gb_per_s"] > 0,
    ),
    "restore-drill": (
        ["csactl", "evidence-restore", "--artifacts=12", "--kib=64", "--out"],
        True,
        {"seconds", "rows_lost", "artifacts_lost"},
        lambda f: f["rows_lost"] == f["artifacts_lost"] == f["bad"] == 0 and f["artifacts"] >= 12,
    ),
    "poison-drill": (
        ["fleet_drill", "poison", "--cells=12", "--kib=16", "--out"],
        True,
        {"cells", "seconds", "return_s", "swapped_in_motion"},
        lambda f: f["cells"] == f["fleet_had_it"] == 12 and f["bad_runs"] > 0 and f["swapped_in_motion"] == f["unverified"] == 0,
    ),
    "bridge-faults": (
        ["fleet_drill", "faults", "--runs=24", "--uploads=12", "--stops=2", "--out"],
        True,
        {"runs", "torn", "unverified", "converged", "uploads_lost"},
        lambda f: f["runs"] == f["converged"] == 24
        and f["uploads"] == 12
        and f["torn"] == f["unverified"] == f["swapped_in_motion"] == f["uploads_lost"] == 0,
    ),
}


# It compiles the core and its tests again for each mutant.
COMPILES = {"safety-proof, mutants": [pytest.mark.first, pytest.mark.timeout(1800)]}


@pytest.mark.parametrize("name", [pytest.param(name, marks=COMPILES.get(name, ())) for name in MEASUREMENTS])
def test_a_measurement_gives_what_it_is_documented_to_give(name, domain, tmp_path):
    command, writes_a_file, keys, holds = MEASUREMENTS[name]
    result = tmp_path / "result.json"
    command = [bin_dir() / command[0], *command[1:], *([result] if writes_a_file else [])]
    environment = {**domain.environment, "SWARM_TEST_PYTHON": sys.executable}
    done = subprocess.run(command, cwd=repository(), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(result.read_text() if writes_a_file else done.stdout.splitlines()[-1])
    whole = measured if name != "soak" else {key: measured[key] for key in ("figures", "reference", "ratios")}
    assert whole.keys() <= {"figures", "reference", "ratios"}, "what is said beside them reaches nobody"
    parts = list(whole.values())
    figures = {name: value for part in parts for name, value in part.items()}
    assert keys <= figures.keys()
    assert all(isinstance(value, int | float) for part in parts for value in part.values())
    assert holds(figures), figures
    assert os.listdir(tmp_path) in ([], [result.name]), "nothing is left behind"
