"""What the reports of trainings and videos show of where a model looked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer.reports.explanation import AveragedEmotion, MapFigure
from fer.reports.training import CaptionedImage, ReportExplanations, TrainingReport, write_training_report
from fer.reports.video_content import EmotionFigures, Peak
from tests.helpers.video_report import Write, make_clip, per_emotion, video_page, video_report

PICTURE = np.full((16, 16, 3), 90, np.uint8)


def write_training(report: TrainingReport, folder: Path) -> str:
    write_training_report(report, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_training_report_shows_maps_of_mistakes_and_classes(
    make_report: Callable[..., TrainingReport], tmp_path: Path
) -> None:
    mistake = CaptionedImage(PICTURE, "fear, predicted surprise 0.98")
    explanations = ReportExplanations(
        mistakes=[[MapFigure("Grad-CAM", PICTURE), MapFigure("Integrated gradients", PICTURE)]],
        averages=[AveragedEmotion("fear", 9, PICTURE, [MapFigure("Grad-CAM", PICTURE)])],
    )
    report = replace(make_report(), mistakes=[mistake], explanations=explanations, explain="fer explain x IMAGE")
    page = write_training(report, tmp_path)
    assert 'alt="Grad-CAM of mistake 1"' in page
    assert "The maps explain what was predicted" in page
    assert page.count("fear, predicted surprise 0.98") == 2
    assert "not what the person felt" in page
    assert 'alt="Averaged map for fear"' in page
    assert "9 faces" in page
    assert "fer explain x IMAGE" not in page


def test_a_training_report_says_how_to_get_maps(make_report: Callable[..., TrainingReport], tmp_path: Path) -> None:
    page = write_training(replace(make_report(), explain="fer explain model_uri=RUN IMAGE"), tmp_path)
    assert "fer explain model_uri=RUN IMAGE" in page
    assert "trainer.explain=true" in page
    problem = "trainer.explain=true: needs captum; install it"
    page = write_training(replace(make_report(), explanations=ReportExplanations(problem=problem)), tmp_path)
    assert f"Maps of where the network looked are missing: {problem}." in page


def test_a_video_report_shows_where_the_model_looked(write: Write, tmp_path: Path) -> None:
    page = video_page(make_clip(tmp_path / "clip.webm", seconds=1))
    peak = Peak("happiness", 3.0, 0.9, 0, PICTURE, 3.0)
    pages = {}
    for name, shown in (("plain", peak), ("explained", replace(peak, explanation=PICTURE))):
        people = [replace(page.persons[0], smoothed=EmotionFigures(per_emotion(), [shown]), raw=None)]
        pages[name] = write(video_report([replace(page, persons=people)]))
    assert 'alt="Where the model looked for happiness"' in pages["explained"]
    assert "which region its output depends on, not what the person felt" in pages["explained"]
    assert "Where the model looked" not in pages["plain"]
    assert "Grad-CAM" not in pages["plain"]
