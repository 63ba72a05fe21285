"""Hostile networks in ONNX beside a sound bundle, as the server meets them: a part of the attacks.

Each graph gives the logits that its metadata promise, so that only the check of the graph stands in its way.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from fer.bundle.locate import PRETRAINED_DIR
from fer.bundle.metadata import BundleDescription, read_description
from fer.bundle.onnx_trial import BUNDLE_KEY, OPSET_VERSION, PROBABILITIES_KEY, TRIAL_COUNT
from fer.bundle.verification import load_verified_predictor

# Changes a harmless model.
Change = Callable[[ModelProto], None]
FILE = "onnx/network.onnx"


def build_model(description: BundleDescription) -> ModelProto:
    """Return a harmless model, whose logits are all 0, for a bundle."""
    classes, faces = len(description.classes), description.faces
    shape: list[str | int] = ["batch", faces.side, faces.side, 3 if faces.colour else 1]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["faces"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "zeros"], ["logits"]),
        ],
        "main",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(np.zeros((faces.side, classes), np.float32), "zeros")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET_VERSION)], ir_version=8)
    answers = description.calibration.compute_probabilities(np.zeros((TRIAL_COUNT, classes), np.float32))
    props = {BUNDLE_KEY: description.sha256, PROBABILITIES_KEY: json.dumps(answers.tolist())}
    helper.set_model_props(model, props)
    return model


def _serve(folder: Path, content: bytes) -> Callable[[], Any]:
    """Serve a bundle with an exported network where there is no PyTorch."""
    (folder / "bundle" / FILE).parent.mkdir(parents=True)
    for path in (PRETRAINED_DIR / "bundle").iterdir():
        (folder / "bundle" / path.name).write_bytes(path.read_bytes())
    (folder / "bundle" / FILE).write_bytes(content)

    def serve() -> Any:
        variables = {"FER_CACHE_DIR": str(folder / "cache")}
        with patch.dict(sys.modules, {"fer.bundle.onnx_export": None}), patch.dict(os.environ, variables):
            return load_verified_predictor(str(folder), 1)

    return serve


def _attack_content(make: Callable[[], bytes]) -> Callable[[Path], Callable[[], Any]]:
    return lambda folder: _serve(folder, make())


def _attack_graph(change: Change) -> Callable[[Path], Callable[[], Any]]:

    def build(folder: Path) -> Callable[[], Any]:
        model = build_model(read_description("pretrained"))
        change(model)
        return _serve(folder, model.SerializeToString())

    return build


def insert(nodes: Sequence[NodeProto], **constants: Any) -> Change:
    """Return the change by which operations make `extra` of `pixels`, before the mean is taken of them both."""

    def change(model: ModelProto) -> None:
        graph = model.graph
        arrays = (numpy_helper.from_array(np.array(value), name) for name, value in constants.items())
        graph.initializer.extend(arrays)
        rest = [graph.node.pop(), graph.node.pop()]
        graph.node.extend(nodes)
        graph.node.append(helper.make_node("ReduceMax", ["extra"], ["largest"], keepdims=0))
        graph.node.append(helper.make_node("Add", ["pixels", "largest"], ["sum"]))
        rest[1].input[0] = "sum"
        graph.node.extend(reversed(rest))

    return change


def _use(operator: str, *constants: Any, **attributes: Any) -> Change:
    """One operation on `pixels` and constants."""
    named = {f"constant{number}": value for number, value in enumerate(constants)}
    return insert([helper.make_node(operator, ["pixels", *named], ["extra"], **attributes)], **named)


def _make_of_shape(*shape: int) -> Change:
    return insert([helper.make_node("ConstantOfShape", ["shape"], ["extra"])], shape=shape)


def _store_elsewhere(location: str) -> Change:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.external_data.add(key="location", value=location)
        tensor.data_location = TensorProto.EXTERNAL

    return change


def _loop(model: ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["condition"], ["again"]), helper.make_node("Identity", ["old"], ["new"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("old", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("new", TensorProto.FLOAT, None),
        ],
    )
    insert([helper.make_node("Loop", ["rounds", "true", "pixels"], ["extra"], body=body)], rounds=1 << 60, true=True)(
        model
    )


def _branch(model: ModelProto) -> None:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["pixels"], ["inner"])], "branch", [], [value])
    node = helper.make_node("If", ["true"], ["extra"], then_branch=branch, else_branch=branch)
    insert([node], true=True)(model)


def _use_domain(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    insert([helper.make_node("Gelu", ["pixels"], ["extra"], domain="com.microsoft")])(model)


def _define_function(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("own", 1))
    nodes = [helper.make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", OPSET_VERSION)]
    model.functions.append(helper.make_function("own", "Relu", ["a"], ["b"], nodes, opsets))
    insert([helper.make_node("Relu", ["pixels"], ["extra"], domain="own")])(model)


def _lack_weights(model: ModelProto) -> None:
    _use("Add", np.zeros(1, np.float32))(model)
    tensor = model.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.dims[:] = [1 << 36]


def _grow_with_batch(power: int) -> Change:
    """The images' number to a power, in numbers."""
    nodes = [
        helper.make_node("Shape", ["pixels"], ["count"], start=0, end=1),
        *(
            helper.make_node("Mul", ["count" if n == 1 else f"count{n - 1}", "count"], [f"count{n}"])
            for n in range(1, power)
        ),
        helper.make_node("ConstantOfShape", [f"count{power - 1}"], ["extra"]),
    ]
    return insert(nodes)


