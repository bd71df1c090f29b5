#!/usr/bin/env bash
# Makes ../cooperative_assembly/policies/insert_peg.onnx and its golden vectors again, from nothing but this repository.
#
#   PYTHON=python3 tests/data/policies/reproduce.sh [FOLDER FOR THE RECORDINGS]
#
# PYTHON needs the packages of requirements.txt. MUJOCO_DYNAMIC_LINK_DIR and ORT_DYLIB_PATH name MuJoCo's folder and ONNX Runtime's
# library, as for the tests. About ten minutes on two cores.
#
# Round 1 learns from insertions that the expert and a compliant law steer. Round 2 adds insertions that the network of round 1
# steers, with what the expert would have done there: what a network does wrong leads it to places which nobody else goes to.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$(mktemp -d)}
python=${PYTHON:-python3}
mkdir -p "$work"
cd "$here/../../.."

cargo build --quiet -p swarm_testkit --bin record_expert
record() {
    LD_LIBRARY_PATH=$MUJOCO_DYNAMIC_LINK_DIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
        "${CARGO_TARGET_DIR:-target}/debug/record_expert" "$@"
}

record --seeds 1000..1005 --out "$work/round_1a.bin" & first=$!
record --seeds 1005..1010 --out "$work/round_1b.bin"
wait $first
"$python" "$here/train.py" "$work"/round_1?.bin --out "$work/round_1.onnx"

record --seeds 2000..2010 --policy "$work/round_1.onnx" --out "$work/round_2a.bin" & first=$!
record --seeds 2010..2020 --policy "$work/round_1.onnx" --out "$work/round_2b.bin"
wait $first
"$python" "$here/train.py" "$work"/round_1?.bin "$work"/round_2?.bin
