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
# Divides by its input: no number at zero.
write(
    "reciprocal",
    [tensor("observation", [1, 3])],
    [tensor("action", [1, 3])],
    [helper.make_node("Reciprocal", ["observation"], ["action"])],
)
