"""Models of clips as files: windows in, the answers of the bundle out, in every format and in 8 bits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fer.bundle.io import FaceFormat, load_bundle
from fer.bundle.predictor import ClipPredictor, Predictor
from fer.config.compose import load_overrides
from fer.config.export import ExportFormat
from fer.errors import UserError
from fer.export.clip_graph import build_clip_graph
from fer.export.formats import FORMATS
from fer.export.inputs import WindowFrames
from fer.export.pipeline import export_model
from fer.models.clip_network import ClipNetwork
from fer.train.inputs import read_sources
from tests.helpers.clip_networks import (
    LENGTH,
    STEP_S,
    build_clip_network,
    build_video_network,
    draw_frames,
    draw_windows,
    save_clip_bundle,
)
from tests.helpers.networks import one_thread

pytestmark = pytest.mark.slow

SIDE = 24
CLIPS = ("dataset=synthetic_clips_small", "dataset.sources.synthetic_clips.count=42", "trainer.threads=1")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip_bundle(tmp_path_factory.mktemp("model") / "bundle", build_clip_network())


def export(bundle: Path, directory: Path, *overrides: str) -> Path:
    cache = f"dataset.cache_dir={bundle.parent / 'cache'}"
    config = load_overrides([f"model_uri={bundle}", cache, *overrides], "export")
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer.export.measurement.MIN_SECONDS", 0)
        export_model(config, directory, read_sources(config))
    return directory


def test_each_format_answers_for_a_window_as_the_predictor_does(bundle: Path, tmp_path: Path) -> None:
    out = export(bundle, tmp_path / "out", *CLIPS, "export.format=[onnx,torchscript,exported_program,openvino]")
    content = json.loads((out / "export.json").read_text())
    assert [entry["largest_difference"] < 1e-5 for entry in content["files"]] == [True] * 4
    assert content["facts"]["input"].startswith(f"clips: (N, {LENGTH}, {SIDE}, {SIDE}, 3) uint8, RGB, {LENGTH} faces")
    # The file's answer to the last frames of a run is that of a sliding window for the last one.
    frames = draw_frames(9, SIDE)
    predictor = Predictor.load(str(bundle), threads=1)
    assert isinstance(predictor, ClipPredictor)
    times = np.arange(9) * STEP_S
    suffixes: dict[ExportFormat, str] = {
        "onnx": "onnx",
        "openvino": "xml",
        "torchscript": "pt",
        "exported_program": "pt2",
    }
    runners = {name: FORMATS[name].open(out / f"model.{suffix}", 1) for name, suffix in suffixes.items()}
    for first in (0, 5):
        expected = predictor.predict_sequence(frames[first:], times[first:])[-1]
        mask = np.arange(9 - LENGTH, 9)[None] >= first
        inputs = {"clips": np.stack(frames)[None, 9 - LENGTH :], "mask": mask}
        for runner in runners.values():
            (found,) = runner(inputs)
            np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_in_8_bits_the_encoder_of_frames_is_smaller(bundle: Path, tmp_path: Path) -> None:
    chosen = ("export.format=[onnx,openvino]", "export.quantize=int8", "export.max_loss=1")
    out = export(bundle, tmp_path / "out", *CLIPS, *chosen, "export.calibration_images=10")
    content = json.loads((out / "export.json").read_text())
    assert content["images"]["calibration"] == 10
    assert all(1e-4 < entry["largest_difference"] < 1 for entry in content["files"])
    weights = (bundle / "weights.safetensors").stat().st_size
    assert (out / "model-int8.onnx").stat().st_size < weights / 2


def test_data_of_single_faces_judge_no_clips(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the model looks at clips, and the data are images; use dataset=clips"):
        export(bundle, tmp_path / "out", "dataset.sources.synthetic.count=70", "dataset.sources.synthetic.size=32")
    assert not list((tmp_path / "out").glob("model*"))


@pytest.mark.parametrize("kind", ["mean", "lstm", "attention", "tcn", "gray", "video3d"])
@pytest.mark.parametrize("name", ["onnx", "exported_program"])
def test_every_kind_of_head_can_be_had(kind: str, name: ExportFormat, tmp_path: Path) -> None:
    network: ClipNetwork = build_video_network() if kind == "video3d" else build_clip_network("gru")
    if kind not in ("gray", "video3d"):
        network = build_clip_network(kind)
    network.set_gray(kind == "gray")
    native = FaceFormat(SIDE, kind != "gray")
    bundle = load_bundle(str(save_clip_bundle(tmp_path / "bundle", network, native)))
    clips, mask = draw_windows(5, SIDE)
    clips = clips if native.colour else clips[..., :1].contiguous()
    FORMATS[name].write(build_clip_graph(bundle), tmp_path / "model")
    (found,) = FORMATS[name].open(tmp_path / "model", 1)({"clips": clips.numpy(), "mask": mask.numpy()})
    with torch.no_grad():
        logits = network(clips, mask).numpy()
    np.testing.assert_allclose(found, bundle.description.calibration.compute_probabilities(logits), atol=1e-5)


def test_frames_are_read_when_they_are_asked_for() -> None:
    images, converted = np.arange(6, dtype=np.uint8)[:, None, None, None], list[int]()

    def convert(image: np.ndarray) -> np.ndarray:
        converted.append(image.item())
        return image * 2

    windows = WindowFrames(images, np.array([[0, 1, 1], [4, 4, 5], [2, 2, 2]]), convert)
    assert len(windows) == 3 and not converted
    np.testing.assert_array_equal(windows[1:].reshape(2, 3), [[8, 8, 10], [4, 4, 4]])
    assert converted == [2, 4, 5]
