"""What the page of a study answers, in sentences: contrasts, moments, and what so few people cannot tell."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.reports.study_data import StudyData
from tests.helpers.study_page import drawn_of, text_of, with_contrast, write
from tests.helpers.study_tables import (
    contrast_row,
    study_data,
    study_page,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> StudyData:
    return study_data(12, seconds=20)


def test_answers_stand_first(data: StudyData, tmp_path: Path) -> None:
    text = text_of(write(study_page(data), tmp_path))
    top = text[: text.index("Curves and videos")]
    assert "Respondents 12 of 14 Recordings 24 of 26; 2 left out Frames with a usable face 97.0 %" in top
    assert "spot A: happiness is strongest at 0:12.0: 62.0 % (95 % interval 55.0 to 69.0 %), in 12 respondents." in top
    assert (
        "gender: women – men, spot A: happiness is higher in women than in men: 31.0 % against 19.0 %; difference "
        "+12.0 points; 95 % interval +5.0 to +19.0 points; corrected p = 0.002; Hedges’ g +1.21, large."
    ) in top
    assert "stimulus: A – B: happiness is higher in spot A than in spot B" in top  # every contrast has its answer
    assert "Group 50+ has few respondents: its curve tells little." in top and "One note." in top


@pytest.mark.parametrize(
    ("fields", "verdict", "said"),
    [
        ({"difference": -0.12, "hedges_g": -0.3}, "a difference", "happiness is lower in women than in men"),
        (
            {"n_a": 3, "n_b": 3, "p": 0.1, "p_corrected": 0.1, "p_smallest": 0.1, "power": 0.1},
            "too few to see",
            "It could not have been seen with so few: with 3 against 3 respondents the smallest possible p is 0.100.",
        ),
        (
            {"p": 0.2, "p_corrected": 0.4, "power": 0.34},
            "none shown",
            "With 12 against 12 respondents, 66.0 % of studies would miss one of g = 0.5.",
        ),
        ({"p": 0.2, "p_corrected": 0.4, "power": 0.9}, "none shown", "corrected p = 0.400. "),
        (
            {"p": np.nan, "p_corrected": np.nan, "n_a": 1},
            "not tested",
            "happiness could not be tested (1 against 12 respondents).",
        ),
        (
            {"kind": "within", "p_corrected": 0.5, "p_smallest": 0.25, "n_a": 3},
            "too few to see",
            "with 3 respondents the smallest possible p is 0.250.",
        ),
        ({"segment": "joke"}, "a difference", "gender: women – men, spot A, joke: happiness is higher"),
        ({"p_corrected": 0.0001}, "a difference", "corrected p < 0.001"),
        (
            {"measure": "valence", "mean_a": -0.2},
            "a difference",
            "−0.20 against +0.19; difference +0.12; 95 % interval",
        ),
        (
            {"p_smallest": None, "power": None, "p_corrected": 0.5, "difference_low": -0.1},
            "none shown",
            "no difference in happiness was shown",
        ),
    ],
)
def test_contrast_is_a_plain_sentence(
    data: StudyData, tmp_path: Path, fields: dict[str, Any], verdict: str, said: str
) -> None:
    text = text_of(write(study_page(with_contrast(data, **fields), effect=0.5), tmp_path))
    top = text[text.index("What was asked") : text.index("Curves and videos")]
    assert said in top and f" {verdict} " in top


def test_every_contrast_is_answered_before_any_has_two(data: StudyData, tmp_path: Path) -> None:
    rows = [contrast_row(contrast=f"contrast {number}", p_corrected=0.9) for number in range(3) for _ in range(6)]
    html = write(study_page(replace(data, contrasts=pd.DataFrame(rows))), tmp_path)
    top = text_of(html)[: text_of(html).index("Curves and videos")]
    assert [top.count(f"contrast {number}, spot A: a difference in") for number in range(3)] == [3, 3, 2]
    assert "10 more rows of what was asked are under A against B" in top


def test_values_are_changes_where_there_is_a_baseline(data: StudyData, tmp_path: Path) -> None:
    text = text_of(write(study_page(replace(data, has_baseline=True)), tmp_path))
    assert "Values are changes from each respondent’s own baseline." in text
    assert "happiness is strongest at 0:12.0: +62.0 points (95 % interval +55.0 to +69.0 points)" in text
    html = write(study_page(replace(data, has_baseline=True)), tmp_path)
    changes = {measure["name"]: measure["change"] for measure in drawn_of(html)["measures"]}
    # No baseline is subtracted from what is counted.
    assert changes["happiness"] and changes["yaw"] and not changes["attention"] and not changes["people"]


def test_weak_classes_are_warned_of(data: StudyData, tmp_path: Path) -> None:
    known = {"split": "test", "samples": 100, "recalls": {"fear": {"value": 0.3, "samples": 40}}}
    text = text_of(write(study_page(data, performance=known), tmp_path))
    assert "of test images that show it, fear is found in 30 %. Where these are low here" in text


def test_reasons_of_one_kind_are_one_row(data: StudyData, tmp_path: Path) -> None:
    reasons = [f"too few usable frames: {number} of 48" for number in range(len(data.recordings))]
    left_out = data.recordings.assign(included=False, reason=reasons)
    text = text_of(write(study_page(replace(data, recordings=left_out)), tmp_path))
    assert "Reason Recordings too few usable frames 26" in text


@pytest.mark.parametrize(
    ("correction", "count", "mark"),
    [("holm", 14, "too few to see"), ("holm", 6, "none shown"), ("fdr_bh", 14, "none shown")],
)
def test_mark_asks_what_the_correction_leaves(
    data: StudyData, tmp_path: Path, correction: Any, count: int, mark: str
) -> None:
    rows = [contrast_row(n_a=5, n_b=5, p=0.0079, p_corrected=0.11, p_smallest=0.0079) for _ in range(count)]
    page = study_page(replace(data, contrasts=pd.DataFrame(rows)), correction=correction)
    text = text_of(write(page, tmp_path))
    said = (
        "with 5 against 5 respondents the smallest possible p is 0.008, corrected for 14 tests 0.111; name fewer "
        "measures or scenes, or ask more people."
    )
    top = text[text.index("What was asked") : text.index("Curves and videos")]
    assert f" {mark} " in top and (said in top) == (mark == "too few to see")


@pytest.mark.parametrize(("low", "high", "side"), [(0.076, 0.094, "above"), (-0.094, -0.076, "below")])
def test_interval_beside_0_is_not_denied(data: StudyData, tmp_path: Path, low: float, high: float, side: str) -> None:
    fields = {"difference_low": low, "difference_high": high, "difference": low, "n_a": 4, "n_b": 4}
    text = text_of(write(study_page(with_contrast(data, **fields, p=0.125, p_corrected=0.125)), tmp_path))
    assert "no difference in happiness was shown" not in text
    assert f"The interval lies {side} 0, but of one test alone; with 4 against 4 respondents that is not" in text


def test_summary_has_the_clearest_row_of_each_contrast(data: StudyData, tmp_path: Path) -> None:
    rows = [contrast_row(p=0.02, p_corrected=0.2), contrast_row(p=0.4, p_corrected=0.9, measure="valence")]
    rows += [contrast_row(segment=name, p=p, p_corrected=0.01) for name, p in (("logo", 0.001), ("joke", 0.0005))]
    text = text_of(write(study_page(replace(data, contrasts=pd.DataFrame(rows))), tmp_path))
    top = text[text.index("What was asked") : text.index("Curves and videos")]
    assert "spot A, joke: happiness is higher" in top and "spot A, logo" not in top
    assert top.index("spot A, joke") < top.index("spot A: ")


def test_what_was_not_tested_over_time_says_so(data: StudyData, tmp_path: Path) -> None:
    assert all(entry["tested"] for entry in drawn_of(write(study_page(data), tmp_path))["differences"])
    alone = with_contrast(data, n_b=1, p=np.nan, p_corrected=np.nan)
    for page in (study_page(alone), study_page(data, not_over_time=set(data.contrasts["contrast"]))):
        html = write(page, tmp_path)
        found = drawn_of(html)["differences"]
        assert found and not any(entry["tested"] for entry in found)
        assert "Whether the two differ over time was not tested." in html


def test_where_no_moment_is_certain_the_highest_is_told(data: StudyData, tmp_path: Path) -> None:
    moments = data.moments[(data.moments["measure"] != "happiness") | (data.moments["stimulus"] != "spot A")]
    text = text_of(write(study_page(replace(data, moments=moments)), tmp_path))
    said = "spot A: no moment of happiness is certain; the highest is at 0:12.0: "
    assert text.count(said) == 2 and "no moment of happiness" in text[: text.index("What was asked")]
    html = write(study_page(replace(data, moments=moments.iloc[:0])), tmp_path)
    assert text_of(html).count("no moment of") == 12 and '<section id="moments"' in html
    assert "no moment of" not in text_of(write(study_page(data), tmp_path))


def test_figures_are_written_alike(data: StudyData, tmp_path: Path) -> None:
    fields = {"difference": -0.0001, "difference_low": -0.1, "mean_a": -0.0003, "mean_b": -0.056, "hedges_g": -0.001}
    summary = data.segment_summary
    times = summary["mean"].where(summary["statistic"] != "time_to_peak_s", 0.196)
    changed = replace(
        with_contrast(data, **fields, p_corrected=0.5),
        has_baseline=True,
        segment_summary=summary.assign(mean=times),
        reliability=data.reliability.assign(icc_low=-11.47, icc_high=1.0),
    )
    text = text_of(write(study_page(changed, created="2026-11-28T23:06:37+00:00"), tmp_path))
    assert "12 against 12 0.0 points against −5.6 points 0.0 points −10.0 to +19.0 points" in text
    assert "−0.0" not in text.replace("−0.05", "").replace("−0.04", "") and "−0.00" not in text
    assert "0.2 s" in text and "196 ms" not in text
    assert "below −1 to 1.00" in text
    assert "2026-11-28 23:06 UTC" in text and "T23:06" not in text
