"""The check of an exported network, which may come from anybody, before ONNX Runtime gets it.

A graph of a few kilobytes can take any amount of memory and time. So it may hold nothing but arithmetic that computes
logits from faces, all shapes must follow from it, and what it computes is bounded by the size of images and weights.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from fer.bundle.metadata import WEIGHTS_FILE, BundleDescription
from fer.bundle.onnx_file import read_structure
from fer.bundle.onnx_shapes import MAX_SIZE, GraphShapes, Shape, get_integer
from fer.bundle.onnx_trial import INPUT, OPSET_VERSION, OUTPUT

# Standard arithmetic whose shapes and cost follow from the shapes of what it gets. Not among it: control flow, random
# numbers, quantisation, strings, sequences, and what has as many results as the data say.
_NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip Concat
    Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace Div Dropout Einsum Elu Equal Erf Exp Expand
    EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual HardSigmoid HardSwish Hardmax Identity InstanceNormalization LRN LSTM LayerNormalization LeakyRelu
    Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mod Mul
    Neg Not OneHot Or PRelu Pad Pow RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu
    Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan
    Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
    """
OPERATORS = frozenset(_NAMES.split())
# What is checked for one image and for so many holds for every number in between; at most so many are computed at once.
MAX_BATCH = 128
# Bytes for each pixel of the images: of what is needed at a time, and of all that is computed. Multiplications for each
# pixel and weight. Of some eighty architectures of timm, none has half of any.
MAX_LIVE, MAX_TOTAL = 4_000, 40_000
MAX_OPERATIONS, FREE_WEIGHTS = 1 / 16, 1 << 20
# What is computed of weights alone is kept: bytes for each byte of the file.
MAX_CONSTANTS = 8
# Most have some hundred; one of Swin with its mirror image has 7,000.
MAX_NODES = 8_000
# The file has the weights, some as they are computed of others, and tables of positions and masks.
MAX_GROWTH, FREE_BYTES = 2, 32 << 20
log = logging.getLogger(__name__)


def compute_max_bytes(description: BundleDescription) -> int:
    """Return how large the exported network of a bundle may be. Raises OSError."""
    return MAX_GROWTH * (description.folder / WEIGHTS_FILE).stat().st_size + FREE_BYTES


@dataclass(frozen=True)
class CheckedGraph:
    """What is known of an exported network that may be loaded.

    Args:
        metadata: The file's metadata.
        max_batch: So many images at most may be computed at once.
    """

    metadata: dict[str, str]
    max_batch: int


def check_graph(content: bytes, description: BundleDescription) -> CheckedGraph:
    """Check an exported network.

    Args:
        content: The ONNX file.
        description: The bundle that it is said to be of.

    Raises:
        ValueError: It holds what no export of this program does, or costs more than a network of this size may.
    """
    faces, outputs = description.faces, len(description.columns)
    shape = (faces.side, faces.side, 3 if faces.colour else 1)
    pixels = max(faces.side, description.image_size) ** 2
    return check_arithmetic(
        content, GraphForm({INPUT: (TensorProto.UINT8, shape)}, OUTPUT, (outputs,), pixels, MAX_BATCH)
    )


@dataclass(frozen=True)
class GraphForm:
    """What a graph computes, and by what its cost is bounded.

    Args:
        inputs: Type and shape of each input, of one image or window.
        output: Name of the output.
        output_shape: Its shape, likewise.
        pixels: Pixels of one image or window, or what costs as much.
        max_batch: So many images or windows at most are computed at once.
    """

    inputs: Mapping[str, tuple[int, Shape]]
    output: str
    output_shape: Shape
    pixels: int
    max_batch: int


def check_arithmetic(content: bytes, form: GraphForm) -> CheckedGraph:
    """Check that an ONNX file computes what it should, and no more than it may cost. Raises ValueError."""
    model = read_structure(content)
    _check_form(model, form)
    one = _check_batch(model, form, len(content), 1)
    try:
        _check_batch(model, form, len(content), form.max_batch, one)
        max_batch = form.max_batch
    except ValueError as error:
        # What a few architectures do with the number of images cannot be followed.
        log.debug("Images are computed one by one: %s", error)
        max_batch = 1
    return CheckedGraph({entry.key: entry.value for entry in model.metadata_props}, max_batch)


def _check_batch(
    model: ModelProto, form: GraphForm, file_bytes: int, count: int, fewer: GraphShapes | None = None
) -> GraphShapes:
    """Check shapes and cost for a number of images. Raises ValueError."""
    given = {name: (count, *shape) for name, (_, shape) in form.inputs.items()}
    shapes = GraphShapes(model.graph, model.opset_import[0], given, fewer)
    _check_cost(model.graph, shapes, file_bytes, count * form.pixels)
    if shapes.shapes.get(form.output) != (count, *form.output_shape):
        raise ValueError(f"it does not give {math.prod(form.output_shape)} {form.output} for each of its inputs")
    return shapes


