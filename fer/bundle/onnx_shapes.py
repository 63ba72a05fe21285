"""The shape of every tensor of a graph in ONNX, for a number of images, computed operation by operation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto
from onnx.defs import SchemaError, get_schema
from onnx.helper import make_tensor_type_proto
from onnx.numpy_helper import from_array, to_array
from onnx.shape_inference import InferenceError, infer_node_outputs

from fer.errors import shorten_error

Shape = tuple[int, ...]
# Bytes of a number; a tensor of anything else is refused.
ITEM_SIZES: dict[int, int] = {
    **{TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.DOUBLE: 8, TensorProto.BOOL: 1},
    **{TensorProto.UINT8: 1, TensorProto.INT8: 1, TensorProto.INT32: 4, TensorProto.INT64: 8},
}
# Sizes are computed from sizes: arrays of so many numbers at most, each of at most so much.
MAX_VALUES, MAX_SIZE = 256, 1 << 20
# What is computed of sizes up to here does not overflow in ONNX.
MAX_DIMENSION = 1 << 40
# By what sizes are computed from sizes.
_NAMES = """
    Abs Add And Cast Ceil Clip Concat ConstantOfShape Div Equal Exp Expand Flatten Floor Gather Greater GreaterOrEqual
    Identity Less LessOrEqual Log Max Min Mod Mul Neg Not OneHot Or Pow Range Reciprocal ReduceMax ReduceMin ReduceProd
    ReduceSum Relu Reshape Round ScatterElements ScatterND Shape Sign Size Slice Sqrt Squeeze Sub Sum Tile Transpose
    Unsqueeze Where Xor
    """
_ON_SIZES = frozenset(_NAMES.split())
# By what a size is multiplied, or what is added to it.
_BY_NUMBERS = frozenset(("Pad", "Resize", "Tile"))


class GraphShapes:
    """Shapes, and the sizes that are computed of them, of a graph for a number of images.

    Args:
        graph: The graph; large tensors need no content.
        opset: The version of its operations.
        inputs: Shape of each input.
        fewer: The same for fewer images. Sizes that differ from there must grow steadily, so that what holds for both
            numbers of images holds for every one in between.

    Raises:
        ValueError: A shape does not follow, or a tensor is not one of numbers.
    """

    def __init__(
        self,
        graph: GraphProto,
        opset: OperatorSetIdProto,
        inputs: Mapping[str, Shape],
        fewer: "GraphShapes | None" = None,
    ) -> None:
        self._opset, self._fewer = opset, fewer
        self._types: dict[str, TypeProto] = {}
        self._values: dict[str, np.ndarray] = {}
        self._protos: dict[str, TensorProto] = {}
        self.shapes: dict[str, Shape] = {}
        self.bytes: dict[str, int] = {}
        for tensor in graph.initializer:
            self._add_constant(tensor.name, tensor)
        for value in graph.input:
            self._add(value.name, make_tensor_type_proto(value.type.tensor_type.elem_type, inputs[value.name]))
        for node in graph.node:
            self._infer(node)

    def _add(self, name: str, kind: TypeProto) -> None:
        tensor = kind.tensor_type
        if name in self.shapes or tensor.elem_type not in ITEM_SIZES:
            raise ValueError(f"{ascii(name)[:100]} is there twice, or is not of numbers")
        if not tensor.HasField("shape") or not all(size.HasField("dim_value") for size in tensor.shape.dim):
            raise ValueError(f"the size of {ascii(name)[:100]} does not follow from that of the images")
        shape = tuple(size.dim_value for size in tensor.shape.dim)
        if min(shape, default=0) < 0 or max(shape, default=0) > MAX_DIMENSION:
            raise ValueError(f"{ascii(name)[:100]} has the shape {shape}")
        self._types[name], self.shapes[name] = kind, shape
        self.bytes[name] = math.prod(shape) * ITEM_SIZES[tensor.elem_type]

    def _add_constant(self, name: str, tensor: TensorProto) -> None:
        self._add(name, make_tensor_type_proto(tensor.data_type, tensor.dims))
        if tensor.HasField("raw_data") and self.bytes[name] == len(tensor.raw_data):
            self._add_value(name, to_array(tensor))

    def _add_value(self, name: str, value: np.ndarray) -> None:
        if value.size <= MAX_VALUES:
            self._values[name], self._protos[name] = value, from_array(value)

    def _infer(self, node: NodeProto) -> None:
        """Add the outputs of an operation. Raises ValueError."""
        if node.op_type == "Constant":
            if [attribute.name for attribute in node.attribute] != ["value"] or len(node.output) != 1:
                raise ValueError("Constant: is no tensor")
            self._add_constant(node.output[0], node.attribute[0].t)
            return
        names = [name for name in node.input if name]
        known = [name for name in names if name in self._values]
        if node.op_type == "Range" and self._fewer and not _starts_at_same(*self._get_values(names)):
            known = []
        if node.op_type in _BY_NUMBERS and any(np.abs(self._values[name]).max(initial=0) > MAX_SIZE for name in known):
            raise ValueError(f"{node.op_type} has a number beyond all sizes")
        try:
            types = infer_node_outputs(
                get_schema(node.op_type, self._opset.version, ""),
                node,
                {name: self._types[name] for name in names},
                {name: self._protos[name] for name in known},
                opset_imports=[self._opset],
            )
            for name in filter(None, node.output):
                self._add(name, types[name])
        except KeyError as error:
            raise ValueError(f"{node.op_type}: {shorten_error(error)} is not there") from None
        except (SchemaError, InferenceError) as error:
            raise ValueError(f"{node.op_type}: {shorten_error(error)}") from None
        if node.op_type in _ON_SIZES and len(node.output) == 1 and self.bytes[node.output[0]] <= 8 * MAX_VALUES:
            self._compute_sizes(node, names)

    def _compute_sizes(self, node: NodeProto, names: Sequence[str]) -> None:
        """Compute the values of an operation on sizes, where they are known and grow steadily."""
        if node.op_type in ("Shape", "Size"):
            shape = self.shapes[names[0]]
            sizes = shape[get_integer(node, "start", 0) : get_integer(node, "end", len(shape))]
            self._add_value(node.output[0], np.array(sizes if node.op_type == "Shape" else math.prod(shape), np.int64))
            return
        if not all(name in self._values for name in names):
            return
        if node.op_type == "Identity":
            self._add_value(node.output[0], self._values[names[0]])
            return
        fewer, more = self._get_values(names)
        if self._fewer is None or (len(fewer) == len(more) and _grows_steadily(node, fewer, more)):
            self._add_value(node.output[0], _compute(node, self._opset, dict(zip(names, more, strict=True))))

    def _get_values(self, names: Sequence[str]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return known values for fewer images, and for these."""
        fewer = self._fewer._values if self._fewer else {}
        return [fewer[name] for name in names if name in fewer], [
            self._values[name] for name in names if name in self._values
        ]


