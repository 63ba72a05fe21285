"""What is uncertain on the page of an inference run: shaded stretches, shares and the rule behind them."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.metrics.uncertainty import ConfidenceRule
from fer.reports.timelines import MAX_STRETCHES, build_timeline
from fer.reports.videos import write_video_report
from tests.helpers.video_report import CLASSES, emotion_rows, make_clip, row, video_page, video_report

pytestmark = pytest.mark.slow

RULE = ConfidenceRule(0.9, 0.62, 0.9125, 0.81, 320)


def mark(rows: pd.DataFrame, seconds: set[int], track: int = 0) -> pd.DataFrame:
    """The rows with the faces of a track uncertain in these seconds, and certain in the others."""
    usable = (rows["status"] == "ok").to_numpy()
    chosen = rows["time_s"].isin(seconds) & (rows["track_id"] == track).fillna(False)
    uncertain = pd.array(chosen.tolist(), dtype="boolean")
    uncertain[~usable] = pd.NA
    return rows.assign(uncertain=uncertain)


def test_stretches_reach_half_way_to_the_next_frame_and_stop_at_ends_and_gaps() -> None:
    """Track 0 is there from 0 to 5 and 8 to 19, track 1 from 12 to 15, a frame a second."""
    curves = build_timeline(mark(emotion_rows("clip"), {0, 4, 5, 9, 18, 19}), CLASSES, 20.0)
    assert curves is not None
    first, second = curves["tracks"]
    assert first["uncertain"] == [[0.0, 0.5], [3.5, 5.5], [8.5, 9.5], [17.5, 19.0]]
    assert second["uncertain"] == []
    other = build_timeline(mark(emotion_rows("clip"), {12, 14, 15}, track=1), CLASSES, 20.0)
    assert other is not None
    assert [track["uncertain"] for track in other["tracks"]] == [[], [[11.5, 12.5], [13.5, 15.5]]]


def test_nothing_is_shaded_where_the_model_has_no_rule() -> None:
    curves = build_timeline(emotion_rows("clip"), CLASSES, 20.0)
    assert curves is not None
    assert [track["uncertain"] for track in curves["tracks"]] == [[], []]


def test_very_many_stretches_run_together_where_half_of_the_frames_are_uncertain() -> None:
    """Of 6,000 frames two of three in the first half, every fourth one in the second."""
    rows = pd.DataFrame([row("clip", second, 0, "ok", "fear") for second in range(6000)])
    seconds = np.arange(6000)
    flags = np.where(seconds < 3000, seconds % 3 != 0, seconds % 4 == 0)
    curves = build_timeline(rows.assign(uncertain=pd.array(flags, dtype="boolean")), CLASSES, 6000.0)
    assert curves is not None
    stretches = curves["tracks"][0]["uncertain"]
    assert len(stretches) <= MAX_STRETCHES
    covered = sum(end - start for start, end in stretches if start < 3000)
    assert covered > 2900 and all(start < 3010 for start, _ in stretches)


def write(folder: Path, page: dict[str, object], **report: object) -> str:
    video = video_page(make_clip(folder / "clip.webm"), rows=mark(emotion_rows("clip"), {0, 4, 5}), **page)
    write_video_report(video_report([video], **report), folder / "report.html")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", (folder / "report.html").read_text(encoding="utf-8")))


def test_the_page_says_what_uncertain_means_and_how_much_is(tmp_path: Path) -> None:
    text = write(tmp_path, {"uncertain_share": 0.1667}, confidence_rule=RULE, uncertain_share=0.1667)
    assert "In 16.7 % of the usable faces the emotion is uncertain: the model’s confidence is below 62.0" in text
    assert "At or above it 91.2 % of its answers were right on validation images, and 81.0" in text
    assert "with a usable face · 16.7 % of them uncertain" in text
    assert "Amber: the emotion is uncertain." in text


def test_a_precision_that_is_never_reached_is_told(tmp_path: Path) -> None:
    rule = ConfidenceRule(0.9, None, None, 0.0, 320)
    text = write(tmp_path, {"uncertain_share": 1.0}, confidence_rule=rule, uncertain_share=1.0)
    assert "no confidence of this model means that 90.0 % of its answers are right" in text


def test_a_model_without_a_rule_has_no_word_of_it(tmp_path: Path) -> None:
    video = video_page(make_clip(tmp_path / "clip.webm"))
    write_video_report(video_report([video]), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="uncertain"' not in page and "Amber" not in page and "of them uncertain" not in page
