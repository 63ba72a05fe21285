"""The strongest moments are the planted ones; reliability is that of its own functions."""

import numpy as np
import pytest

from fer.metrics.panel_reliability import compute_icc, compute_split_half
from fer.study.curves import compute_curves
from fer.study.moments import MOMENT_COLUMNS, find_moments
from fer.study.reliability import RELIABILITY_COLUMNS, compute_reliability
from tests.helpers.study_panel import draw_steps, draw_study

EFFECTS = {("ad", ""): [(5, 8, 0.1), (20, 24, 0.2)], ("film", "f"): [(0, 4, 0.3)]}


def test_planted_moments_and_no_others_are_found_the_strongest_first() -> None:
    study = draw_study(20)
    steps = draw_steps(study, effects=EFFECTS)
    curves = compute_curves(steps, study, {})
    found = find_moments(steps, curves, study)
    assert tuple(found.columns) == MOMENT_COLUMNS
    assert found[["stimulus", "measure", "rank"]].to_numpy().tolist() == [
        ["ad", "happiness", 1],
        ["ad", "happiness", 2],
        ["film", "happiness", 1],
    ]
    np.testing.assert_array_equal(found[["start_s", "end_s"]], [[20, 24], [5, 8], [0, 4]])
    assert ((found["start_s"] <= found["peak_s"]) & (found["peak_s"] < found["end_s"])).all()
    first = found.iloc[0]
    at = curves[(curves["stimulus"] == "ad") & (curves["measure"] == "happiness") & (curves["group"] == "all")]
    at = at[at["second"] == first["peak_s"]].iloc[0]
    assert (
        first[["value", "low", "high", "respondents"]].tolist() == at[["mean", "low", "high", "respondents"]].tolist()
    )


def test_what_happened_before_the_onset_is_no_moment() -> None:
    study = draw_study(20, ["ad"])
    steps = draw_steps(study, effects={("ad", ""): [(0, 4, 0.5)]})
    steps["second"] -= 5
    assert find_moments(steps, compute_curves(steps, study, {}), study).empty


@pytest.mark.parametrize("count", [1, 2])
def test_few_people_and_nobody_have_no_moments_and_no_reliability(count: int) -> None:
    study = draw_study(count)
    steps = draw_steps(study, effects=EFFECTS)
    curves = compute_curves(steps, study, {})
    assert find_moments(steps, curves, study).empty
    found = compute_reliability(steps, curves, study)
    assert found["split_half"].isna().all() and found["icc_low"].isna().all() and found["band"].isna().all()
    assert (found["respondents"] == count).all()
    assert tuple(find_moments(steps.head(0), curves.head(0), study).columns) == MOMENT_COLUMNS
    assert tuple(compute_reliability(steps.head(0), curves.head(0), study).columns) == RELIABILITY_COLUMNS


def test_reliability_is_that_of_the_curves() -> None:
    study = draw_study(12)
    steps = draw_steps(study, effects=EFFECTS)
    curves = compute_curves(steps, study, {})
    found = compute_reliability(steps, curves, study, seed=4)
    assert tuple(found.columns) == RELIABILITY_COLUMNS and len(found) == 4
    row = found[(found["stimulus"] == "ad") & (found["measure"] == "happiness")].iloc[0]
    values = steps[steps["stimulus"] == "ad"].pivot(index="respondent", columns="second", values="happiness").to_numpy()
    assert row[["split_half", "split_half_low", "split_half_high"]].tolist() == pytest.approx(
        compute_split_half(values, 4)
    )
    assert row[["icc", "icc_low", "icc_high"]].tolist() == pytest.approx(compute_icc(values)[1])
    shown = curves[(curves["stimulus"] == "ad") & (curves["measure"] == "happiness") & (curves["group"] == "all")]
    assert row["band"] == pytest.approx((shown["high"] - shown["low"]).mean() / 2)
    # Values spread by 0.07: t(n - 1) · 0.07 / √n is 0.05 for about ten people.
    assert 8 <= row["needed_respondents"] <= 13