def get_integer(node: NodeProto, name: str, default: int) -> int:
    """Return an attribute of an operation."""
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


def _compute(node: NodeProto, opset: OperatorSetIdProto, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    # Most networks need none of it, and it takes a while to import.
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            results: Any = ReferenceEvaluator(node, opsets={"": opset.version}).run(None, dict(inputs))
            return np.asarray(results[0])
    except Exception as error:
        raise ValueError(f"{node.op_type}: {shorten_error(error)}") from None


def _starts_at_same(fewer: Sequence[np.ndarray], more: Sequence[np.ndarray]) -> bool:
    """Whether a range differs in its limit alone."""
    return len(fewer) == len(more) == 3 and all(np.array_equal(fewer[place], more[place]) for place in (0, 2))


def _grows_steadily(node: NodeProto, fewer: Sequence[np.ndarray], more: Sequence[np.ndarray]) -> bool:
    """Whether a result can only grow with the number of images, or stay, given that its inputs do."""
    differs = [not np.array_equal(one, many) for one, many in zip(fewer, more, strict=True)]
    if not any(differs):
        return True
    small = all(np.abs(array).max(initial=0) <= MAX_SIZE for array in (*fewer, *more))
    match node.op_type:
        case "Concat":
            return True
        case "Gather" | "Slice" | "Reshape" | "Squeeze" | "Unsqueeze" | "Expand" | "Transpose":
            return not any(differs[1:])
        case "Add" | "Mul":
            return small and all(array.min(initial=0) >= 0 for array in (*fewer, *more))
        case "Cast":
            return small and get_integer(node, "to", 0) in (TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT)
        case "Where":
            return not differs[0]
        case "Equal":
            # Is it the placeholder -1? A size that only grows never is.
            one, two = (np.broadcast_arrays(*arrays) for arrays in (fewer, more))
            growing = (one[0] != two[0]) | (one[1] != two[1])
            return bool(np.all((np.maximum(*one) >= 0)[growing] & (np.minimum(*two) < 0)[growing]))
    return False
