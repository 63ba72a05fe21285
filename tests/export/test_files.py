"""The files, as other programs read them: loaded without this project's code, with the bundle's probabilities."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from fer.bundle.metadata import read_description
from fer.bundle.predictor import Predictor
from fer.emotions import EMOTIONS
from tests.helpers.networks import faces
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow

# Each loads files by its own runtime, and saves the answers of each to batches of 1, 2 and 7 faces.
RUNTIMES = {
    "torch": """
import sys, warnings, numpy, torch
warnings.simplefilter("ignore")
faces = torch.from_numpy(numpy.load("faces.npy"))
for number, path in enumerate(sys.argv[1:]):
    module = torch.jit.load(path) if path.endswith(".pt") else torch.export.load(path).module()
    with torch.inference_mode():
        numpy.save(f"{number}.npy", numpy.concatenate([torch.cat(module(faces[:n]), 1).numpy() for n in (1, 2, 7)]))
""",
    "onnxruntime": """
import sys, numpy, onnxruntime
faces = numpy.load("faces.npy")
for number, path in enumerate(sys.argv[1:]):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answers = [numpy.concatenate(session.run(None, {"faces": faces[:n]}), 1) for n in (1, 2, 7)]
    numpy.save(f"{number}.npy", numpy.concatenate(answers))
""",
    "openvino": """
import sys, numpy
sys.modules["openvino_telemetry"] = None
import openvino
faces = numpy.load("faces.npy")
for number, path in enumerate(sys.argv[1:]):
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = [model({"faces": faces[:n]}) for n in (1, 2, 7)]
    answers = [numpy.concatenate([output["probabilities"], output["affect"]], 1) for output in outputs]
    numpy.save(f"{number}.npy", numpy.concatenate(answers))
""",
}
ALONE = """
strangers = {"fer", "timm", "onnx", "pytorch_lightning", "torch", "onnxruntime", "openvino"} - {%r}
assert not strangers & set(sys.modules), strangers & set(sys.modules)
"""


@pytest.mark.parametrize(
    ("runtime", "names"),
    [
        ("torch", ("model.pt", "model.pt2")),
        ("onnxruntime", ("model.onnx", "model-int8.onnx")),
        ("openvino", ("model.xml", "model-int8.xml")),
    ],
)
def test_each_runtime_gives_the_bundles_answers_without_our_code(
    exported: Path, quantized: Path, exportable: Path, tmp_path: Path, runtime: str, names: tuple[str, str]
) -> None:
    paths = [(quantized if "int8" in name else exported) / name for name in names]
    images = faces(7, 48, 1, seed=8)
    np.save(tmp_path / "faces.npy", images)
    program = RUNTIMES[runtime] + ALONE % runtime
    # -I: neither the current directory nor PYTHONPATH is searched.
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, *map(str, paths)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = Predictor.load(str(exportable)).predict_all(list(images))
    expected = np.concatenate([answers[:1], answers[:2], answers])
    for number, path in enumerate(paths):
        found = np.load(tmp_path / f"{number}.npy")
        if path.parent == exported:
            np.testing.assert_allclose(found, expected, atol=1e-5)
            continue
        # 8 bits change probabilities, by about as much as the export has measured and tells.
        files = json.loads((quantized / "export.json").read_text())["files"]
        (told,) = (entry["largest_difference"] for entry in files if entry["files"][0]["name"] == path.name)
        assert 1e-4 < np.abs(found - expected).max() < 2 * told


def test_each_file_says_what_it_is(exported: Path, quantized: Path, exportable: Path) -> None:
    description = read_description(str(exportable))
    facts = json.loads((exported / "export.json").read_text())["facts"]
    assert json.loads(facts["classes"]) == list(EMOTIONS)
    assert facts["bundle_sha256"] == description.sha256 and facts["weights_sha256"] == description.weights_sha256
    for path in (exported / "model.onnx", quantized / "model-int8.onnx"):
        assert {entry.key: entry.value for entry in onnx.load(path).metadata_props} == facts
    for path in (exported / "model.pt", exported / "model.pt2"):
        with zipfile.ZipFile(path) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/fer.json"))
            assert json.loads(archive.read(name)) == facts
    for path in (exported / "model.xml", quantized / "model-int8.xml"):
        text = path.read_text(encoding="utf-8")
        assert f'<bundle_sha256 value="{description.sha256}"' in text


def test_no_file_holds_a_path_of_this_machine(exported: Path, quantized: Path) -> None:
    own = (str(PROJECT).encode(), b"site-packages", str(exported.parent).encode())
    for path in (*exported.glob("model.*"), *quantized.glob("model-*.*")):
        assert not [word for word in own if word in _expand(path)], path.name


def _expand(path: Path) -> bytes:
    """The content of a file; of PyTorch's archives that of all parts, some of which are compressed."""
    if path.suffix not in (".pt", ".pt2"):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(map(archive.read, archive.namelist()))


def test_the_record_names_files_figures_and_images(exported: Path, quantized: Path) -> None:
    for folder, images in ((exported, 0), (quantized, 20)):
        content = json.loads((folder / "export.json").read_text())
        assert content["images"]["drawn"] == 33 and content["images"]["calibration"] == images
        assert content["images"]["validation"] > 5 and content["images"]["sources"] == ["synthetic"]
        assert content["bundle"]["accuracy"].keys() == {"value"}
        for entry in content["files"]:
            for file in entry["files"]:
                data = (folder / file["name"]).read_bytes()
                assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
            assert entry["bytes"] == sum(file["bytes"] for file in entry["files"])
            assert entry["milliseconds"].keys() == {"batch_1", "batch_32"}
            assert entry["macro_f1"].keys() == {"value", "difference", "low", "high"}
    full, small = (json.loads((folder / "export.json").read_text()) for folder in (exported, quantized))
    assert [entry["format"] for entry in full["files"]] == ["onnx", "torchscript", "exported_program", "openvino"]
    assert all(entry["largest_difference"] <= full["tolerance"] == 1e-4 for entry in full["files"])
    assert all(1e-4 < entry["largest_difference"] < 1 for entry in small["files"])
    assert [entry["title"] for entry in small["files"]] == ["ONNX, int8 by ONNX Runtime", "OpenVINO, int8 by NNCF"]
    # The weights of a tiny network are not the most of its file.
    assert (quantized / "model-int8.bin").stat().st_size < (exported / "model.bin").stat().st_size / 2


def test_eight_bits_are_in_the_body_alone(quantized: Path) -> None:
    nodes = onnx.load(quantized / "model-int8.onnx").graph.node
    linear = [node for node in nodes if node.op_type == "QuantizeLinear"]
    assert len(linear) > 5
    assert not [node.name for node in nodes if node.op_type in ("MatMul", "Softmax") and "_Quantize" in node.input[0]]
    assert [node.op_type for node in nodes if node.name == "/Softmax"] == ["Softmax"]
