"""What the page of videos says of its own figures: their basis, their people, their model; and its size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.reports.videos import EmotionFigures, Peak, PersonFigures, VideoPage
from tests.helpers.html import Page
from tests.helpers.video_report import CLASSES, Write, group_page, per_emotion, person, video_page, video_report

pytestmark = pytest.mark.slow


def test_the_page_says_on_which_basis_its_figures_are(source: Path, write: Write) -> None:
    html = write(video_report([video_page(source)]))
    text = Page(html).text
    assert "smoothed probabilities (exponential, 1 s) raw ones, frame by frame as classified" in text
    assert html.count('<div data-basis="smoothed">') == html.count('<div data-basis="raw">') == 1
    figures = EmotionFigures(per_emotion(), [])
    alone = video_page(source, persons=[PersonFigures(None, 22, figures, None)])
    text = Page(write(video_report([alone], smoothing=None))).text
    assert "show probabilities frame by frame as classified; they are not smoothed." in text
    assert "Each emotion (raw)" in text and "smoothed probabilities" not in text


def test_figures_of_several_people_are_not_pooled_without_saying_so(source: Path, write: Write) -> None:
    each = video_page(source, persons=[person(0), person(1)], leading=None, tracks=3)
    text = Page(write(video_report([each]))).text
    assert "nothing is pooled over them. The 2 with the most frames follow, all are in persons.csv." in text
    assert "Person 0 (22 frames)" in text and "Person 1 (22 frames)" in text
    assert "clip.mp4 20.0 s 20 90.0 % 3 people" in text
    largest = video_page(source, persons=[person(), person(0), person(1)])
    text = Page(write(video_report([largest]))).text
    assert "The largest face of each frame is what counts here. The tracker followed 2 of them" in text
    assert "All 2 faces together (22 frames)" in text and "happiness of 2 faces" in text


PERFORMANCE = {
    "split": "test",
    "samples": 3500,
    "accuracy": {"value": 0.861, "low": 0.848, "high": 0.873},
    "recalls": {
        **{name: {"value": 0.8, "low": 0.7, "high": 0.9, "samples": 500} for name in CLASSES},
        "disgust": {"value": 0.0, "low": 0.0, "high": 0.0, "samples": 30},
        "fear": {"value": 0.4312, "low": None, "high": None, "samples": None},
    },
    "data": ["ferplus", "ferplus: 35,887 images"],
}


def test_the_page_says_how_good_the_model_is_and_warns_of_what_it_misses(source: Path, write: Write) -> None:
    text = Page(write(video_report([video_page(source)], performance=PERFORMANCE))).text
    assert "agrees with annotators in 86.1 % (95 % interval 84.8–87.3) of 3,500 test images" in text
    assert "disgust is found in 0 % of cases (95 % interval 0.0–11.4), of 30 fear is found in 43 % of cases" in text
    assert "this model finds less than 50.0 %" in text
    assert "disgust 0.0 % 0.0–11.4 30 rarely found" in text
    assert "Training data: ferplus ferplus: 35,887 images" in text
    assert "happiness is found in" not in text
    text = Page(write(video_report([video_page(source)], performance={**PERFORMANCE, "unit": "clips"}))).text
    assert "of 3,500 test clips" in text and "Of test clips that show the emotion" in text and "test images" not in text


@pytest.mark.parametrize("performance", [None, {"split": None, "accuracy": None, "recalls": {}, "data": []}])
def test_what_is_not_known_of_the_model_is_said_so(
    performance: dict[str, Any] | None, source: Path, write: Write
) -> None:
    text = Page(write(video_report([video_page(source)], performance=performance))).text
    assert "The model’s accuracy is not known." in text
    assert "The recall of each emotion is not known." in text and "What it was trained on is not known." in text
    assert "rarely found" not in text


def noisy_page(source: Path, frames: int, people: int = 1, pictures: int = 7) -> VideoPage:
    """A video of so many frames and people, of whom nothing can be left out without saying so."""
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "video": source.name,
            "frame": np.repeat(np.arange(frames), people),
            "time_s": np.repeat(np.arange(frames) / 5, people),
            "track_id": np.tile(np.arange(people), frames),
            "status": "ok",
            "emotion": "fear",
            "uncertain": pd.array(random.random(frames * people) < 0.5, dtype="boolean"),
            **{f"{kind}_{name}": random.random(frames * people) for kind in "ps" for name in CLASSES},
        }
    )
    image = random.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    peaks = [Peak(name, 1.0, 0.5, 0, image, 1.0) for name in CLASSES[:pictures]]
    figures = EmotionFigures(per_emotion(), peaks)
    persons = [PersonFigures(number, frames, figures, figures) for number in range(min(people, 8))]
    return video_page(source, name=source.name, rows=rows, persons=persons, tracks=people, exclusions=[])


@pytest.mark.parametrize(("files", "frames", "people"), [(5000, 1, 1), (1, 6000, 1), (14, 400, 9)])
def test_the_page_stays_below_five_megabytes(files: int, frames: int, people: int, source: Path, write: Write) -> None:
    """Whatever the input: sources that may be embedded, pictures of noise, curves of noise."""
    source.write_bytes(b"x" * 400_000)
    detailed = noisy_page(source, frames, people)
    listed = replace(detailed, rows=detailed.rows[:0], persons=[])
    videos = [replace(detailed if number < 12 else listed, name=f"clip {number}.mp4") for number in range(files)]
    html = write(video_report(videos, groups=group_page(["A"], seconds=600) if people == 1 else None))
    assert len(html.encode()) < 5_000_000
    page = Page(html)
    if files > 12:
        assert f"Of {files:,} videos and images, " in page.text
        assert "videos.csv" in [attributes.get("href") for attributes in page.attributes("a")]
    if people > 8:
        assert "The 8 with the most frames follow, all are in persons.csv." in page.text or files > 1
