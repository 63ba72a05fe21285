"""Packages of models of clips: complete, sent to a fresh process as sequences, and opened by the same allow-list."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from fer import Predictor
from fer.bundle.io import FaceFormat
from fer.bundle.predictor import ClipPredictor
from fer.bundle.reference_samples import ReferenceSamples, compute_answers, write_samples
from fer.errors import ModelError
from fer.registry.package import build_package, open_package
from fer.registry.verify_package import check_package
from tests.helpers.clip_networks import LENGTH, build_clip_network, draw_frames, save_clip_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_clip_bundle(tmp_path_factory.mktemp("run") / "bundle", build_clip_network(), FaceFormat(24, True))
    clips = np.stack(draw_frames(LENGTH))[None]
    write_samples(folder, ReferenceSamples(clips, compute_answers(Predictor.load(str(folder)), clips)))
    return folder


def test_a_package_answers_sequences_in_a_fresh_process(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    digest = build_package(bundle, archive)
    with tarfile.open(archive) as opened:
        names = set(opened.getnames())
    assert {"bundle/onnx/encoder.onnx", "bundle/onnx/head.onnx", "bundle/samples.npz"} <= names
    assert "bundle/onnx/network.onnx" not in names
    assert check_package(archive) < 1e-5
    assert build_package(bundle, tmp_path / "again.tar.gz") == digest
    package = open_package(archive, tmp_path / "package")
    loaded = Predictor.load(str(package / "bundle"), runtime="onnx", threads=1)
    assert isinstance(loaded, ClipPredictor)


def test_a_package_that_answers_otherwise_is_refused(bundle: Path, tmp_path: Path) -> None:
    changed = tmp_path / "bundle"
    save_clip_bundle(changed, build_clip_network("lstm"))
    (changed / "samples.npz").write_bytes((bundle / "samples.npz").read_bytes())
    build_package(changed, tmp_path / "model.tar.gz")
    with pytest.raises(ModelError, match="is not registered|differ by"):
        check_package(tmp_path / "model.tar.gz")
