"""A model and the files that it is exported to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fer.bundle.io import FaceFormat
from fer.config.compose import load_overrides
from fer.export.pipeline import export_model
from fer.models.network import FaceNetwork
from fer.train.inputs import read_sources
from tests.helpers.networks import lively, one_thread
from tests.helpers.served_runs import run_of

Export = Callable[..., Path]


@pytest.fixture(scope="session")
def exportable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model takes the mean over mirror images, and has learnt valence and arousal."""
    network = lively(FaceNetwork("test_resnet", 7, 64, 0.0, flip=True, affect=True))
    return run_of(tmp_path_factory.mktemp("exportable"), network, FaceFormat(48, False))


@pytest.fixture(scope="session")
def export(exportable: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export that model into a directory."""
    cache = tmp_path_factory.mktemp("cache")
    small = ("dataset.sources.synthetic.count=140", "dataset.sources.synthetic.size=48", "trainer.threads=1")

    def run(directory: Path, *overrides: str) -> Path:
        given = [f"model_uri={exportable}", f"dataset.cache_dir={cache}", *small, *overrides]
        config = load_overrides(given, "export")
        with one_thread(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("fer.export.measurement.MIN_SECONDS", 0)
            export_model(config, directory, read_sources(config))
        return directory

    return run


@pytest.fixture(scope="session")
def exported(export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That model in every format."""
    folder = tmp_path_factory.mktemp("exported") / "all"
    return export(folder, "export.format=[onnx,torchscript,exported_program,openvino]")


@pytest.fixture(scope="session")
def quantized(export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """And in 8 bits."""
    chosen = ("export.format=[onnx,openvino]", "export.quantize=int8", "export.max_loss=1")
    return export(tmp_path_factory.mktemp("quantized") / "all", *chosen, "export.calibration_images=20")
