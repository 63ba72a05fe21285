"""Curves and segments over respondents: means, bands, shares, groups, gaps."""

import numpy as np
import pandas as pd
import pytest

from fer.config.study import Study
from fer.metrics.small_samples import compute_mean_interval
from fer.study.curves import CURVE_COLUMNS, compute_curves
from fer.study.segment_summary import SUMMARY_COLUMNS, summarize_segments
from tests.helpers.study_panel import MEASURES, draw_steps, draw_study, summarize_steps

KEYS = ["stimulus", "group", "measure", "second"]


def select(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    for name, value in values.items():
        table = table[table[name] == value]
    return table


def test_a_curve_is_the_mean_over_respondents_with_the_band_for_few_people() -> None:
    study = draw_study(12)
    steps = draw_steps(study, seconds=8)
    curves = compute_curves(steps, study, {}, seed=3)
    assert tuple(curves.columns) == CURVE_COLUMNS
    pd.testing.assert_frame_equal(
        compute_curves(steps[::-1], study, {}, seed=3).sort_values(KEYS, ignore_index=True),
        curves.sort_values(KEYS, ignore_index=True),
    )
    assert len(curves) == 2 * 3 * len(MEASURES) * 8
    assert curves["group"].unique().tolist() == ["all", "f", "m"]
    found = select(curves, stimulus="film", group_column="", measure="happiness")
    values = select(steps, stimulus="film").pivot(index="respondent", columns="second", values="happiness")
    np.testing.assert_allclose(found["mean"], values.mean())
    np.testing.assert_allclose([found["low"], found["high"]], compute_mean_interval(values.to_numpy(), 3))
    leads = select(steps, stimulus="film").groupby("second")["leads_happiness"].mean()
    np.testing.assert_allclose(found["share"], leads)
    assert select(curves, measure="valence")["share"].isna().all()
    women = select(curves, stimulus="ad", group_column="gender", group="f", measure="neutral")
    names = [f"p{number}" for number in range(0, 12, 2)]
    own = steps[steps["respondent"].isin(names) & (steps["stimulus"] == "ad")]
    np.testing.assert_allclose(women["mean"], own.groupby("second")["neutral"].mean())
    assert women["respondents"].tolist() == [6] * 8


def test_who_is_missing_does_not_count_and_gaps_stay_empty() -> None:
    study = draw_study(6, ["ad"], step_s=0.5)
    steps = draw_steps(study, seconds=10)
    steps = steps[(steps["second"] != 2.0) & ~((steps["respondent"] == "p1") & (steps["second"] < 1))]
    steps.loc[steps["respondent"] == "p2", ["happiness", "leads_happiness"]] = np.nan
    found = select(compute_curves(steps, study, {}), group="all", measure="happiness")
    assert found["second"].tolist() == [step * 0.5 for step in range(10)]
    assert found["respondents"].tolist() == [4, 4, 5, 5, 0, 5, 5, 5, 5, 5]
    assert found["mean"].isna().tolist() == [step == 4 for step in range(10)]
    assert found["low"].isna().tolist() == [step in (0, 1, 4) for step in range(10)]


def test_bands_end_where_a_measure_does() -> None:
    study = draw_study(6, ["ad"])
    steps = draw_steps(study, seconds=5)
    steps["happiness"] = np.where(steps["respondent"] == "p0", 0.9, 0.01)
    found = select(compute_curves(steps, study, {"happiness": (0.0, 1.0)}), group="all", measure="happiness")
    assert (found["low"] == 0).all() and (found["high"] <= 1).all()
    free = select(compute_curves(steps, study, {}), group="all", measure="happiness")
    assert (free["low"] < 0).all()


def test_one_respondent_and_nobody() -> None:
    study = draw_study(1, ["ad"])
    steps = draw_steps(study, seconds=4)
    curves = compute_curves(steps, study, {})
    assert curves["mean"].notna().all() and curves["low"].isna().all()
    assert tuple(compute_curves(steps.head(0), study, {}).columns) == CURVE_COLUMNS
    summary = summarize_segments(summarize_steps(steps), study)
    assert summary["low"].isna().all() and (summary["respondents"] == 1).all()
    assert tuple(summarize_segments(summarize_steps(steps).head(0), study).columns) == SUMMARY_COLUMNS


def test_segments_are_summarized_over_respondents() -> None:
    study = draw_study(10, ["ad"])
    values = summarize_steps(draw_steps(study, seconds=12), {"logo": (4, 8)})
    values.loc[values["respondent"] == "p3", "peak"] = np.nan
    found = summarize_segments(values, study, seed=2)
    assert tuple(found.columns) == SUMMARY_COLUMNS
    assert set(found["statistic"]) == {"mean", "peak", "time_to_peak_s", "area"}
    keys = {"segment": "logo", "kind": "scene", "measure": "happiness", "group": "all"}
    means = select(values, segment="logo", measure="happiness").sort_values("respondent")["mean"].to_numpy()
    row = select(found, **keys, statistic="mean").iloc[0]
    low, high = compute_mean_interval(means[:, None], 2)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((means.mean(), low[0], high[0]))
    assert select(found, **keys, statistic="peak")["respondents"].tolist() == [9]


def test_people_without_a_value_in_a_column_are_in_none_of_its_groups() -> None:
    study = draw_study(4, ["ad"])
    people = {**study.respondents, "p0": study.respondents["p0"].model_copy(update={"groups": {"age": "18-29"}})}
    study = Study.model_validate(study.model_dump() | {"respondents": {k: v.model_dump() for k, v in people.items()}})
    curves = compute_curves(draw_steps(study, seconds=3), study, {})
    counts = curves.drop_duplicates(["group_column", "group"]).set_index(["group_column", "group"])["respondents"]
    assert counts.to_dict() == {("", "all"): 4, ("age", "18-29"): 1, ("gender", "m"): 2, ("gender", "f"): 1}
