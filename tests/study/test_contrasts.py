"""Contrasts and clusters: what is planted is found, and every figure is that of its own function."""

import numpy as np
import pandas as pd
import pytest

from fer.config.study import BetweenContrast, Contrast, Study, WithinContrast
from fer.metrics.effect_sizes import compute_cliffs_delta, compute_hedges_g_interval, compute_paired_delta
from fer.metrics.multiple_tests import correct_p_values
from fer.metrics.permutation import compute_permutation_p, compute_sign_flip_p
from fer.metrics.power import compute_power_between, compute_power_paired
from fer.study.clusters import CLUSTER_COLUMNS, find_contrast_clusters
from fer.study.contrasts import CONTRAST_COLUMNS, compute_contrasts, name_contrasts
from tests.helpers.study_panel import draw_steps, draw_study, summarize_steps

BETWEEN = BetweenContrast(kind="between", factor="gender", a="f", b="m")
WITHIN = WithinContrast(kind="within", factor="stimulus", a="ad", b="film")
SCENES = {"intro": (0, 5), "logo": (10, 15)}


def draw(contrasts: tuple[Contrast, ...], respondents: int = 16, **keys: object) -> tuple[Study, pd.DataFrame]:
    study = draw_study(respondents, contrasts=contrasts, **keys)
    return study, draw_steps(study, seconds=20, effects={("ad", "f"): [(10, 15, 0.2)]})


def test_groups_are_compared_in_each_stimulus_segment_and_measure() -> None:
    study, steps = draw((BETWEEN,))
    values = summarize_steps(steps, SCENES)
    found = compute_contrasts(values, study, seed=1)
    assert tuple(found.columns) == CONTRAST_COLUMNS
    assert len(found) == 2 * 3 * 2 and set(found["stimulus"]) == {"ad", "film"}
    assert set(found["contrast"]) == {"gender: f – m"}
    row = found[(found["stimulus"] == "ad") & (found["segment"] == "logo") & (found["measure"] == "happiness")].iloc[0]
    own = values[(values["stimulus"] == "ad") & (values["segment"] == "logo") & (values["measure"] == "happiness")]
    own = own.set_index("respondent")["mean"]
    a, b = (own[sorted(f"p{number}" for number in range(first, 16, 2))].to_numpy()[:, None] for first in (0, 1))
    assert (row["n_a"], row["n_b"]) == (8, 8)
    assert row["difference"] == pytest.approx(a.mean() - b.mean()) == pytest.approx(row["mean_a"] - row["mean_b"])
    assert row["p"] == pytest.approx(compute_permutation_p(a, b, 1)[0])
    ends = ["hedges_g", "hedges_g_low", "hedges_g_high"]
    np.testing.assert_allclose(row[ends].astype(float), np.ravel(compute_hedges_g_interval(a, b)))
    ends = ["cliffs_delta", "cliffs_delta_low", "cliffs_delta_high"]
    np.testing.assert_allclose(row[ends].astype(float), np.ravel(compute_cliffs_delta(a, b)))
    assert row["power"] == pytest.approx(compute_power_between(0.5, 8, 8))
    np.testing.assert_allclose(found["p_corrected"], correct_p_values(found["p"].to_numpy(), "holm"))
    clear = found[found["p_corrected"] <= 0.05]
    assert set(zip(clear["stimulus"], clear["measure"], strict=True)) == {("ad", "happiness")}
    assert row["difference_low"] < 0.2 < row["difference_high"]


def test_the_same_people_are_compared_in_pairs() -> None:
    study, steps = draw((WITHIN,), correction="fdr_bh")
    steps = steps[~((steps["respondent"] == "p0") & (steps["stimulus"] == "film"))]
    values = summarize_steps(steps, SCENES)
    found = compute_contrasts(values, study, seed=1)
    assert set(found["stimulus"]) == {""} and (found["n_a"] == 15).all() and (found["n_b"] == 15).all()
    row = found[(found["segment"] == "whole") & (found["measure"] == "happiness")].iloc[0]
    own = values[(values["segment"] == "whole") & (values["measure"] == "happiness")]
    own = own.pivot(index="respondent", columns="stimulus", values="mean").dropna()
    differences = (own["ad"] - own["film"]).to_numpy()[:, None]
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["p"] == pytest.approx(compute_sign_flip_p(differences, 1)[0])
    assert row["cliffs_delta"] == pytest.approx(compute_paired_delta(differences)[0][0])
    assert row["power"] == pytest.approx(compute_power_paired(0.5, 15))
    np.testing.assert_allclose(found["p_corrected"], correct_p_values(found["p"].to_numpy(), "fdr_bh"))