def _check_form(model: ModelProto, form: GraphForm) -> None:
    """Check what a graph consists of. Raises ValueError."""
    if [(opset.domain, opset.version) for opset in model.opset_import] != [("", OPSET_VERSION)]:
        raise ValueError(f"its operations are not those of ONNX's version {OPSET_VERSION}")
    graph = model.graph
    if [value.name for value in graph.input] != list(form.inputs) or [value.name for value in graph.output] != [
        form.output
    ]:
        raise ValueError(f"it does not compute {form.output} from {' and '.join(form.inputs)}")
    for value, (kind, _) in zip(graph.input, form.inputs.values(), strict=True):
        if value.type.tensor_type.elem_type != kind:
            raise ValueError(f"its {value.name} are not of the type {TensorProto.DataType.Name(kind)}")
    if len(graph.node) > MAX_NODES:
        raise ValueError(f"it has {len(graph.node):,} operations")
    for node in graph.node:
        if any(abs(value) > MAX_SIZE for attribute in node.attribute for value in (attribute.i, *attribute.ints)):
            raise ValueError(f"{ascii(node.op_type)[:100]} has a number beyond all sizes")
        if node.op_type not in OPERATORS or node.domain:
            raise ValueError(f"it has the operation {ascii(f'{node.domain}.{node.op_type}'.lstrip('.'))[:100]}")


def _check_cost(graph: GraphProto, shapes: GraphShapes, file_bytes: int, pixels: int) -> None:
    """Check memory and time for images of so many pixels together. Raises ValueError."""
    constants = {tensor.name for tensor in graph.initializer} | {""}
    if sum(shapes.bytes[name] for name in constants if name) > file_bytes:
        raise ValueError("it lacks weights")
    given = {value.name for value in graph.input}
    last_use = {name: index for index, node in enumerate(graph.node) for name in node.input}
    computed = live = total = operations = 0
    for index, node in enumerate(graph.node):
        size = sum(shapes.bytes[name] for name in node.output if name)
        operations += _count_operations(node, shapes.shapes)
        if constants.issuperset(node.input):
            constants.update(node.output)
            # A constant is in the file, and a name for a tensor takes nothing.
            computed += 0 if node.op_type in ("Constant", "Identity") else size
            continue
        total += size
        live += size
        if live > MAX_LIVE * pixels:
            raise ValueError(f"{node.op_type} takes the memory to {live:,} bytes, for images of {pixels:,} pixels")
        done = {name for name in node.input if last_use[name] == index} | {
            name for name in node.output if name not in last_use
        }
        live -= sum(shapes.bytes[name] for name in done - constants - given)
    if computed > MAX_CONSTANTS * file_bytes:
        raise ValueError(f"{computed:,} bytes are computed of weights alone")
    if total > MAX_TOTAL * pixels:
        raise ValueError(f"{total:,} bytes are computed for images of {pixels:,} pixels")
    if operations > pixels * MAX_OPERATIONS * (file_bytes / 4 + FREE_WEIGHTS):
        raise ValueError(f"{operations:,} multiplications are needed for images of {pixels:,} pixels")


def _count_operations(node: NodeProto, shapes: dict[str, Shape]) -> int:
    """Return the multiplications of an operation, where they are more than numbers in its result."""
    inputs = [shapes[name] if name else () for name in node.input]
    result = math.prod(shapes[node.output[0]]) if node.output[0] else 0
    match node.op_type:
        case "Conv":
            return result * math.prod(inputs[1][1:])
        case "ConvTranspose":
            return math.prod(inputs[0]) * math.prod(inputs[1][1:])
        case "MatMul":
            return result * inputs[0][-1]
        case "Gemm":
            return result * inputs[0][0 if get_integer(node, "transA", 0) else 1]
        case "Einsum":
            return _count_summed(node, inputs)
        case "LSTM" | "GRU" | "RNN":
            return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))
        case "AveragePool" | "LpPool" | "MaxPool":
            kernel = next(list(attribute.ints) for attribute in node.attribute if attribute.name == "kernel_shape")
            return result * math.prod(kernel)
    return result


def _count_summed(node: NodeProto, inputs: list[Shape]) -> int:
    """Return the multiplications of a sum over indices: the product of all their sizes. Raises ValueError."""
    equation = next(attribute.s.decode() for attribute in node.attribute if attribute.name == "equation")
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if [len(term) for term in terms] != [len(shape) for shape in inputs] or "." in equation:
        raise ValueError(f"Einsum has the equation {ascii(equation)[:100]}")
    sizes = dict(zip("".join(terms), (size for shape in inputs for size in shape), strict=True))
    return math.prod(sizes.values())
