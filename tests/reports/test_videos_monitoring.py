"""The page's section on monitoring."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from fer.reports.monitoring import HEIGHT, build_bins, build_monitoring_content
from fer.reports.videos import write_video_report
from tests.helpers.html import Page
from tests.helpers.video_report import CLASSES, video_page, video_report

COMMAND = "python train.py --config-dir RUN --config-name run"
WARNINGS = ["Drift of brightness: population stability index 0.412, limit <0.25>", f"To train anew: {COMMAND}"]
TEN = [0.0] * 5 + [0.2] * 5


def drift(psi: float | None, low: float | None, high: float | None, note: str | None = None) -> dict[str, Any]:
    known = {"psi": psi, "low": low, "high": high, "faces": 1616, "baseline": 2000, "note": note}
    return {**known, "mean": 0.4123, "baseline_mean": 0.5, "shares": TEN, "baseline_shares": [0.1] * 10}


def measure(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": None, "high": None}


@pytest.fixture
def monitoring() -> dict[str, Any]:
    """Made-up content of monitoring.json."""
    return {
        "model": "outputs/train/run",
        "baseline": "the model's training",
        "retraining_command": COMMAND,
        "counts": {"videos": 3, "frames": 2000, "faces": 1616, "rows": {"no_face": 384, "ok": 1616}},
        "failures": {"frames": 384, "share": 0.192, "videos": 1},
        "seconds": 12.5,
        "images_per_s": 129.28,
        "confidence": {"mean": 0.8123, "deciles": [0.41, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.991]},
        "class_shares": {**dict.fromkeys(CLASSES, 0.1), "happiness": 0.4},
        "baseline_class_shares": {**dict.fromkeys(CLASSES, 0.14), "happiness": 0.16},
        "drift": {
            "brightness": drift(0.412, 0.311, 0.513),
            "sharpness": drift(0.02, 0.0, 0.05),
            "face_size": drift(7.0, 6.0, 8.0, "the baseline has a single value"),
            "confidence": drift(None, None, None, "too few faces"),
            "emotion": {**drift(0.2, 0.1, 0.3), "mean": None, "baseline_mean": None},
        },
        "labels": {
            "faces": 540,
            "accuracy": {"value": 0.8234, "low": 0.7, "high": 0.9},
            "macro_f1": measure(0.61),
            "per_class": {"happiness": {"faces": 540, "f1": measure(0.9)}, "fear": {"faces": 0, "f1": measure(None)}},
        },
        "limits": {
            **{"min_faces": 200, "max_psi": 0.25, "max_failures": None},
            **{"min_accuracy": None, "min_macro_f1": None},
        },
        "warnings": WARNINGS,
    }


def page_of(folder: Path, monitoring: dict[str, Any] | None) -> str:
    (folder / "clip.mp4").write_bytes(b"not a video")
    path = folder / "report.html"
    write_video_report(video_report([video_page(folder / "clip.mp4")], monitoring=monitoring), path)
    return path.read_text(encoding="utf-8")


def test_every_figure_appears_rounded(tmp_path: Path, monitoring: dict[str, Any]) -> None:
    html = page_of(tmp_path, monitoring)
    text = Page(html).text.replace("\N{NO-BREAK SPACE}", " ")
    assert WARNINGS[0] in text and WARNINGS[1] in text
    assert "This batch is out of the ordinary." in text.partition("Overview")[0]
    for given in [
        "Videos and images 3 Videos and images with a problem 1 Sampled frames 2,000",
        "Frames that could not be analysed 384 (19.2 %) Classified faces 1,616",
        "Classified faces a second 129 Mean confidence 81.2 %",
        "below 41.0 %, above 99.1 %",
        "happiness 40.0 % 16.0 %",
        "1,616 faces of this batch against 2,000 of the model's training.",
        "where the lower limit is above 0.25 (inference.monitor.max_psi)",
        "Brightness 41.2 % 50.0 % 0.412 0.311–0.513",
        "Face size, pixels the baseline has a single value 0.412 0.5 7.000",
        "Confidence too few faces 41.2 % 50.0 % –",
        "Predicted classes – – 0.200 0.100–0.300",
        "Accuracy 540 82.3 % 70.0–90.0",
        "F1 of happiness 540 90.0 % F1 of fear 0 –",
    ]:
        assert given in text, given
    assert '<a href="#monitoring">' in html


def test_without_monitoring_there_is_no_section(tmp_path: Path) -> None:
    html = page_of(tmp_path, None)
    assert "monitoring" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def test_without_baseline_warnings_and_faces_the_rest_is_shown(tmp_path: Path, monitoring: dict[str, Any]) -> None:
    bare = {
        **monitoring,
        **{"warnings": [], "drift": None, "baseline": None, "baseline_class_shares": None, "labels": None},
        **{"class_shares": None, "confidence": {"mean": None, "deciles": None}, "images_per_s": None},
    }
    text = Page(page_of(tmp_path, bare)).text
    assert "out of the ordinary" not in text and "Against the labels" not in text and "Predicted classes" not in text
    assert "There is no baseline, so nothing is said about drift." in text
    assert "Classified faces a second – Mean confidence –" in text


def test_bars_are_drawn_to_one_scale(monitoring: dict[str, Any]) -> None:
    shown = build_monitoring_content(monitoring)
    assert shown["scale"] == 8 and shown["limit_scaled"] == 0.25 / 8
    brightness = shown["drift"][0]
    assert brightness.scaled == {"value": 0.412 / 8, "low": 0.311 / 8, "high": 0.513 / 8}
    stable = copy.deepcopy(monitoring)
    del stable["drift"]["face_size"], stable["drift"]["brightness"]
    assert build_monitoring_content(stable)["scale"] == 0.5
    full, empty = build_bins([0.7, 0.0], [0.35, 0.65])
    assert (full.top, full.height, full.line) == (0, HEIGHT, HEIGHT / 2)
    assert (empty.top, empty.height) == (HEIGHT, 0) and empty.x > full.x