def with_conditions(steps: pd.DataFrame) -> pd.DataFrame:
    """Everybody twice: `muted`, and `sound`, with which they are happier."""
    loud = steps.assign(condition="sound", happiness=steps["happiness"] + 0.1)
    return pd.concat([steps.assign(condition="muted"), loud], ignore_index=True)


def test_conditions_are_compared_within_people_and_otherwise_count_once() -> None:
    within = WithinContrast(kind="within", factor="condition", a="sound", b="muted")
    study, steps = draw((within, BETWEEN))
    found = compute_contrasts(summarize_steps(with_conditions(steps)), study)
    rows = found[(found["kind"] == "within") & (found["measure"] == "happiness")]
    assert rows["stimulus"].tolist() == ["ad", "film"]
    np.testing.assert_allclose(rows["difference"], 0.1)
    assert (found.loc[found["kind"] == "between", "n_a"] == 8).all()


def test_who_saw_both_conditions_does_not_count_between_them() -> None:
    between = BetweenContrast(kind="between", factor="condition", a="sound", b="muted", stimuli=("ad",))
    study, steps = draw((between,))
    number = steps["respondent"].str[1:].astype(int)
    steps["condition"] = np.where(number < 8, "sound", "muted")
    twice = steps[number == 0].assign(condition="muted")
    found = compute_contrasts(summarize_steps(pd.concat([steps, twice])), study)
    assert set(found["stimulus"]) == {"ad"} and (found["n_a"] == 7).all() and (found["n_b"] == 8).all()


def test_stimuli_are_compared_in_the_segments_that_both_have() -> None:
    study, steps = draw((WITHIN,))
    values = summarize_steps(steps, SCENES)
    values = values[~((values["stimulus"] == "film") & (values["segment"] == "logo"))]
    assert set(compute_contrasts(values, study)["segment"]) == {"whole", "intro"}


@pytest.mark.parametrize("contrast", [BETWEEN, WITHIN])
def test_one_respondent_nobody_and_missing_values_are_rows_without_a_p(contrast: Contrast) -> None:
    study, steps = draw((contrast,), respondents=2)
    values = summarize_steps(steps)
    values.loc[values["respondent"] == "p1", "mean"] = np.nan
    found = compute_contrasts(values, study)
    assert len(found) and found["p"].isna().all() and found["hedges_g"].isna().all() and found["power"].isna().all()
    assert (found["n_a"] <= 1).all()
    assert tuple(compute_contrasts(values.head(0), study).columns) == CONTRAST_COLUMNS
    assert find_contrast_clusters(steps[steps["respondent"] == "p0"], study).empty
    assert tuple(find_contrast_clusters(steps.head(0), study).columns) == CLUSTER_COLUMNS


def test_the_planted_seconds_and_no_others_are_found() -> None:
    study, steps = draw((BETWEEN, WITHIN), respondents=24)
    found = find_contrast_clusters(steps, study)
    assert tuple(found.columns) == CLUSTER_COLUMNS
    assert found[["contrast", "stimulus", "measure"]].to_numpy().tolist() == [
        ["gender: f – m", "ad", "happiness"],
        ["stimulus: ad – film", "", "happiness"],
    ]
    np.testing.assert_allclose(found[["start_s", "end_s"]], [[10, 15], [10, 15]], atol=1)
    assert (found["mass"] > 0).all()
    # Two stimuli by two measures, and two measures.
    assert found["p"].tolist() == pytest.approx([4e-4, 2e-4], abs=1e-3)


def test_contrasts_that_are_not_tested_over_time_have_no_clusters() -> None:
    study, steps = draw((BETWEEN.model_copy(update={"over_time": False}),))
    assert find_contrast_clusters(steps, study).empty


def test_clusters_count_steps_of_any_length() -> None:
    study = draw_study(24, contrasts=(BETWEEN,), step_s=0.1)
    steps = draw_steps(study, seconds=20, effects={("ad", "m"): [(10, 15, 0.2)]})
    found = find_contrast_clusters(steps, study)
    assert (found["start_s"][0], found["end_s"][0]) == pytest.approx((1.0, 1.5), abs=0.11) and found["mass"][0] < 0


def test_equal_contrasts_have_different_names() -> None:
    study = draw_study(2, contrasts=(BETWEEN, BETWEEN, WITHIN))
    assert name_contrasts(study) == ["gender: f – m", "gender: f – m (2)", "stimulus: ad – film"]
