"""Writes the small ONNX files of swarm_onnx's tests beside itself. Needs the `onnx` package (1.23.2); the same version gives the same bytes.

    python3 make_models.py
"""

from pathlib import Path

from onnx import TensorProto, checker, helper

HERE = Path(__file__).resolve().parent
FLOAT = TensorProto.FLOAT


def tensor(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def write(name, inputs, outputs, nodes, constants=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="swarm_onnx tests")
    model.ir_version = 8
    checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def doubles(name, shape):
    two = helper.make_tensor("two", FLOAT, [], [2.0])
    node = helper.make_node("Mul", ["observation", "two"], ["action"])
    write(name, [tensor("observation", shape)], [tensor("action", shape)], [node], [two])


doubles("double", [1, 3])
doubles("double_flat", [3])
doubles("double_open_batch", ["batch", 3])
doubles("double_image", [1, 3, 4])

write(
    "two_inputs",
    [tensor("observation", [1, 3]), tensor("image", [1, 3])],
    [tensor("action", [1, 3])],
    [helper.make_node("Add", ["observation", "image"], ["action"])],
)
write(
    "whole_numbers",
    [tensor("observation", [1, 3], TensorProto.INT64)],
    [tensor("action", [1, 3], TensorProto.INT64)],
    [helper.make_node("Neg", ["observation"], ["action"])],
)
# As many values in and out as a policy of a cell's skill has: the first six of eighteen.
write(
    "first_six",
    [tensor("observation", [1, 18])],
    [tensor("action", [1, 6])],
    [helper.make_node("Slice", ["observation", "from", "to", "axis"], ["action"])],
    [
        helper.make_tensor("from", TensorProto.INT64, [1], [0]),
        helper.make_tensor("to", TensorProto.INT64, [1], [6]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
    ],
)
# Divides by its input: no number at zero.
write(
    "reciprocal",
    [tensor("observation", [1, 3])],
    [tensor("action", [1, 3])],
    [helper.make_node("Reciprocal", ["observation"], ["action"])],
)

# A policy with chunks: two steps of three joints and one more input in, four actions of three joints out. Action k is the last step's
# joints, plus k times the other input.
STATE, OTHER = "observation.state", "observation.environment_state"


def chunks(name, state=(1, 2, 3), other=(1, 1), action=(1, 4, 3), horizon=4):
    constants = [
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [2]),
        helper.make_tensor("k", FLOAT, [1, horizon, 1], [float(k) for k in range(horizon)]),
        helper.make_tensor("ones", FLOAT, [1, horizon, 1], [1.0] * horizon),
    ]
    nodes = [
        helper.make_node("Gather", [STATE, "last"], ["now"], axis=1),
        helper.make_node("Mul", ["now", "ones"], ["still"]),
        helper.make_node("Unsqueeze", [OTHER, "axis"], ["each"]),
        helper.make_node("Mul", ["k", "each"], ["ramp"]),
        helper.make_node("Add", ["still", "ramp"], ["action"]),
    ]
    write(name, [tensor(STATE, state), tensor(OTHER, other)], [tensor("action", action)], nodes, constants)


chunks("chunks")
chunks("chunks_open", ["batch", "steps", 3], ["batch", 1], ["batch", "horizon", 3])
chunks("chunks_long", action=(1, 5, 3), horizon=5)
# As many actions as steps, and three: nobody knows before it is asked.
write(
    "chunks_any",
    [tensor(STATE, ["batch", "steps", 3]), tensor(OTHER, ["batch", 1])],
    [tensor("action", ["batch", "horizon", 3])],
    [
        helper.make_node("Gather", [STATE, "last"], ["now"], axis=1),
        helper.make_node("Shape", [STATE], ["shape"], start=1, end=2),
        helper.make_node("Add", ["shape", "three"], ["horizon"]),
        helper.make_node("Concat", ["last", "horizon", "last"], ["ramp"], axis=0),
        helper.make_node("Expand", ["now", "ramp"], ["still"]),
        helper.make_node("Unsqueeze", [OTHER, "axis"], ["each"]),
        helper.make_node("Add", ["still", "each"], ["action"]),
    ],
    [
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [2]),
        helper.make_tensor("three", TensorProto.INT64, [1], [3]),
    ],
)
