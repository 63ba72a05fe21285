"""What is not the bundle's model any more is not kept, and each refusal is one sentence."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fer.bundle.io import Bundle, load_bundle
from fer.config.export import Export, ExportFormat
from fer.errors import DataError, ModelError, UserError
from fer.export.check import FileChecker
from fer.export.formats import FORMATS
from fer.export.formats.onnx import OnnxFormat
from fer.export.formats.openvino import OpenVinoFormat
from fer.export.graph import ExportGraph, build_graph
from fer.export.images import CheckImages, draw_faces
from fer.export.inputs import ModelInputs

pytestmark = pytest.mark.slow


class Shifted(nn.Module):
    """A module whose probabilities are those of the neighbouring class."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        probabilities, affect = self.module(faces)
        return probabilities.roll(1, 1), affect


class Inexpressible(nn.Module):
    """A module with an operation that ONNX does not have, and that no trace without numbers has either."""

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        values = torch.linalg.eigh(faces[..., 0].float())[0]
        return values[: int(values.abs().sum()) % 2 + 1, :7], values[:, :2]


@pytest.fixture(scope="module")
def bundle(exportable: Path) -> Bundle:
    return load_bundle(str(exportable))


@pytest.fixture(scope="module")
def images(bundle: Bundle) -> CheckImages:
    """Faces whose labels are what the bundle answers: it recognises them all."""
    drawn = draw_faces(bundle.description.faces, range(8))
    with torch.inference_mode():
        answers = build_graph(bundle).module(torch.from_numpy(drawn))[0].argmax(1).numpy()
    inputs = ModelInputs({"faces": drawn})
    return CheckImages(inputs, inputs, np.array(bundle.description.classes)[answers], inputs)


@pytest.fixture
def check(
    bundle: Bundle, images: CheckImages, monkeypatch: pytest.MonkeyPatch
) -> Callable[[ExportGraph, Export], FileChecker]:
    monkeypatch.setattr("fer.export.measurement.MIN_SECONDS", 0)
    return lambda graph, config: FileChecker(bundle, graph, images, config, 1)


@pytest.mark.parametrize("name", ["onnx", "exported_program"])
def test_what_a_format_cannot_express_is_a_sentence(
    check: Callable[..., FileChecker], bundle: Bundle, tmp_path: Path, name: ExportFormat
) -> None:
    graph = replace(build_graph(bundle), module=Inexpressible())
    with pytest.raises(ModelError) as error:
        check(graph, Export()).write(name, tmp_path)
    text = str(error.value)
    assert text.startswith(f"export.format={name}: test_resnet cannot be had as {FORMATS[name].title} (")
    assert text.endswith("; use another format") and "\n" not in text


@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_answers_that_are_no_numbers_are_refused(
    check: Callable[..., FileChecker],
    bundle: Bundle,
    tmp_path: Path,
    quantize: Literal["none", "int8"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OnnxFormat, "open", lambda *_: lambda inputs: [np.full((len(inputs["faces"]), 9), np.nan)])
    with pytest.raises(ModelError, match="onnx: ONNX Runtime gives answers that are no probabilities"):
        check(build_graph(bundle), Export(quantize=quantize, max_loss=1)).write("onnx", tmp_path)


def test_answers_that_differ_are_refused(check: Callable[..., FileChecker], bundle: Bundle, tmp_path: Path) -> None:
    graph = build_graph(bundle)
    with pytest.raises(ModelError, match=r"torchscript: PyTorch gives answers that differ by 0\.\d+ from the bundle's"):
        check(replace(graph, module=Shifted(graph.module)), Export()).write("torchscript", tmp_path)
    assert check(graph, Export()).write("torchscript", tmp_path).difference < 1e-5


def test_accuracy_may_fall_as_far_as_is_allowed(
    check: Callable[..., FileChecker], bundle: Bundle, tmp_path: Path
) -> None:
    graph = build_graph(bundle)
    shifted = replace(graph, module=Shifted(graph.module))
    allowed = Export(quantize="int8", max_loss=0.5)
    with pytest.raises(
        ModelError, match=r"onnx: ONNX, int8 by ONNX Runtime recognises \d+\.\d% of 8 validation images, the bundle 100"
    ):
        check(shifted, allowed).write("onnx", tmp_path)
    assert check(graph, allowed).write("onnx", tmp_path).difference > 0


def test_a_refused_export_leaves_no_file(
    export: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer.export.check.TOLERANCE", -1)
    with pytest.raises(ModelError, match="and -1 are allowed"):
        export(tmp_path / "out", "export.format=[torchscript]")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"run.yaml", "provenance.json"}
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert provenance["status"] == "failed" and "ModelError" in provenance["error"]


def test_nothing_is_overwritten(export: Callable[..., Path], exported: Path, tmp_path: Path) -> None:
    before = (exported / "model.onnx").read_bytes()
    with pytest.raises(UserError, match=r"model\.onnx: is there already, and nothing is overwritten"):
        export(exported)
    with pytest.raises(UserError, match="already holds a run, which is never overwritten"):
        export(exported, "export.quantize=int8")
    assert (exported / "model.onnx").read_bytes() == before


def test_data_without_training_images_calibrate_nothing(export: Callable[..., Path], tmp_path: Path) -> None:
    exclude = tmp_path / "exclude.csv"
    # The last two of ten are not of the training part.
    ids = (f"synthetic/face-{number:06d}" for number in range(140) if number % 10 < 8)
    exclude.write_text("\n".join(["sample_id", *ids]))
    with pytest.raises(DataError, match="^synthetic: has no training image to calibrate export.quantize by"):
        export(tmp_path / "out", "export.quantize=int8", f"dataset.exclude={exclude}")


def test_a_full_disk_is_named(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO does not say why it could not write a file."""
    openvino = pytest.importorskip("openvino")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(openvino, "save_model", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*model\.xml'") as error:
        OpenVinoFormat().write(build_graph(bundle), tmp_path / "model.xml")
    assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize("name", ["onnx", "exported_program"])
def test_the_same_graph_gives_the_same_bytes(bundle: Bundle, tmp_path: Path, name: ExportFormat) -> None:
    """Those of TorchScript and OpenVINO number what a process has made before, and are the same in a new one."""
    for number in range(2):
        FORMATS[name].write(build_graph(bundle), tmp_path / str(number))
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
