"""What is let through to ONNX Runtime: every export of this program, and no graph that takes more than one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from benchmarks.hostile_graphs import FILE, GRAPH_ATTACKS, build_model, insert
from fer.bundle.io import FaceFormat
from fer.bundle.metadata import BundleDescription, read_description
from fer.bundle.onnx_backend import OnnxNetwork
from fer.bundle.onnx_export import export_onnx
from fer.bundle.onnx_graph import MAX_BATCH, check_graph, compute_max_bytes
from fer.bundle.onnx_trial import BUNDLE_KEY
from fer.models.network import FaceNetwork
from tests.helpers.served_runs import run_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def description() -> BundleDescription:
    return read_description("pretrained")


@pytest.mark.parametrize(
    ("name", "size", "flip", "colour"),
    [
        ("test_efficientnet", 64, False, False),
        ("test_efficientnet", 40, True, True),
        ("test_resnet", 64, False, False),
        # Its shapes are computed from the number of images.
        ("test_vit", 160, True, False),
        pytest.param("mobilenetv2_100", 96, False, False, marks=pytest.mark.slow),
        # The padding is computed.
        pytest.param("tf_efficientnetv2_b0", 64, False, False, marks=pytest.mark.slow),
        pytest.param("vit_tiny_patch16_224", 112, False, False, marks=pytest.mark.slow),
        pytest.param("swin_tiny_patch4_window7_224", 112, False, False, marks=pytest.mark.slow),
        pytest.param("convnext_atto", 64, False, False, marks=pytest.mark.slow),
    ],
)
def test_exports_are_let_through_in_any_number_of_images(
    name: str, size: int, flip: bool, colour: bool, tmp_path: Path
) -> None:
    run = run_of(tmp_path, FaceNetwork(name, 7, size, 0.0, flip=flip), FaceFormat(48, colour))
    found = read_description(str(run))
    content = export_onnx(found)
    checked = check_graph(content, found)
    assert (checked.max_batch, checked.metadata[BUNDLE_KEY]) == (MAX_BATCH, found.sha256)
    assert len(content) < compute_max_bytes(found)


def test_a_harmless_graph_is_let_through(description: BundleDescription) -> None:
    """Otherwise those that differ from it in one thing would show nothing."""
    assert check_graph(build_model(description).SerializeToString(), description).max_batch == MAX_BATCH


@pytest.mark.parametrize(
    ("nodes", "constants", "max_batch"),
    [
        # As exports do it: -1 in a shape means the size that is there.
        (
            [
                helper.make_node("Concat", ["count", "same"], ["shape"], axis=0),
                helper.make_node("Equal", ["shape", "minus"], ["open"]),
                helper.make_node("Where", ["open", "ones", "shape"], ["size"]),
                helper.make_node("Expand", ["zero", "size"], ["extra"]),
            ],
            {"same": [-1], "minus": [-1, -1], "ones": [1, 1], "zero": np.zeros((1, 3), np.float32)},
            MAX_BATCH,
        ),
        # Large with 37 images, and with no other number.
        (
            [
                helper.make_node("Equal", ["count", "number"], ["hit"]),
                helper.make_node("Where", ["hit", "large", "one"], ["size"]),
                helper.make_node("ConstantOfShape", ["size"], ["extra"]),
            ],
            {"number": [37], "large": [1 << 38], "one": [1]},
            1,
        ),
        # Large in between, and small with 1 and with 128.
        (
            [
                helper.make_node("Sub", ["last", "count"], ["left"]),
                helper.make_node("Mul", ["count", "left"], ["hump"]),
                helper.make_node("Mul", ["hump", "large"], ["size"]),
                helper.make_node("ConstantOfShape", ["size"], ["extra"]),
            ],
            {"last": [128], "large": [1]},
            1,
        ),
        (
            [
                helper.make_node("Squeeze", ["count"], ["low"]),
                helper.make_node("Range", ["low", "high", "step"], ["whole"]),
                helper.make_node("Cast", ["whole"], ["extra"], to=TensorProto.FLOAT),
            ],
            {"high": 200, "step": 1},
            1,
        ),
        # A number of a product that overflows with 128 images.
        (
            [
                helper.make_node("Mul", ["count", "large"], ["product"]),
                helper.make_node("Concat", ["product", "same"], ["shape"], axis=0),
                helper.make_node("Slice", ["shape", "one", "two"], ["size"]),
                helper.make_node("ConstantOfShape", ["size"], ["extra"]),
            ],
            {"large": [1 << 57], "same": [3], "one": [1], "two": [2]},
            1,
        ),
    ],
)
def test_what_depends_on_the_number_of_images_otherwise_is_computed_one_by_one(
    nodes: list[NodeProto], constants: dict[str, Any], max_batch: int, description: BundleDescription
) -> None:
    model = build_model(description)
    count = helper.make_node("Shape", ["pixels"], ["count"], start=0, end=1)
    insert([count, *nodes], **constants)(model)
    assert check_graph(model.SerializeToString(), description).max_batch == max_batch


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda model: model.graph.input.append(model.graph.output[0]), "does not compute logits from faces"),
        (lambda model: model.graph.node.append(model.graph.node[0]), "'pixels' is there twice"),
        (lambda model: model.graph.node.insert(0, model.graph.node.pop()), "'mean' is not there"),
        (lambda model: model.graph.initializer[0].dims.__setitem__(0, 24), "MatMul: "),
        (lambda model: model.graph.initializer[0].dims.__setitem__(0, -48), "has the shape"),
        (lambda model: setattr(model.opset_import[0], "version", 12), "ONNX's version 17"),
        (lambda model: setattr(model.graph.node[1].attribute[0], "i", 1 << 62), "beyond all sizes"),
        (lambda model: model.graph.initializer[0].string_data.append(b"a"), "TensorProto.string_data"),
        (lambda model: setattr(model.graph.node[0].attribute[0], "i", TensorProto.STRING), "not of numbers"),
    ],
)
def test_what_no_export_has_is_refused(
    change: Callable[[ModelProto], object], problem: str, description: BundleDescription
) -> None:
    model = build_model(description)
    change(model)
    with pytest.raises(ValueError, match=problem):
        check_graph(model.SerializeToString(), description)


@pytest.mark.parametrize("name", GRAPH_ATTACKS)
def test_attacks_are_refused_before_they_are_loaded(name: str, description: BundleDescription, tmp_path: Path) -> None:
    GRAPH_ATTACKS[name](tmp_path)
    content = (tmp_path / "bundle" / FILE).read_bytes()
    if name.endswith(("500 tensors of images", "to the 7th", "7,900 operations", "100,000 levels")):
        # What any export might do as well; its answers are none.
        assert check_graph(content, description)
        return
    with pytest.raises(ValueError, match="^."):
        check_graph(content, description)


def test_every_file_that_was_cut_off_is_refused(description: BundleDescription) -> None:
    content = build_model(description).SerializeToString()
    # Where the metadata would begin, the rest is a whole model.
    for size in range(1, content.index(b"bundle_sha256") - 8):
        with pytest.raises(ValueError, match="^it (is no ONNX file|does not|has)|^its"):
            check_graph(content[:size], description)


def test_a_graph_that_is_computed_one_by_one_gives_the_same(
    description: BundleDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(description)
    nodes = [helper.make_node("Shape", ["pixels"], ["count"]), helper.make_node("Neg", ["count"], ["less"])]
    nodes += [helper.make_node("Neg", ["less"], ["shape"]), helper.make_node("ConstantOfShape", ["shape"], ["extra"])]
    insert(nodes)(model)
    (tmp_path / "network.onnx").write_bytes(model.SerializeToString())
    network = OnnxNetwork(description, tmp_path)
    sizes: list[int] = []
    run = network._session

    def record(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        sizes.append(len(inputs["faces"]))
        return run(inputs)

    monkeypatch.setattr(network, "_session", record)
    side = description.faces.side
    assert network.compute_outputs(np.zeros((3, side, side, 1), np.uint8), 128).shape == (3, 7)
    assert sizes == [1, 1, 1]


def test_a_hostile_graph_never_reaches_the_runtime(
    description: BundleDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the network can be exported, it is exported again instead."""
    loaded: list[bytes] = []
    start = onnxruntime.InferenceSession

    def record(model: bytes, *rest: Any, **named: Any) -> onnxruntime.InferenceSession:
        loaded.append(model)
        return start(model, *rest, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    model = build_model(description)
    harmless = model.SerializeToString()
    insert([helper.make_node("RandomNormalLike", ["pixels"], ["extra"])])(model)
    monkeypatch.setattr("fer.bundle.onnx_export.export_onnx", lambda *_: harmless)
    file = tmp_path / "network.onnx"
    file.write_bytes(model.SerializeToString())
    OnnxNetwork(description, tmp_path)
    assert loaded == [harmless]
    assert file.read_bytes() == harmless
