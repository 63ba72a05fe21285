"""What drift of an ensemble is measured from: as if its own answers had been measured with the members' pictures."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.bundle.metadata import read_description
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.monitoring.drift import BASELINE, build_baseline, read_baseline
from fer.registry.package import build_package, open_package
from fer.registry.resolve import fetch_model
from tests.helpers.members import draw_answers, save_answers, save_member

pytestmark = pytest.mark.slow

COUNT = 140
COLUMNS = [f"p_{name}" for name in EMOTIONS]


def measure(probabilities: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """What is measured of pictures, and answered for them."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            **{name: random.random(COUNT) for name in ("brightness", "sharpness")},
            **dict.fromkeys(("face_w", "face_h"), 48.0),
            "confidence": probabilities.max(1),
            "emotion": np.array(EMOTIONS)[probabilities.argmax(1)],
        }
    )


def save_baseline(run: Path, seed: int = 0) -> None:
    answers = pd.read_parquet(run / "predictions_test.parquet")[COLUMNS].to_numpy(np.float64)
    (run / "bundle" / BASELINE).write_text(json.dumps(build_baseline(measure(answers, seed), EMOTIONS)))


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    found = [save_member(tmp_path / f"run-{mark}", mark) for mark in (1, 2)]
    for seed, run in enumerate(found):
        save_answers(run, draw_answers(70, 2.0, seed), draw_answers(COUNT, 2.0, 10 + seed))
        save_baseline(run)
    return found


def fetch(runs: list[Path], folder: Path) -> Path:
    """The bundle of the ensemble."""
    config = load_overrides([f"model_uri=[{','.join(map(str, runs))}]"], "infer")
    return fetch_model(config, folder).bundle_dir


def test_it_is_that_of_the_ensembles_own_answers(runs: list[Path], tmp_path: Path) -> None:
    bundle = fetch(runs, tmp_path / "model")
    tables = [pd.read_parquet(run / "predictions_test.parquet")[COLUMNS].to_numpy(np.float64) for run in runs]
    calibration = read_description(str(bundle)).calibration
    answers = calibration.compute_probabilities(np.log(np.mean(tables, axis=0)))
    expected = build_baseline(measure(answers), EMOTIONS)
    found = read_baseline(bundle / BASELINE)
    assert found["classes"] == expected["classes"] and found["faces"] == COUNT
    for name in ("brightness", "sharpness", "face_size"):
        assert found["numbers"][name] == expected["numbers"][name]
    assert found["numbers"]["confidence"]["edges"] == pytest.approx(expected["numbers"]["confidence"]["edges"])
    # It goes with a package.
    build_package(bundle, tmp_path / "model.tar.gz")
    package = open_package(tmp_path / "model.tar.gz", tmp_path / "package")
    assert read_baseline(package / "bundle" / BASELINE) == found


def test_members_that_measured_other_pictures_have_none_together(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_baseline(runs[1], seed=1)
    with caplog.at_level(logging.INFO):
        assert not (fetch(runs, tmp_path / "other") / BASELINE).exists()
    assert f"no drift is measured: that of {runs[1]} is of other pictures" in caplog.text
    assert "inference.monitor.baseline=RUN compares" in caplog.text
    (runs[0] / "bundle" / BASELINE).unlink()
    with caplog.at_level(logging.INFO):
        fetch(runs, tmp_path / "none")
    assert f"no drift is measured: {runs[0]} has none" in caplog.text
    save_baseline(runs[0], seed=1)
    for run in runs:
        (run / "predictions_test.parquet").unlink()
        (run / "predictions_val.parquet").unlink()
    with caplog.at_level(logging.INFO):
        fetch(runs, tmp_path / "without")
    assert "its members come without predictions of the same pictures" in caplog.text
