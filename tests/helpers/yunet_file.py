"""Files like YuNet's, with weights drawn by chance, as PyTorch exports them."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


def build_yunet(channels: int = 16) -> onnx.ModelProto:
    """A network with YuNet's kinds of layers and its twelve outputs, fixed to 640 pixels as the real file is."""
    rng = np.random.default_rng(1)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def write(kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output or f"{len(nodes)}"], **attributes))
        return output or f"{len(nodes) - 1}"

    def store(values: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(values, f"w{len(weights)}"))
        return f"w{len(weights) - 1}"

    def convolve(source: str, given: int, made: int, side: int, stride: int = 1, group: int = 1) -> str:
        kernel = rng.normal(0, (side * side * given / group) ** -0.5, (made, given // group, side, side))
        # Values up to 255 are divided as training would have it.
        kernel /= 128 if source == "input" else 1
        tensors = (store(kernel.astype(np.float32)), store(rng.normal(0, 0.1, made).astype(np.float32)))
        numbers = {"kernel_shape": [side] * 2, "pads": [side // 2] * 4, "strides": [stride] * 2, "group": group}
        return write("Conv", source, *tensors, **numbers)

    def halve(source: str) -> str:
        return write("MaxPool", source, kernel_shape=[2, 2], strides=[2, 2])

    def double(source: str) -> str:
        scales = store(np.array([1, 1, 2, 2], np.float32))
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return write("Resize", source, "", scales, **how)

    fine = halve(halve(write("Relu", convolve("input", 3, channels, 3, stride=2))))
    middle = halve(write("Relu", convolve(fine, channels, channels, 3, group=channels)))
    coarse = halve(write("Relu", convolve(middle, channels, channels, 1)))
    middle = write("Add", middle, double(coarse))
    maps = {8: write("Add", fine, double(middle)), 16: middle, 32: coarse}
    outputs = []
    for head, columns in HEADS.items():
        shape = store(np.array([1, -1, columns]))
        for stride, source in maps.items():
            shrunk = convolve(source, channels, columns, 1)
            rows = write("Transpose", convolve(shrunk, columns, columns, 3, group=columns), perm=[0, 2, 3, 1])
            name = f"{head}_{stride}"
            if columns == 1:
                write("Sigmoid", write("Reshape", rows, shape), output=name)
            else:
                write("Reshape", rows, shape, output=name)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, (640 // stride) ** 2, columns]))
    frame = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "yunet", [frame], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


def iter_convolutions(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """The convolutions of a network."""
    return (node for node in model.graph.node if node.op_type == "Conv")
