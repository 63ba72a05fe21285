"""Models of clips as bundles: sequences and windows in both runtimes, what opens, and what is refused."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fer import Predictor
from fer.bundle import onnx_backend, onnx_clip_export
from fer.bundle.half_precision import compare_precision, write_half_bundle
from fer.bundle.io import load_bundle, require_face_network
from fer.bundle.metadata import read_description
from fer.bundle.predictor import ClipPredictor
from fer.bundle.reference_samples import ReferenceSamples, compute_answers, compute_disagreement, read_samples
from fer.bundle.sliding_windows import BLOCK
from fer.core.time_grid import build_window_grid, select_frames
from fer.errors import ModelError
from tests.helpers.clip_networks import (
    CLASSES,
    LENGTH,
    STEP_S,
    build_clip_network,
    build_video_network,
    draw_frames,
    save_clip_bundle,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip_bundle(tmp_path_factory.mktemp("bundle"), build_clip_network())


def load(bundle: Path, **options: Any) -> ClipPredictor:
    predictor = Predictor.load(str(bundle), **options)
    assert isinstance(predictor, ClipPredictor)
    return predictor


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> ClipPredictor:
    return load(bundle)


@pytest.mark.parametrize("head", ["mean", "gru", "lstm", "attention", "tcn", "video3d"])
def test_exports_answer_as_pytorch_and_are_let_through(head: str, tmp_path: Path) -> None:
    network = build_video_network() if head == "video3d" else build_clip_network(head, gray=head == "tcn")
    save_clip_bundle(tmp_path, network)
    frames, times = draw_frames(LENGTH), np.arange(LENGTH) * STEP_S
    # The first writes the export, the second checks and loads it.
    for _ in range(2):
        exported = load(tmp_path, runtime="onnx", threads=1)
    assert isinstance(exported.clip_network, onnx_backend.OnnxClipNetwork)
    assert exported.clip_network.max_windows == (4 if head == "video3d" else 128)
    expected = load(tmp_path).predict_sequence(frames, times)
    assert np.ptp(expected, axis=0).max() > 1e-4
    # OpenVINO reads the same export.
    for predictor in (exported, load(tmp_path, runtime="openvino", threads=1)):
        np.testing.assert_allclose(predictor.predict_sequence(frames, times), expected, atol=1e-5)
        features, mask = predictor.encode(frames)[None], np.arange(LENGTH)[None] % 2 == 0
        garbage = np.where(mask[..., None], features, np.float32("nan"))
        found = [predictor.predict_windows(values, mask) for values in (garbage, features)]
        np.testing.assert_array_equal(*found)


def test_a_sequence_is_answered_by_the_windows_around_each_frame(predictor: ClipPredictor) -> None:
    frames = draw_frames(BLOCK + 30)
    # Frames at a varying rate, with a gap that is longer than a window.
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.15, len(frames)))
    times[40:] += 2
    answers = predictor.predict_sequence(frames, times)
    rows, mask = select_frames(times, build_window_grid(times, LENGTH, STEP_S, "causal"), STEP_S)
    expected = predictor.predict_windows(predictor.encode(frames)[rows], mask)
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    # Behind the gap nothing of before it is seen.
    np.testing.assert_allclose(answers[40:], predictor.predict_sequence(frames[40:], times[40:]), atol=1e-6)
    assert predictor.predict_sequence([], np.empty(0)).shape == (0, len(CLASSES))
    with pytest.raises(ValueError, match="94 pictures have 3 times"):
        predictor.predict_sequence(frames, times[:3])


def test_a_picture_is_a_clip_of_one_frame(predictor: ClipPredictor) -> None:
    frames = draw_frames(3)
    single = np.concatenate([predictor.predict_sequence([frame], np.zeros(1)) for frame in frames])
    np.testing.assert_allclose(predictor.predict(frames), single, atol=1e-6)
    np.testing.assert_allclose(single.sum(1), 1, atol=1e-6)
    mirrored = predictor.predict([frame[:, ::-1] for frame in frames])
    both = (single + mirrored) / 2
    np.testing.assert_allclose(predictor.predict(frames, flip=True), both, atol=1e-6)
    flipped = np.concatenate([predictor.predict_sequence([frame], np.zeros(1), flip=True) for frame in frames])
    np.testing.assert_allclose(flipped, both, atol=1e-6)


def test_the_description_states_the_windows(bundle: Path, predictor: ClipPredictor) -> None:
    content = yaml.safe_load((bundle / "bundle.yaml").read_text())
    assert content["format"] == 2
    windows = {"kind": "temporal", "length": LENGTH, "step_s": STEP_S, "position": "causal"}
    assert content["temporal"] == windows | {"head": "gru", "hidden": 16, "layers": 2}
    assert predictor.description.temporal == predictor.format
    with pytest.raises(ModelError, match="is a model of clips, and an explanation is for models of single faces"):
        require_face_network(load_bundle(str(bundle)), "an explanation")


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("length", 65, "temporal.length must be from 1 to 64"),
        ("step_s", 0, "temporal.step_s must be from 0.001 to 10"),
        ("kind", "frame", "temporal.kind must be one of temporal, video3d"),
        ("head", "rnn", "temporal.head must be one of mean, gru"),
        ("hidden", 20, "temporal.hidden must be a multiple of 8"),
        # Far more weights than the file has.
        ("hidden", 2048, "are not those of the network that is described"),
        ("layers", 8, "are not those of the network that is described"),
        ("head", "lstm", "are not those of the network that is described"),
    ],
)
def test_a_description_that_says_otherwise_is_refused(
    entry: str, value: object, words: str, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle", ignore=shutil.ignore_patterns("onnx"))
    content = yaml.safe_load((bundle / "bundle.yaml").read_text())
    content["temporal"][entry] = value
    (tmp_path / "bundle" / "bundle.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match=words):
        Predictor.load(str(tmp_path / "bundle"))


def test_a_changed_export_is_not_loaded(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    load(tmp_path / "bundle", runtime="onnx", threads=1)
    head, encoder = tmp_path / "bundle/onnx/head.onnx", tmp_path / "bundle/onnx/encoder.onnx"
    whole = {path: path.read_bytes() for path in (head, encoder)}
    monkeypatch.setattr(onnx_clip_export, "export_clip_onnx", lambda *_: pytest.fail("it is exported again"))
    load(tmp_path / "bundle", runtime="onnx", threads=1)
    # One graph in the other's place computes something else.
    for path, content in ((head, whole[encoder]), (encoder, whole[head]), (head, b"none")):
        path.write_bytes(content)
        with pytest.raises(pytest.fail.Exception, match="exported again"):
            load(tmp_path / "bundle", runtime="onnx", threads=1)
        path.write_bytes(whole[path])


def test_half_precision_keeps_the_answers(bundle: Path, predictor: ClipPredictor, tmp_path: Path) -> None:
    write_half_bundle(bundle, tmp_path / "half")
    half = load(tmp_path / "half")
    assert half.format == predictor.format
    difference = compare_precision(predictor, half, np.stack(draw_frames(4)))
    assert 0 < difference.max_probability_difference < 0.01


def test_samples_are_clips_and_a_model_of_faces_cannot_answer_them(predictor: ClipPredictor, tmp_path: Path) -> None:
    clips = np.stack([np.stack(draw_frames(4)), np.stack(draw_frames(4)[::-1])])
    answers = compute_answers(predictor, clips)
    assert answers.shape == (2, 4, len(CLASSES))
    np.testing.assert_array_equal(answers[1], predictor.predict_sequence(list(clips[1]), np.arange(4) * STEP_S))
    np.savez(tmp_path / "samples.npz", images=clips, probabilities=answers)
    samples = read_samples(tmp_path)
    assert samples is not None
    assert compute_disagreement(predictor, samples) == 0
    changed = ReferenceSamples(samples.images, samples.probabilities + np.float32(0.1))
    assert compute_disagreement(predictor, changed) == pytest.approx(0.1, abs=1e-5)
    assert compute_disagreement(Predictor.load("pretrained"), samples) == np.inf
    np.savez(tmp_path / "samples.npz", images=clips, probabilities=answers[0])
    with pytest.raises(ModelError, match="probabilities of the form"):
        read_samples(tmp_path)
    assert read_description("pretrained").temporal is None
