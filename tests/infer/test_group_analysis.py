"""Figures over respondents: the file, the baseline, curves with bands, and tests between groups."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from fer.emotions import EMOTIONS
from fer.errors import DataError
from fer.infer.group_analysis import (
    COMPARISON_COLUMNS,
    CURVE_COLUMNS,
    compare_groups,
    compute_group_curves,
    read_groups,
    subtract_baseline,
)
from fer.infer.smoothing import smooth
from fer.metrics.small_samples import compute_difference_interval, compute_hedges_g, compute_mean_interval
from tests.helpers.emotion_table import P, S, excluded, happy, random_faces, table_of, usable

pytestmark = pytest.mark.slow

VIDEOS = ["anna.mp4", "ben/clip.mp4", "Zoë 1.mov"]
HEADER = "video,respondent,stimulus,group\n"


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "groups.csv"
    path.write_bytes(text.encode(encoding))
    return path


def people(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["video", "respondent", "stimulus", "group"])


def test_a_file_is_read_as_text_in_its_order(tmp_path: Path) -> None:
    text = HEADER + 'Zoë 1.mov, 007 ,ad,"women, young"\nanna.mp4,8,ad,NA\n\n'
    found = read_groups(written(tmp_path, text), VIDEOS)
    assert found.to_numpy().tolist() == [["Zoë 1.mov", "007", "ad", "women, young"], ["anna.mp4", "8", "ad", "NA"]]
    assert found.columns.tolist() == ["video", "respondent", "stimulus", "group"]
    assert found.index.tolist() == [0, 1]


def test_a_file_as_excel_writes_it_is_read(tmp_path: Path) -> None:
    text = "Group;Stimulus ;age;VIDEO;respondent\r\nm;ad, long;33;anna.mp4;1\r\n;;;;\r\nf;ad, long;;Zoë 1.mov;2\r\n"
    found = read_groups(written(tmp_path, text, "utf-8-sig"), VIDEOS)
    assert found.to_numpy().tolist() == [["anna.mp4", "1", "ad, long", "m"], ["Zoë 1.mov", "2", "ad, long", "f"]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ": its first line is empty; it must name video, respondent, stimulus, group"),
        (HEADER, ": names no video; it needs a line for each"),
        (
            "video,person,stimulus\nanna.mp4,1,ad\n",
            ": lacks respondent, group; its first line must name video, respondent, stimulus, group",
        ),
        (HEADER + "\nanna.mp4,1,,\n", ", line 3: has no stimulus and no group"),
        (HEADER + "anna.mp4,1\n", ", line 2: has no stimulus and no group"),
        (
            HEADER + "anna.mp4,1,ad,m\nclip.mp4,2,ad,m\n",
            ", line 3: 'clip.mp4' is not among the videos; the nearest name is 'ben/clip.mp4'",
        ),
        (
            HEADER + "anna.mp4,1,ad,m\nben/clip.mp4,1,b,m\nanna.mp4,2,c,m\n",
            ", line 4: 'anna.mp4' stands in line 2 already; a video takes one line",
        ),
        (
            HEADER + "anna.mp4,1,ad,m\nben/clip.mp4,1,ad,f\n",
            ", line 3: respondent '1' is in the groups 'm' and 'f' of the stimulus 'ad'; groups are compared as "
            "different people, so choose one",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as raised:
        read_groups(path, VIDEOS)
    assert str(raised.value) == f"extraction.groups={path}{sentence}"


def test_what_is_no_table_of_text_is_a_sentence(tmp_path: Path) -> None:
    for path in (written(tmp_path, HEADER + "Zoë 1.mov,1,ad,m\n", "latin-1"), tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match=r"is no text in UTF-8; save it as CSV in UTF-8$|cannot be read \(.+\)$"):
            read_groups(path, VIDEOS)


def test_respondents_may_be_in_different_groups_of_different_stimuli(tmp_path: Path) -> None:
    text = HEADER + "anna.mp4,1,ad,long\nben/clip.mp4,1,other,short\n"
    assert len(read_groups(written(tmp_path, text), VIDEOS)) == 2


def test_the_baseline_is_each_videos_own_first_seconds() -> None:
    table = table_of(
        usable("a", [10, 11, 12, 13], happy([0.1, 0.3, 0.9, 0.8])),
        usable("b", [0, 1, 2], happy([0.5, 0.7, 0.6])),
        excluded("b", [3]),
    )
    found = subtract_baseline(smooth(table, "none", 1, 2), 2.0)
    np.testing.assert_allclose(found["p_happiness"], [-0.1, 0.1, 0.7, 0.6, -0.1, 0.1, 0.0, np.nan], atol=1e-12)
    np.testing.assert_array_equal(found[S].to_numpy(), found[P].to_numpy())
    np.testing.assert_allclose(found[P].sum(axis=1, skipna=False)[:7], 0, atol=1e-12)
    pd.testing.assert_frame_equal(found.drop(columns=[*P, *S]), smooth(table, "none", 1, 2).drop(columns=[*P, *S]))


def test_a_recording_without_a_face_at_first_leaves_the_group_figures(caplog: pytest.LogCaptureFixture) -> None:
    table = table_of(
        usable("a", [0, 1, 2], happy([0.5, 0.5, 0.9])),
        excluded("late.mp4", [0, 1]),
        usable("late.mp4", [2, 3], happy([0.9, 0.9])),
    )
    with caplog.at_level(logging.WARNING):
        found = subtract_baseline(table, 2.0)
    assert caplog.messages == ["late.mp4: left out of the group figures: no usable face in its first 2 seconds"]
    assert found.loc[found["video"] == "late.mp4", P].isna().all().all()
    curves = compute_group_curves(found, people(("a", "1", "ad", "m"), ("late.mp4", "2", "ad", "m")))
    assert curves["second"].max() == 2
    assert set(curves["respondents"]) == {1}


def test_a_recording_that_ends_with_the_baseline_leaves_the_group_figures(caplog: pytest.LogCaptureFixture) -> None:
    """Its changes from itself are 0 on average, whatever the face does."""
    table = table_of(usable("a", [0, 1, 2], happy([0.5, 0.5, 0.9])), usable("short.mp4", [0, 1], happy([0.1, 0.9])))
    with caplog.at_level(logging.WARNING):
        found = subtract_baseline(table, 2.0)
    assert caplog.messages == ["short.mp4: left out of the group figures: no usable face after its first 2 seconds"]
    assert found.loc[found["video"] == "short.mp4", P].isna().all().all()
    np.testing.assert_allclose(found.loc[found["video"] == "a", "p_happiness"], [0, 0, 0.4])


def test_curves_are_figures_over_respondents_not_over_rows() -> None:
    """Respondent 1 has three rows in the first second, respondent 2 one; the mean is that of the two people."""
    table = table_of(
        usable("a", [0.0, 0.3, 0.6, 1.0], happy([0.0, 0.3, 0.9, 1.0])),
        usable("b", [0.5, 1.99], happy([0.2, 0.2])),
    )
    curves = compute_group_curves(table, people(("a", "1", "ad", "m"), ("b", "2", "ad", "m")))
    assert curves.columns.tolist() == list(CURVE_COLUMNS)
    assert len(curves) == 2 * len(EMOTIONS)
    found = curves[curves["emotion"] == "happiness"]
    assert found["second"].tolist() == [0.0, 1.0]
    assert found["respondents"].tolist() == [2, 2]
    np.testing.assert_allclose(found["mean"], [0.3, 0.6])
    np.testing.assert_allclose(found["max"], [0.4, 1.0])
    np.testing.assert_allclose(found["min"], [0.2, 0.2])
    # Respondent 1 shows happiness in one frame of the first second, and shows neutral in others.
    assert found["share"].tolist() == [0.5, 0.5]
    assert curves.loc[curves["emotion"] == "neutral", "share"].tolist() == [1.0, 0.5]
    # Two people tell too little for a band.
    assert found[["low", "high"]].isna().all(axis=None)


def test_curves_show_gaps_and_few_people_without_a_band() -> None:
    table = table_of(usable("a", [0, 1, 4], happy([1, 1, 1])), usable("b", [1], happy([0])))
    curves = compute_group_curves(table, people(("a", "1", "ad", "m"), ("b", "2", "ad", "m")))
    found = curves[curves["emotion"] == "happiness"]
    assert found["second"].tolist() == [0, 1, 2, 3, 4]
    assert found["respondents"].tolist() == [1, 2, 0, 0, 1]
    np.testing.assert_array_equal(found["mean"], [1, 0.5, np.nan, np.nan, 1])
    np.testing.assert_array_equal(found["share"], [1, 0.5, np.nan, np.nan, 1])
    assert found[["low", "high"]].isna().all(axis=None)


def test_stimuli_and_groups_stand_in_the_files_order_and_other_videos_are_left_out() -> None:
    table = table_of(*[usable(name, [0, 1], random_faces(2, place)) for place, name in enumerate("abcd")])
    groups = people(("c", "3", "z", "m"), ("a", "1", "z", "f"), ("b", "2", "a", "m"))
    curves = compute_group_curves(table, groups)
    order = curves[["stimulus", "group"]].drop_duplicates().to_numpy().tolist()
    assert order == [["z", "m"], ["z", "f"], ["a", "m"]]
    of_a = curves[(curves["group"] == "f") & (curves["second"] == 1)]
    np.testing.assert_allclose(of_a["mean"], table.loc[1, P].astype(float))


def test_of_several_faces_in_a_frame_the_largest_is_the_respondent() -> None:
    """The respondent is lost and found again as track 2; somebody small walks past as track 1."""
    table = table_of(
        usable("a", [0, 1], happy([1, 1]), track=0, side=90),
        usable("a", [0, 1, 2, 3], happy([0, 0, 0, 0]), track=1, side=30),
        usable("a", [2, 3], happy([0.8, 0.8]), track=2, side=80),
    )
    curves = compute_group_curves(table, people(("a", "1", "ad", "m")))
    np.testing.assert_allclose(curves.loc[curves["emotion"] == "happiness", "mean"], [1, 1, 0.8, 0.8])
    found = subtract_baseline(table, 2.0)
    np.testing.assert_allclose(found["p_happiness"], [0, 0, -1, -1, -1, -1, -0.2, -0.2])


def test_steps_may_be_shorter_and_floats_do_not_move_a_frame_into_another() -> None:
    times = np.arange(30) / 10
    curves = compute_group_curves(usable("a", times, happy(times / 3)), people(("a", "1", "ad", "m")), step_s=0.1)
    found = curves[curves["emotion"] == "happiness"]
    np.testing.assert_allclose(found["second"], times)
    np.testing.assert_allclose(found["mean"], times / 3)


def test_the_band_is_that_of_the_respondents_means_within_what_is_possible() -> None:
    """12 people, of whom 4 are absent in the second step and 9 in the third, which leaves too few."""
    values = np.random.default_rng(0).uniform(size=(12, 3)) ** 12
    counts = [3 if place < 3 else 2 if place < 8 else 1 for place in range(12)]
    rows = [usable(f"v{place}", range(count), happy(values[place][:count])) for place, count in enumerate(counts)]
    groups = people(*[(f"v{place}", str(place), "ad", "m") for place in range(12)])
    curves = compute_group_curves(table_of(*rows), groups)
    found = curves[curves["emotion"] == "happiness"].reset_index()
    assert found["respondents"].tolist() == [12, 8, 3]
    # Respondents stand in the order of their names.
    order = sorted(range(12), key=str)
    present = np.array([[step < counts[place] for step in range(3)] for place in order])
    low, high = compute_mean_interval(np.where(present, values[order], np.nan), seed=0)
    np.testing.assert_allclose(found["low"], np.maximum(low, 0))
    np.testing.assert_allclose(found["high"], high)
    assert (low[:2] < 0).any() and (found["low"][:2] >= 0).all()
    assert np.isnan(found["low"].tolist()[2])


def test_curves_are_the_same_again_and_vary_with_the_seed() -> None:
    table = table_of(*[usable(f"v{place}", range(5), random_faces(5, place)) for place in range(9)])
    groups = people(*[(f"v{place}", str(place), "ad", "m") for place in range(9)])
    once = compute_group_curves(table, groups, seed=3)
    pd.testing.assert_frame_equal(compute_group_curves(table.sample(frac=1, random_state=1), groups, seed=3), once)
    other = compute_group_curves(table, groups, seed=4)
    pd.testing.assert_frame_equal(other.drop(columns=["low", "high"]), once.drop(columns=["low", "high"]))
    assert (other["low"] != once["low"]).any()


def two_groups(of_a: list[float], of_b: list[float], stimulus: str = "ad") -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table and its groups: each respondent's happiness is constant over three seconds."""
    values = {f"{stimulus}-a{place}": value for place, value in enumerate(of_a)}
    values |= {f"{stimulus}-b{place}": value for place, value in enumerate(of_b)}
    table = table_of(*[usable(video, [0, 1, 2], happy([value] * 3)) for video, value in values.items()])
    return table, people(*[(video, video, stimulus, video.split("-")[1][0]) for video in values])


