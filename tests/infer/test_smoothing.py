"""Smoothing: closed forms, irregular sampling, and never across gaps, tracks or videos."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.emotions import EMOTIONS, list_emotions
from fer.infer.smoothing import SMOOTHERS, SmoothingKind, smooth
from tests.helpers.emotion_table import P, S, excluded, happy, only, random_faces, table_of, usable

KINDS: list[SmoothingKind] = ["none", "exponential", "median", "gaussian"]


def smoothed_happiness(
    times: Any, values: Any, kind: SmoothingKind, window_s: float, max_gap_s: float = 100.0
) -> np.ndarray:
    return smooth(usable("a", times, happy(values)), kind, window_s, max_gap_s)["s_happiness"].to_numpy()


def test_the_kinds_are_those_that_the_contract_names() -> None:
    assert list(SMOOTHERS) == KINDS
    assert list_emotions(usable("a", [0], random_faces(1))) == list(EMOTIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_sum_to_1_and_only_usable_rows_are_filled(kind: SmoothingKind) -> None:
    times = np.cumsum(np.random.default_rng(1).exponential(0.3, 200))
    table = table_of(usable("a", times, random_faces(200)), excluded("a", times + 0.01), usable("b", [0], happy([1])))
    found = smooth(table, kind, 1.0, 1.5)
    ok = (table["status"] == "ok").to_numpy()
    assert found.columns[-8:].tolist() == [*S, "smoothed_emotion"]
    np.testing.assert_allclose(found.loc[ok, S].sum(axis=1), 1, atol=1e-12)
    assert found.loc[ok, S].min().min() >= 0
    assert found.loc[~ok, [*S, "smoothed_emotion"]].isna().all().all()
    leading = [EMOTIONS[place] for place in found.loc[ok, S].to_numpy().argmax(axis=1)]
    assert found.loc[ok, "smoothed_emotion"].tolist() == leading
    pd.testing.assert_frame_equal(found[table.columns], table)


@pytest.mark.parametrize("kind", KINDS)
def test_each_track_stretch_and_video_is_smoothed_as_if_alone(kind: SmoothingKind) -> None:
    """Rows in any order: two people in the same frames, a gap in one of them, and the same track in another video."""
    times = np.arange(0, 10, 0.25)
    late = times + 20
    parts = [
        usable("a", times, random_faces(40, 0)),
        usable("a", late, random_faces(40, 1)),
        usable("a", times, random_faces(40, 2), track=1),
        usable("b", times, random_faces(40, 3)),
    ]
    mixed = table_of(*parts).sample(frac=1, random_state=0).sort_values("time_s", kind="stable", ignore_index=True)
    found = smooth(mixed, kind, 1.0, 2.0)
    for part in parts:
        alone = smooth(part, kind, 1.0, 2.0)
        same = found.merge(part[P], on=P)
        np.testing.assert_array_equal(same[S].to_numpy(), alone[S].to_numpy())


@pytest.mark.parametrize("kind", ["exponential", "median", "gaussian"])
def test_a_gap_is_what_is_longer_than_allowed(kind: SmoothingKind) -> None:
    """A step of 2 s on a grid of 0.1 s, with what floats leave, is no gap where 2 s are allowed."""
    times = [0.1 * 3, 0.1 * 3 + 0.1 * 20]
    joined = smoothed_happiness(times, [0.0, 1.0], kind, 10.0, max_gap_s=2.0)
    apart = smoothed_happiness(times, [0.0, 1.0], kind, 10.0, max_gap_s=1.99)
    assert joined[1] < 0.9
    np.testing.assert_array_equal(apart, [0.0, 1.0])


def test_none_repeats_the_probabilities() -> None:
    table = usable("a", np.arange(30.0), random_faces(30))
    found = smooth(table, "none", 5.0, 2.0)
    np.testing.assert_array_equal(found[S].to_numpy(), table[P].to_numpy())
    assert found["smoothed_emotion"].tolist() == table["emotion"].tolist()


@pytest.mark.parametrize("times", [np.linspace(0, 2, 3), np.linspace(0, 2, 60), np.array([0, 0.1, 0.15, 1.2, 2])])
def test_exponential_after_one_time_constant_a_step_has_come_to_63_percent(times: np.ndarray) -> None:
    """However densely or irregularly it was sampled."""
    found = smoothed_happiness(times, np.where(times == 0, 0.0, 1.0), "exponential", 2.0)
    np.testing.assert_allclose(found, 1 - np.exp(-times / 2), atol=1e-12)


def test_exponential_looks_back_only() -> None:
    found = smoothed_happiness(np.arange(10.0), [0.0] * 5 + [1.0] * 5, "exponential", 1.0)
    np.testing.assert_array_equal(found[:5], 0)
    np.testing.assert_allclose(found[5:], 1 - np.exp(-np.arange(1, 6)), atol=1e-12)


def test_median_removes_a_single_outlier_and_keeps_a_step_where_it_is() -> None:
    values = [0.1, 0.1, 0.9, 0.1, 0.1, 0.8, 0.8, 0.8, 0.8]
    found = smoothed_happiness(np.arange(9.0), values, "median", 2.0)
    np.testing.assert_allclose(found, [0.1, 0.1, 0.1, 0.1, 0.1, 0.8, 0.8, 0.8, 0.8], atol=1e-12)


@pytest.mark.parametrize("fps", [1, 3, 7, 24, 25, 29.97, 30])
def test_median_takes_both_ends_of_its_window(fps: float) -> None:
    """Two frames to each side, though k/fps has no exact float; by the middle of five it knows an outlier pair."""
    times = 1000 + np.arange(40) / fps
    values = np.random.default_rng(0).uniform(size=40)
    found = smoothed_happiness(times, values, "median", 4 / fps)
    expected = [np.median(values[max(place - 2, 0) : place + 3]) for place in range(40)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_median_of_three_certain_different_faces_is_the_face_itself() -> None:
    certain = np.array([only(anger=1), only(happiness=1), only(fear=1)])
    found = smooth(usable("a", [0, 1, 2], certain), "median", 2.0, 5.0)
    np.testing.assert_array_equal(found[S].to_numpy()[1], only(happiness=1))
    np.testing.assert_allclose(found[S].to_numpy()[0], (only(anger=1) + only(happiness=1)) / 2)


def test_gaussian_weights_two_samples_by_their_distance() -> None:
    for distance, sigma in ((1.0, 1.0), (0.5, 2.0), (3.0, 1.0)):
        weight = np.exp(-((distance / sigma) ** 2) / 2)
        found = smoothed_happiness([5, 5 + distance], [0.0, 1.0], "gaussian", sigma)
        np.testing.assert_allclose(found, [weight / (1 + weight), 1 / (1 + weight)], atol=1e-12)
    np.testing.assert_array_equal(smoothed_happiness([5, 9.01], [0.0, 1.0], "gaussian", 1.0), [0, 1])


def test_gaussian_equals_the_sum_over_all_pairs_at_irregular_times() -> None:
    times = np.cumsum(np.random.default_rng(3).exponential(0.2, 120))
    values = np.random.default_rng(4).uniform(size=120)
    distance = (times[:, None] - times) / 0.7
    weights = np.where(np.abs(distance) <= 4, np.exp(-(distance**2) / 2), 0)
    expected = weights @ values / weights.sum(axis=1)
    np.testing.assert_allclose(smoothed_happiness(times, values, "gaussian", 0.7), expected, atol=1e-12)


def test_gaussian_and_median_have_no_direction() -> None:
    times = np.cumsum(np.random.default_rng(5).exponential(0.2, 50))
    values = np.random.default_rng(6).uniform(size=50)
    for kind in ("gaussian", "median"):
        there = smoothed_happiness(times, values, kind, 1.0)
        back = smoothed_happiness(-times[::-1] + times[-1], values[::-1], kind, 1.0)[::-1]
        np.testing.assert_allclose(there, back, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_without_usable_rows_are_taken(kind: SmoothingKind) -> None:
    for table in (excluded("a", [0.0, 1.0]), excluded("a", [0.0]).iloc[:0]):
        found = smooth(table, kind, 1.0, 1.0)
        assert len(found) == len(table)
        assert found[[*S, "smoothed_emotion"]].isna().all().all()
        assert found["smoothed_emotion"].dtype == "str"


def test_eight_classes_are_taken_from_the_columns() -> None:
    table = usable("a", [0, 1], random_faces(2)).assign(p_contempt=2.0)
    found = smooth(table, "none", 1.0, 1.0)
    assert found["s_contempt"].tolist() == [2.0, 2.0]
    assert found["smoothed_emotion"].tolist() == ["contempt", "contempt"]


def test_smoothing_twice_replaces_the_columns() -> None:
    table = usable("a", np.arange(9.0), random_faces(9))
    once = smooth(table, "gaussian", 1.0, 2.0)
    pd.testing.assert_frame_equal(smooth(smooth(table, "none", 1.0, 2.0), "gaussian", 1.0, 2.0), once)
