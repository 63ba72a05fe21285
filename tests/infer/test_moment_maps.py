"""The strongest moments of videos with their maps."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.bundle.io import FaceFormat
from fer.config import Config
from fer.config.compose import load_overrides
from fer.errors import UserError
from fer.infer.moment_maps import explain_moments
from fer.infer.pipeline import validate_and_pin
from fer.models.network import FaceNetwork
from fer.reports.video_content import EmotionFigures, Peak, PersonFigures, VideoPage
from tests.helpers.networks import faces, lively, one_thread
from tests.helpers.served_runs import run_of


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield


def configure(model: Path) -> Config:
    return load_overrides([f"model_uri={model}", "extraction.explain=true"], "infer")


def page_with(peaks: list[Peak]) -> VideoPage:
    person = PersonFigures(0, 3, EmotionFigures(pd.DataFrame(), peaks), EmotionFigures(pd.DataFrame(), peaks[:1]))
    return VideoPage("a.mp4", "a.mp4", "", 3.0, 1.0, 3, 1.0, pd.DataFrame(), [], [person], 1, None)


def test_each_moment_gets_the_map_of_its_own_emotion(tmp_path: Path) -> None:
    model = run_of(tmp_path / "model", lively(FaceNetwork("test_resnet", 7, 96, 0.0)), FaceFormat(48, False))
    image = faces(1, 96)[0]
    peaks = [Peak(name, 1.0, 0.9, 0, image, 1.0) for name in ("anger", "happiness")] + [Peak("fear", 2.0, 0.4, 0)]
    (page,), problem = explain_moments(configure(model), tmp_path / "run", [page_with(peaks)])
    anger, happiness, fear = page.persons[0].smoothed.peaks
    assert problem is None
    assert anger.explanation is not None and happiness.explanation is not None
    assert anger.explanation.shape == (96, 96, 3)
    assert not np.array_equal(anger.explanation, happiness.explanation)
    assert fear.explanation is None
    assert page.persons[0].raw is not None
    np.testing.assert_array_equal(page.persons[0].raw.peaks[0].explanation, anger.explanation)


def test_a_transformer_gives_a_note_and_no_maps(tmp_path: Path) -> None:
    model = run_of(tmp_path / "model", FaceNetwork("test_vit", 7, 160, 0.0), FaceFormat(48, False))
    pages = [page_with([Peak("anger", 1.0, 0.9, 0, faces(1, 96)[0], 1.0)])]
    found, problem = explain_moments(configure(model), tmp_path / "run", pages)
    assert found == pages
    assert problem is not None
    assert problem.startswith("Strongest moments are not explained. test_vit: Grad-CAM needs")


def test_a_missing_library_is_told_before_hours_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer.core.extras._is_importable", lambda name: name != "captum")
    with pytest.raises(UserError, match=r"^extraction.explain=true: needs captum; install it with pip"):
        validate_and_pin(configure(tmp_path))