def test_a_comparison_names_difference_numbers_and_exact_p() -> None:
    """Four against four, wholly apart: two of the 70 ways to divide them are as extreme."""
    table, groups = two_groups([0.7, 0.8, 0.9, 1.0], [0.1, 0.2, 0.3, 0.4])
    found = compare_groups(table, groups)
    assert found.columns.tolist() == list(COMPARISON_COLUMNS)
    assert found["emotion"].tolist() == list(EMOTIONS)
    row = found[found["emotion"] == "happiness"].iloc[0]
    assert (row["stimulus"], row["group_a"], row["group_b"]) == ("ad", "a", "b")
    assert (row["respondents_a"], row["respondents_b"]) == (4, 4)
    assert row["mean_a"] == pytest.approx(0.85)
    assert row["mean_b"] == pytest.approx(0.25)
    assert row["difference"] == pytest.approx(0.6)
    assert row["p"] == pytest.approx(2 / 70)
    assert row["p_smallest"] == pytest.approx(2 / 70)
    a, b = np.array([[0.7], [0.8], [0.9], [1.0]]), np.array([[0.1], [0.2], [0.3], [0.4]])
    assert row["effect"] == pytest.approx(compute_hedges_g(a, b)[0])
    low, high = compute_difference_interval(a, b, seed=0)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((low[0], high[0]))
    assert 0 < row["difference_low"] < 0.6 < row["difference_high"]
    assert found.loc[found["emotion"] == "anger", "p"].tolist() == [1.0]
    np.testing.assert_allclose(found["p_corrected"], false_discovery_control(found["p"]))
    assert row["p_corrected"] == pytest.approx(2 / 70 * 7 / 2)