def _keep_many(count: int, width: int) -> Change:
    """Many tensors of constants, of which none is large, all needed at the end."""
    names = [f"part{number}" for number in range(count)]
    nodes = [helper.make_node("ConstantOfShape", ["shape"], [name]) for name in names]
    return insert([*nodes, helper.make_node("Max", names, ["extra"])], shape=[width])


def _keep_many_of_images(model: ModelProto) -> None:
    names = [f"part{number}" for number in range(500)]
    nodes = [helper.make_node("Tile", ["pixels", "repeats"], [name]) for name in names]
    insert([*nodes, helper.make_node("Max", names, ["extra"])], repeats=[1, 1, 4, 1])(model)


def _chain(count: int) -> Change:
    names = ["pixels", *(f"step{number}" for number in range(count - 1)), "extra"]
    pairs = zip(names[:-1], names[1:], strict=True)
    return insert([helper.make_node("Relu", [one], [two]) for one, two in pairs])


def _nest_answers(model: ModelProto) -> None:
    model.metadata_props[1].value = "[" * 100_000


def _lie_about_shapes(model: ModelProto) -> None:
    _use("Tile", [1, 1 << 18, 1, 1])(model)
    model.graph.value_info.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [1, 1, 1, 1]))


GRAPH_ATTACKS = {
    **{
        f"network.onnx: {name}": _attack_graph(change)
        for name, change in {
            "weights in /etc/passwd": _store_elsewhere("/etc/passwd"),
            "weights in ../bundle.yaml": _store_elsewhere("../bundle.yaml"),
            "weights in /dev/zero": _store_elsewhere("/dev/zero"),
            "weights that are not there": _lack_weights,
            "an endless loop": _loop,
            "a branch": _branch,
            "an operation of another domain": _use_domain,
            "a function of its own": _define_function,
            "random numbers": _use("RandomNormalLike"),
            "a result of any size": insert(
                [
                    helper.make_node("NonZero", ["pixels"], ["places"]),
                    helper.make_node("Cast", ["places"], ["extra"], to=TensorProto.FLOAT),
                ]
            ),
            "a constant of 400 GB": _make_of_shape(100_000, 1_000_000),
            "500 constants of 20 MB": _keep_many(500, 5_000_000),
            "400 GB by Expand": _use("Expand", [43_000, 1000, 1, 1, 1, 1]),
            "400 GB by Tile": _use("Tile", [1, 100_000, 1_000_000, 1]),
            "Tile that overflows": _use("Tile", [1, 1 << 62, 1, 1]),
            "400 GB by Pad": _use("Pad", [0, 0, 0, 0, 0, 300_000, 300_000, 0]),
            "400 GB by Range": insert(
                [helper.make_node("Range", ["low", "high", "step"], ["extra"])],
                **{"low": np.float32(0), "high": np.float32(1e11), "step": np.float32(1)},
            ),
            "400 GB by Resize": _use("Resize", np.zeros(0, np.float32), np.array([1, 3000, 3000, 1], np.float32)),
            "400 GB by the padding of Conv": insert(
                [
                    helper.make_node("Transpose", ["pixels"], ["first"], perm=[0, 3, 1, 2]),
                    helper.make_node("ReduceMean", ["first"], ["gray"], axes=[1]),
                    helper.make_node("Conv", ["gray", "kernel"], ["extra"], pads=[150_000] * 4),
                ],
                kernel=np.zeros((1, 1, 1, 1), np.float32),
            ),
            "400 GB by the strides of ConvTranspose": insert(
                [
                    helper.make_node("Transpose", ["pixels"], ["first"], perm=[0, 3, 1, 2]),
                    helper.make_node("ReduceMean", ["first"], ["gray"], axes=[1]),
                    helper.make_node("ConvTranspose", ["gray", "kernel"], ["extra"], strides=[7000, 7000]),
                ],
                kernel=np.zeros((1, 1, 1, 1), np.float32),
            ),
            "a product of all pixels with all": insert(
                [
                    helper.make_node("Reshape", ["pixels", "column"], ["left"]),
                    helper.make_node("Reshape", ["pixels", "row"], ["right"]),
                    helper.make_node("MatMul", ["left", "right"], ["product"]),
                    helper.make_node("MatMul", ["product", "product"], ["extra"]),
                ],
                column=[0, -1, 1],
                row=[0, 1, -1],
            ),
            "windows of 10,000 pixels": _use("MaxPool", kernel_shape=[10_000, 1], pads=[9_000, 0, 9_000, 0]),
            "shapes that are not so": _lie_about_shapes,
            "200,000 operations": _chain(200_000),
            "answers nested 100,000 levels": _nest_answers,
        }.items()
    },
    # What any export could do: it is loaded, and refused by its answers.
    "network.onnx: 500 tensors of images": _attack_graph(_keep_many_of_images),
    "network.onnx: memory by the images' number to the 7th": _attack_graph(_grow_with_batch(7)),
    "network.onnx: 7,900 operations": _attack_graph(_chain(7_900)),
    # One entry of 16 MB, which is 8 million of two bytes.
    "network.onnx: 8 million empty operations": _attack_content(
        lambda: b"\x3a\x80\x80\x80\x08" + b"\x0a\x00" * (8 << 20)
    ),
    "network.onnx: 300 MB": _attack_content(lambda: bytes(300 << 20)),
}
