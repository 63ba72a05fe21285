"""What the page of a study says, read as HTML."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.reports.study import StudyMedia
from fer.reports.study_data import StudyData
from tests.helpers.html import Page
from tests.helpers.study_page import drawn_of, numbers_of, text_of, write
from tests.helpers.study_tables import (
    HOSTILE,
    MEASURES,
    PLANTED_S,
    empty_data,
    study_data,
    study_page,
)

pytestmark = pytest.mark.slow

LIMIT = 5_000_000


@pytest.fixture(scope="module")
def data() -> StudyData:
    return study_data(12, seconds=20)


def test_tables_are_complete_without_scripts(data: StudyData, tmp_path: Path) -> None:
    text = text_of(write(study_page(data), tmp_path))
    assert "1 happiness spot A 0:12.0 0:10.0 0:15.0 62.0 % 55.0 to 69.0 % 12" in text
    assert "joke event spot A 0:12.0 40.0 % 37.0 to 43.0 % 40.0 % 1.5 s +40.0 points" in text
    assert "gender: women – men happiness spot A 0:10.0 0:15.0 0.004" in text  # clusters
    assert "gender × stimulus happiness gender[men] −10.0 points −16.0 to −4.0 points 0.002 0.006" in text
    assert "spot A happiness 12 0.82 0.70 to 0.90 0.80 0.68 to 0.89 ± 5.0 points 31" in text
    assert "spot A whole happiness 20.0 % 71 4 9" in text  # norms
    assert "only 21 % of its frames have a usable face 1" in text and "no consent: it was not opened 1" in text
    assert "dark.webm R900 spot A 100 21.0 % 1 0.47 1 no only 21 %" in text
    assert "What each measure is" in text and "the probability of happiness; surprise counts neither" in text
    for given in ["python infer.py extraction.study=study.yaml", "Model outputs/train/run", "seed: 3 name: spots"]:
        assert given in text
    assert "report.faces" in text


def test_sections_stand_in_order_and_have_their_links(data: StudyData, tmp_path: Path) -> None:
    html = write(study_page(data), tmp_path)
    sections = re.findall(r'<section id="(\w+)"', html)
    assert sections == [
        *("watch", "moments", "segments", "contrasts", "mixed", "reliability", "norms", "recordings", "model"),
        *("meaning", "made"),
    ]
    assert re.findall(r'<li><a href="#(\w+)">', html) == sections


def test_curves_and_cells_are_what_the_tables_hold(data: StudyData, tmp_path: Path) -> None:
    html = write(study_page(data), tmp_path)
    drawn, curves, cells = (
        drawn_of(html),
        numbers_of(html, "curve-numbers", "<i2"),
        numbers_of(html, "cell-numbers", "u1"),
    )
    names = [measure["name"] for measure in drawn["measures"]]
    assert set(names) == set(MEASURES) and names[:3] == ["happiness", "valence", "expressiveness"]
    happiness = names.index("happiness")
    entry = next(row for row in drawn["curves"] if row[:5] == [0, 0, 0, 0, happiness])
    low, high = drawn["scales"][happiness]
    values = low + (curves[entry[6] : entry[6] + 20].astype(float) + 32767) / 65534 * (high - low)
    rows = data.curves.query("stimulus == 'spot A' and group_column == '' and measure == 'happiness'")
    assert np.allclose(values, rows.sort_values("second")["mean"], atol=1e-4)
    block = drawn["heat"][0]
    low, high = drawn["heat_scales"][happiness]
    count = len(block["respondents"])
    cell = cells[block["start"] :][happiness * count * 20 : (happiness + 1) * count * 20].reshape(count, 20)
    wanted = data.steps.query("stimulus == 'spot A'").pivot(index="respondent", columns="second", values="happiness")
    people = [drawn["people"][number][0] for number in block["respondents"]]
    found = np.where(cell == 255, np.nan, low + cell / 254 * (high - low))
    assert np.allclose(found, wanted.loc[people], atol=(high - low) / 500, equal_nan=True)
    assert np.isnan(found).any()


def test_difference_over_time_is_of_the_two_groups(data: StudyData, tmp_path: Path) -> None:
    html = write(study_page(data), tmp_path)
    drawn, curves = drawn_of(html), numbers_of(html, "curve-numbers", "<i2")
    entry = drawn["differences"][0]
    assert (entry["a"], entry["b"], entry["stimulus"], entry["measure"]) == ("women", "men", 0, 0)
    assert entry["clusters"] == [[10.0, 15.0, 0.004]]
    low, high = entry["scale"]
    values = low + (curves[entry["start"] :][:20].astype(float) + 32767) / 65534 * (high - low)
    steps = data.steps[data.steps["stimulus"] == "spot A"].merge(data.respondents, on="respondent")
    means = steps.groupby(["gender", "second"])["happiness"].mean()
    assert np.allclose(values, means["women"] - means["men"], atol=1e-4)
    assert values.argmax() in (PLANTED_S - 1, PLANTED_S, PLANTED_S + 1)


def test_paired_difference_is_of_those_who_have_both(data: StudyData, tmp_path: Path) -> None:
    steps = data.steps[~((data.steps["respondent"] == "R000") & (data.steps["stimulus"] == "spot B"))]
    html = write(study_page(replace(data, steps=steps)), tmp_path)
    drawn, curves = drawn_of(html), numbers_of(html, "curve-numbers", "<i2")
    entry = next(found for found in drawn["differences"] if found["between_stimuli"])
    low, high = entry["scale"]
    values = low + (curves[entry["start"] :][:20].astype(float) + 32767) / 65534 * (high - low)
    wide = steps.pivot(index=["respondent", "second"], columns="stimulus", values="happiness")
    wanted = (wide["spot A"] - wide["spot B"]).groupby("second").mean()
    assert np.allclose(values, wanted, atol=1e-4)


def test_videos_are_linked_and_never_embedded(data: StudyData, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "a b#?.webm").write_bytes(b"not a video")
    recordings = {name: run / "crops" / name for name in data.recordings["recording"]}
    media = StudyMedia({"spot A": tmp_path / "a b#?.webm", "spot B": "s3://bucket/spot.mp4"}, recordings)
    drawn = drawn_of(html := write(study_page(data, media=media), run))
    assert [stimulus["url"] for stimulus in drawn["stimuli"]] == ["../a%20b%23%3F.webm", None]
    assert drawn["recordings"][0] == [0, 0, 0, "crops/R000-spot%20A.webm", 2.0]
    assert len(drawn["recordings"]) == 24  # what was left out is not linked
    assert "data:video" not in html and "secret.webm" not in json.dumps(drawn)
    assert str(tmp_path) not in html


def test_names_are_escaped(tmp_path: Path) -> None:
    people = [*HOSTILE, "e"]
    data = study_data(
        people,
        14,
        stimuli=HOSTILE[:2],
        groups={HOSTILE[0]: HOSTILE[:2], "x": ("受访", "y" * 200)},
        conditions=("", HOSTILE[1]),
    )
    data = replace(
        data,
        name=HOSTILE[0],
        cautions=(HOSTILE[0],),
        segments=data.segments.assign(segment=HOSTILE[1]),
        recordings=data.recordings.assign(reason=HOSTILE[0], included=lambda rows: rows.index > 1),
        contrasts=data.contrasts.assign(contrast=HOSTILE[1]),
    )
    page = study_page(data, notes=[HOSTILE[0]], command=HOSTILE[0], model={HOSTILE[0]: HOSTILE[1]}, created=HOSTILE[1])
    html = write(replace(page, environment={HOSTILE[1]: HOSTILE[0]}, config_yaml=HOSTILE[0]), tmp_path)
    parsed = Page(html)  # every element is closed in order
    assert HOSTILE[0] in parsed.text and "受访者甲" in parsed.text
    assert parsed.attributes("img") == [] and parsed.attributes("b") == [{"class": "hatch"}]
    assert not [found for _, found in parsed.elements if "onerror" in found]
    assert drawn_of(html)["people"][0][0] == HOSTILE[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"respondents": 1, "groups": {}, "stimuli": ("only",)},
        {"respondents": 2, "conditions": ("first", "second")},
        {"respondents": 3, "seconds": 1},
    ],
)
def test_small_studies_have_a_page(tmp_path: Path, fields: dict[str, Any]) -> None:
    html = write(study_page(study_data(**{"seconds": 14, **fields})), tmp_path)
    assert drawn_of(html)["curves"] and "NaN" not in html and "None" not in Page(html).text


def test_nothing_analysed_says_so(data: StudyData, tmp_path: Path) -> None:
    text = text_of(write(study_page(empty_data(data)), tmp_path))
    assert "No recording could be analysed." in text and "its file cannot be opened 26" in text
    assert "Respondents 0 of 14" in text and "Curves and videos" not in text
    # Tables without any column, too.
    bare = {
        name: pd.DataFrame() for name in ("curves", "steps", "contrasts", "moments", "recordings", "segments", "norms")
    }
    text = text_of(write(study_page(empty_data(data, cautions=(), **bare)), tmp_path))
    assert "There are none." in text


def test_missing_numbers_are_dashes(data: StudyData, tmp_path: Path) -> None:
    broken = {}
    for name in ("contrasts", "clusters", "mixed", "reliability", "moments", "norms", "segment_summary", "recordings"):
        table = getattr(data, name)
        numbers = table.select_dtypes("number").columns
        broken[name] = table.assign(**dict.fromkeys(numbers, np.nan))
    broken["moments"] = broken["moments"].assign(rank=1, respondents=3)
    broken["recordings"] = broken["recordings"].assign(onset_s=0.0)
    html = write(study_page(replace(data, **broken)), tmp_path)
    shown = re.sub(r"<script.*?</script>|<style.*?</style>", "", html, flags=re.DOTALL)
    assert re.search(r"\bnan\b", shown, re.IGNORECASE) is None
    assert "NaN" not in json.dumps(drawn_of(html))


def test_equal_studies_give_equal_bytes(data: StudyData, tmp_path: Path) -> None:
    assert write(study_page(data), tmp_path) == write(study_page(data), tmp_path)


def test_definitions_can_be_given(data: StudyData, tmp_path: Path) -> None:
    text = text_of(write(study_page(data, definitions={"valence": "of our own kind"}), tmp_path))
    assert "valence of our own kind." in text


def test_page_asks_for_no_address(data: StudyData, tmp_path: Path) -> None:
    html = write(study_page(data), tmp_path)
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+/", html.replace("http://www.w3.org/2000/svg", "")) == []
    policy = next(found["content"] for found in Page(html).attributes("meta") if "http-equiv" in found)
    assert policy and policy.startswith("default-src 'none'; img-src data:; media-src blob: file: 'self';")
    assert "http" not in policy and "unsafe-eval" not in policy


@pytest.mark.parametrize(("respondents", "seconds"), [(100, 60), (200, 120)])
def test_large_study_is_below_five_megabytes_in_full_detail(tmp_path: Path, respondents: int, seconds: int) -> None:
    html = write(study_page(study_data(respondents, seconds)), tmp_path)
    assert len(html.encode()) < LIMIT
    drawn = drawn_of(html)
    assert drawn["steps"][0] == {"width": 1.0, "count": seconds} and len(drawn["measures"]) == len(MEASURES)
    assert "steps are drawn as one" not in html


def test_larger_study_is_drawn_coarser_and_says_so(tmp_path: Path) -> None:
    data = study_data(8, 15)
    parts = [
        data.steps.assign(respondent=lambda rows, copy=copy: rows["respondent"] + str(copy)) for copy in range(100)
    ]
    steps = pd.concat(parts, ignore_index=True)
    steps = pd.concat([steps.assign(second=steps["second"] + 15 * copy) for copy in range(8)], ignore_index=True)
    people = pd.DataFrame(
        {"respondent": steps["respondent"].unique(), "consent": True, "gender": "women", "age": "50+"}
    )
    html = write(study_page(replace(data, steps=steps, respondents=people)), tmp_path)
    assert len(html.encode()) < LIMIT
    assert "steps are drawn as one" in html or "more measures are in" in html


def test_recording_that_was_not_opened_has_no_figures(data: StudyData, tmp_path: Path) -> None:
    recordings = data.recordings.assign(usable_share=lambda rows: rows["usable_share"].fillna(0.0))
    text = text_of(write(study_page(replace(data, recordings=recordings)), tmp_path))
    assert "secret.webm R901 spot A 0 – – 0.47 1 no no consent" in text
    assert "Brightness of the face: 0 is black, 1 white." in text


def test_page_knows_which_stimuli_have_no_video(data: StudyData, tmp_path: Path) -> None:
    stimuli = data.stimuli.assign(file=[None, "b.webm"])
    html = write(study_page(replace(data, stimuli=stimuli)), tmp_path)
    assert [stimulus["has_video"] for stimulus in drawn_of(html)["stimuli"]] == [False, True]
    assert "This stimulus has no video." in html


def test_measures_without_any_value_cannot_be_chosen(data: StudyData, tmp_path: Path) -> None:
    empty = ["engagement", "attention", "yaw"]
    curves = data.curves.assign(mean=data.curves["mean"].where(~data.curves["measure"].isin(empty)))
    html = write(study_page(replace(data, curves=curves, steps=data.steps.assign(**dict.fromkeys(empty)))), tmp_path)
    assert {measure["name"] for measure in drawn_of(html)["measures"]} == set(MEASURES) - set(empty)
    assert "more measures are in" not in html