def test_the_correction_is_over_all_tests_of_the_table() -> None:
    parts = [two_groups([0.7, 0.8, 0.9, 1.0], [0.1, 0.2, 0.3, 0.4], name) for name in ("one", "two", "three")]
    table, groups = (pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))
    found = compare_groups(table, groups)
    assert found["stimulus"].drop_duplicates().tolist() == ["one", "two", "three"]
    np.testing.assert_allclose(found["p_corrected"], false_discovery_control(found["p"]))


def test_three_groups_are_compared_in_pairs_and_one_person_is_not_tested() -> None:
    table, groups = two_groups([0.7, 0.8], [0.1, 0.2])
    alone = usable("c", [0], happy([0.5]))
    found = compare_groups(table_of(table, alone), pd.concat([groups, people(("c", "c", "ad", "c"))]))
    pairs = found[["group_a", "group_b"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["a", "b"], ["a", "c"], ["b", "c"]]
    with_c = found["group_b"] == "c"
    untested = ["p", "p_corrected", "difference_low", "difference_high", "effect", "p_smallest"]
    assert found.loc[with_c, untested].isna().all().all()
    assert found.loc[~with_c, ["p", "p_corrected"]].notna().all().all()
    assert found.loc[with_c & (found["emotion"] == "happiness"), "difference"].tolist() == pytest.approx([0.25, -0.35])


def test_a_comparison_weighs_people_equally() -> None:
    """However many of a respondent's frames were usable."""
    table = table_of(
        usable("a", [0], happy([1.0])),
        usable("b", range(50), happy([0.0] * 50)),
        usable("c", [0], happy([0.0])),
        usable("d", [0], happy([0.0])),
    )
    groups = people(("a", "1", "ad", "x"), ("b", "2", "ad", "x"), ("c", "3", "ad", "y"), ("d", "4", "ad", "y"))
    found = compare_groups(table, groups)
    assert found.loc[found["emotion"] == "happiness", "mean_a"].tolist() == [0.5]


def test_one_group_or_no_usable_row_gives_tables_without_rows() -> None:
    table, groups = two_groups([0.7, 0.8], [])
    assert compare_groups(table, groups).columns.tolist() == list(COMPARISON_COLUMNS)
    assert compare_groups(table, groups).empty
    nothing = excluded("ad-a0", [0, 1])
    assert compute_group_curves(nothing, groups).columns.tolist() == list(CURVE_COLUMNS)
    assert compute_group_curves(nothing, groups).empty
    assert compare_groups(nothing, groups).empty
