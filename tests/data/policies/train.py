#!/usr/bin/env python3
"""Trains insert_peg.onnx: a small network that imitates the insertion expert (behaviour cloning). NumPy only; ONNX for the export.

    train.py DATA... [--out insert_peg.onnx]      train on recordings of `record_expert`
    train.py --check [--out insert_peg.onnx]      is the checked-in network the one its golden vectors were made from?

Network: 18 -> 64 -> 64 -> 6, tanh, inputs and outputs scaled inside, so that it takes and gives SI units. Input `observation`
float32 [1, 18], output `action` float32 [1, 6]. What the numbers mean: module `insertion` of swarm_skill_core.

One seed, one thread (the order of a BLAS's sums must not change): the same recordings give the same bytes on the same machine with
the same NumPy. Another CPU may round differently, and training amplifies that: there the network is judged by what it does.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: the order of sums must not change

import numpy as np

OBSERVATIONS, ACTIONS, HIDDEN = 18, 6, 64
SEED = 20261121
EPOCHS, BATCH = 40, 512
RATE_FIRST, RATE_LAST = 2e-3, 2e-5
WEIGHT_DECAY = 1e-5
GOLDEN_VECTORS = 32
# In m/s and rad/s: a hundredth of a millimetre per second is nothing to an arm, and well above float32 rounding.
GOLDEN_TOLERANCE = 1e-5


def read(files):
    """Rows of `record_expert`: observations and the expert's actions."""
    rows = np.concatenate([np.fromfile(file, dtype="<f4").reshape(-1, OBSERVATIONS + ACTIONS) for file in files])
    if not np.isfinite(rows).all():
        raise SystemExit("the recordings hold values that are not finite")
    return rows[:, :OBSERVATIONS].astype(np.float64), rows[:, OBSERVATIONS:].astype(np.float64)


def scales(values, least):
    """Mean and spread per column; a column that hardly changes isn't blown up."""
    return values.mean(axis=0), np.maximum(values.std(axis=0), least)


def forward(weights, x):
    w1, b1, w2, b2, w3, b3 = weights
    h1 = np.tanh(x @ w1 + b1)
    h2 = np.tanh(h1 @ w2 + b2)
    return h1, h2, h2 @ w3 + b3


def gradients(weights, x, y):
    _, _, w2, _, w3, _ = weights
    h1, h2, answer = forward(weights, x)
    # Huber loss: a few contacts with violent answers must not outvote the quiet rest.
    error = np.clip(answer - y, -1.0, 1.0) / len(x)
    d2 = (error @ w3.T) * (1 - h2**2)
    d1 = (d2 @ w2.T) * (1 - h1**2)
    return [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ error, error.sum(0)]


def train(x, y, random):
    """Adam with a cosine rate."""
    sizes = [(OBSERVATIONS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, ACTIONS)]
    weights = []
    for rows, columns in sizes:
        weights += [random.normal(0, (1 / rows) ** 0.5, (rows, columns)), np.zeros(columns)]
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    steps, step = EPOCHS * (len(x) // BATCH), 0
    for epoch in range(EPOCHS):
        order = random.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            rate = RATE_LAST + (RATE_FIRST - RATE_LAST) * 0.5 * (1 + np.cos(np.pi * step / steps))
            step += 1
            for i, g in enumerate(gradients(weights, x[batch], y[batch])):
                first[i] = 0.9 * first[i] + 0.1 * g
                second[i] = 0.999 * second[i] + 0.001 * g * g
                change = (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
                weights[i] -= rate * (change + WEIGHT_DECAY * weights[i])
        if epoch % 10 == 9:
            loss = np.mean((forward(weights, x)[2] - y) ** 2, axis=0)
            print(f"epoch {epoch + 1}: mean square error per action, share of its variance {np.round(loss, 3)}", flush=True)
    return weights


def fold(weights, x_scale, y_scale):
    """Scaling of inputs and outputs goes into the first and last layer; float32 from here on."""
    (x_mean, x_spread), (y_mean, y_spread) = x_scale, y_scale
    w1, b1, w2, b2, w3, b3 = weights
    first = (w1 / x_spread[:, None], b1 - (x_mean / x_spread) @ w1)
    last = (w3 * y_spread, b3 * y_spread + y_mean)
    return [w.astype(np.float32) for w in (*first, w2, b2, *last)]


def export(weights, path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    names = ["w1", "b1", "w2", "b2", "w3", "b3"]
    nodes = [
        helper.make_node("Gemm", ["observation", "w1", "b1"], ["a1"]),
        helper.make_node("Tanh", ["a1"], ["h1"]),
        helper.make_node("Gemm", ["h1", "w2", "b2"], ["a2"]),
        helper.make_node("Tanh", ["a2"], ["h2"]),
        helper.make_node("Gemm", ["h2", "w3", "b3"], ["action"]),
    ]
    graph = helper.make_graph(
        nodes,
        "insert_peg",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, OBSERVATIONS])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, ACTIONS])],
        [numpy_helper.from_array(w, n) for w, n in zip(weights, names)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="swarm_cell")
    model.ir_version = 8
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def golden_path(path):
    return path.with_suffix(".golden.json")


def write_golden(weights, x, random, path):
    """Observations of the recordings with the network's answers."""
    chosen = x[random.choice(len(x), GOLDEN_VECTORS, replace=False)].astype(np.float32)
    answers = forward(weights, chosen)[2]
    vectors = [{"observation": o.tolist(), "action": a.tolist()} for o, a in zip(chosen, answers)]
    lines = ",\n  ".join(json.dumps(vector) for vector in vectors)
    golden_path(path).write_text(f'{{"tolerance": {GOLDEN_TOLERANCE}, "vectors": [\n  {lines}\n]}}\n')


def check(path):
    """ONNX's own reference evaluator answers the golden vectors; nothing of this file's arithmetic is used."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(onnx.load(path))
    golden = json.loads(golden_path(path).read_text())
    worst = 0.0
    for vector in golden["vectors"]:
        observation = np.array([vector["observation"]], dtype=np.float32)
        (answer,) = session.run(None, {"observation": observation})
        worst = max(worst, float(np.abs(answer[0] - np.array(vector["action"], dtype=np.float32)).max()))
    verdict = "agree" if worst <= golden["tolerance"] else "DIFFER"
    print(f"{path.name}: {len(golden['vectors'])} golden vectors {verdict}, largest difference {worst:.2e}, allowed {golden['tolerance']}")
    return worst <= golden["tolerance"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", nargs="*", type=Path)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "../cooperative_assembly/policies/insert_peg.onnx")
    arguments.add_argument("--check", action="store_true")
    arguments = arguments.parse_args()
    if not arguments.check:
        if not arguments.data:
            raise SystemExit("name the recordings to train on, or --check")
        random = np.random.default_rng(SEED)
        x, y = read(arguments.data)
        x_scale = scales(x, np.repeat([1e-4, 1e-3, 0.1, 0.01, 1e-4, 1e-3], 3))
        y_scale = scales(y, np.repeat([1e-4, 1e-3], 3))
        print(f"{len(x)} rows; spread of the actions {np.round(y_scale[1], 5)}")
        normal = ((x - x_scale[0]) / x_scale[1], (y - y_scale[0]) / y_scale[1])
        weights = fold(train(*normal, random), x_scale, y_scale)
        export(weights, arguments.out)
        write_golden(weights, x, random, arguments.out)
    if not check(arguments.out):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
