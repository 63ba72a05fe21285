"""YuNet's weights out of anybody's ONNX file, put into a graph of this program's own.

Nothing comes from the file but numbers and the order in which the few kinds of layers follow each other: small and
large YuNets differ in both. The graph takes frames of any size and gives their scores as OpenCV computes them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

INPUT, SCORES, BOXES = "bgr", "scores", "boxes"
STRIDES = (8, 16, 32)
OPSET, IR_VERSION = 18, 9
# OpenCV zoo's file has 233 kB, 53 convolutions of 64 channels at most and 104 layers in all; the largest YuNet has 318
# kB. Protocol buffers take a hundred times the bytes of what is malformed, so that more is not even read.
MAX_BYTES, MAX_NODES, MAX_CHANNELS = 1 << 20, 256, 256
_HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
# What brings the maps into the order that OpenCV takes them in; the graph has a tail of its own.
_TAIL = ("Transpose", "Reshape", "Sigmoid")


def build_graph(content: bytes) -> bytes:
    """Build the graph of a file.

    Args:
        content: A YuNet as OpenCV takes it, with outputs cls_8 to kps_32.

    Returns:
        An ONNX model from INPUT (frames, height, width, 3) uint8, sides multiples of 32, to SCORES (frames, cells) and
        BOXES (frames, cells, 14): offsets of the middle and logarithms of the sides, then five points, in cells. Cells
        run over the rows of the finest map, then over those of the next.

    Raises:
        ValueError: It is none; the message says why.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
    try:
        graph = onnx.ModelProto.FromString(content).graph
    except Exception:
        # google.protobuf's error is of no public base class.
        raise ValueError("it is no ONNX file") from None
    if len(graph.node) > MAX_NODES:
        raise ValueError(f"it has {len(graph.node):,} layers")
    writer = _GraphWriter()
    maps = _copy_layers(graph, writer)
    writer.write_tail(maps)
    return writer.build_model()


def _copy_layers(graph: Any, writer: "_GraphWriter") -> dict[str, str]:
    """Write the layers; returns what they are called in the new graph, by the file's names. Raises ValueError."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    known = {value.name: writer.write_input() for value in graph.input if value.name not in weights}
    for node in graph.node:
        # Without a source that is known it computes no map but a shape, of which this graph has no need.
        if not (node.input and node.output and node.input[0] in known):
            continue
        source = known[node.input[0]]
        match node.op_type:
            case "Conv":
                copy = _copy_convolution(node, weights, source, writer)
            case "Relu":
                copy = writer.write("Relu", [source])
            case "MaxPool":
                copy = writer.write("MaxPool", [source], kernel_shape=[2, 2], strides=[2, 2])
            case "Resize":
                copy = writer.write_doubling(source)
            case "Add" if node.input[-1] in known:
                copy = writer.write("Add", [source, known[node.input[-1]]])
            case tail if tail in _TAIL:
                copy = source
            case _:
                raise ValueError(f"it has the layer {ascii(node.op_type)[:100]}")
        known[node.output[0]] = copy
    return known


def _copy_convolution(node: NodeProto, weights: Mapping[str, TensorProto], source: str, writer: "_GraphWriter") -> str:
    """Write a convolution with the file's weights. Raises ValueError."""
    if len(node.input) != 3:
        raise ValueError("it has a convolution without a bias")
    kernel, bias = (_read_weights(weights.get(name)) for name in node.input[1:])
    numbers = {attribute.name: attribute.i or list(attribute.ints) for attribute in node.attribute}
    strides = numbers.get("strides", [1, 1])
    if kernel.ndim != 4 or kernel.shape[2:] not in ((1, 1), (3, 3)) or strides not in ([1, 1], [2, 2]):
        raise ValueError("it has a convolution of another kind")
    if max(kernel.shape[:2]) > MAX_CHANNELS or bias.shape != kernel.shape[:1]:
        raise ValueError(f"it has a convolution of {kernel.shape[0]:,} channels from {kernel.shape[1]:,}")
    side = kernel.shape[2]
    return writer.write(
        "Conv",
        [source, writer.write_constant(kernel), writer.write_constant(bias)],
        kernel_shape=[side, side],
        pads=[side // 2] * 4,
        strides=strides,
        group=numbers.get("group", 1),
    )


def _read_weights(tensor: TensorProto | None) -> np.ndarray:
    """The numbers of a tensor; none that stand in another file. Raises ValueError."""
    if tensor is None or tensor.data_type != TensorProto.FLOAT:
        raise ValueError("it has weights that are no numbers of 32 bits")
    shape = tuple(tensor.dims)
    if min(shape, default=1) < 1 or 4 * int(np.prod(shape, dtype=object)) != len(tensor.raw_data):
        raise ValueError("it lacks weights")
    return np.frombuffer(tensor.raw_data, "<f4").reshape(shape)


class _GraphWriter:
    """Collects the layers of a graph, each of which has one output."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def write(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Write a layer; returns the name of its output."""
        name = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def write_constant(self, values: np.ndarray) -> str:
        """Write numbers; returns their name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def write_input(self) -> str:
        """Write the way from frames to planes of numbers from 0 to 255, which YuNet takes as they are."""
        return self.write("Transpose", [self.write("Cast", [INPUT], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])

    def write_doubling(self, source: str) -> str:
        """Write that each cell of a map becomes four."""
        scales = self.write_constant(np.array([1, 1, 2, 2], np.float32))
        return self.write(
            "Resize",
            [source, "", scales],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def write_tail(self, maps: Mapping[str, str]) -> None:
        """Write the way from the maps to one row a cell, and to the scores. Raises ValueError."""
        missing = [name for head in _HEADS for stride in STRIDES if (name := f"{head}_{stride}") not in maps]
        if missing:
            raise ValueError(f"it has no output {missing[0]}")
        columns = sum(_HEADS.values())
        shape = self.write_constant(np.array([0, -1, columns]))
        levels = []
        for stride in STRIDES:
            channels = self.write("Concat", [maps[f"{head}_{stride}"] for head in _HEADS], axis=1)
            rows = self.write("Transpose", [channels], perm=[0, 2, 3, 1])
            levels.append(self.write("Reshape", [rows, shape]))
        cells = self.write("Concat", levels, axis=1)
        ends = [self.write_constant(np.array([end])) for end in (0, 2, columns)]
        last_axis = self.write_constant(np.array([2]))
        logits = self.write("Slice", [cells, ends[0], ends[1], last_axis])
        product = self.write("ReduceProd", [self.write("Sigmoid", [logits]), last_axis], keepdims=0)
        self.write("Sqrt", [product], SCORES)
        self.write("Slice", [cells, ends[1], ends[2], last_axis], BOXES)

    def build_model(self) -> bytes:
        """The ONNX model."""
        graph = helper.make_graph(
            self._nodes,
            "yunet",
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["frames", "height", "width", 3])],
            [
                helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["frames", "cells"]),
                helper.make_tensor_value_info(BOXES, TensorProto.FLOAT, ["frames", "cells", 14]),
            ],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
        return content
