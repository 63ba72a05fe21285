"""WebVTT and ELAN: read by small readers of their own, whatever the names hold."""

import dataclasses
import html
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from fer.reports.study_data import StudyData
from fer.study.exports.export import export_study
from fer.study.exports.moments import list_moments
from tests.helpers.exported_study import DEFINITIONS

TIMING = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})")


def read_vtt(path: Path) -> list[tuple[float, float, str]]:
    """After the rules of WebVTT: blocks between empty lines, a line of times, then text up to the next empty line."""
    head, *blocks = path.read_text(encoding="utf-8").strip("\n").split("\n\n")
    assert head == "WEBVTT"
    cues = []
    for block in blocks:
        timing, *text = block.strip("\n").split("\n")
        found = TIMING.fullmatch(timing)
        assert found, timing
        numbers = [int(number) for number in found.groups()]
        start_s, end_s = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:]))
        assert text
        assert not re.search(r"-->|<|&(?!amp;|lt;|gt;)", "".join(text))
        cues.append((start_s, end_s, html.unescape("\n".join(text))))
    return cues


def read_eaf(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    """Tiers with their annotations; checks what EAF 3.0 asks of a document."""
    text = path.read_text(encoding="utf-8")
    assert "<!DOCTYPE" not in text
    assert "<!ENTITY" not in text
    root = ElementTree.fromstring(text)
    assert root.tag == "ANNOTATION_DOCUMENT"
    assert {"AUTHOR", "DATE", "FORMAT", "VERSION"} <= set(root.attrib)
    order = [element.tag for element in root]
    assert order == ["HEADER", "TIME_ORDER", *["TIER"] * len(root.findall("TIER")), "LINGUISTIC_TYPE"]
    assert root.find("HEADER").get("TIME_UNITS") == "milliseconds"  # type: ignore[union-attr]
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", "")) for slot in root.iter("TIME_SLOT")}
    assert len(slots) == len(list(root.iter("TIME_SLOT")))
    assert all(earlier <= later for earlier, later in pairwise(slots.values()))
    ids = [element.get("ANNOTATION_ID") for element in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(ids) == len(set(ids))
    kinds = {element.get("LINGUISTIC_TYPE_ID") for element in root.findall("LINGUISTIC_TYPE")}
    tiers: dict[str, list[tuple[int, int, str]]] = {}
    for tier in root.findall("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") in kinds
        name = tier.get("TIER_ID", "")
        assert name not in tiers
        tiers[name] = [
            (
                slots[element.get("TIME_SLOT_REF1")],
                slots[element.get("TIME_SLOT_REF2")],
                element.findtext("ANNOTATION_VALUE") or "",
            )
            for element in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        # ELAN allows no overlap on one tier.
        assert all(start < end for start, end, _ in tiers[name])
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(tiers[name]))
    return tiers


def test_captions_tell_the_moments_in_the_order_of_time(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["webvtt"], DEFINITIONS)
    assert sorted(path.name for path in tmp_path.glob("*.vtt")) == ["moments_ad_a.vtt", "moments_ad_b.vtt"]
    cues = read_vtt(tmp_path / "moments_ad_a.vtt")
    assert len(cues) == 8
    assert [cue[0] for cue in cues] == sorted(cue[0] for cue in cues)
    assert cues[0] == (0.2, 1.1, "happiness 0.8 (no. 1)")
    assert (1.2, 2.1, "valence 0.7 (no. 2, sound)") in cues


def test_captions_of_hostile_names_are_one_line_each(hostile: StudyData, tmp_path: Path) -> None:
    moments = hostile.moments.assign(condition="a\n\n00:00:00.000 --> 00:00:09.000\n<b>&amp;\x00\u2028</b>")
    export_study(dataclasses.replace(hostile, moments=moments), tmp_path, ["webvtt"], DEFINITIONS)
    files = sorted(tmp_path.glob("*.vtt"))
    assert len(files) == len(hostile.stimuli)
    for path in files:
        cues = read_vtt(path)
        assert len(cues) == len(hostile.moments) / len(hostile.stimuli)
        assert all("<b>&amp; </b>" in text and "\n" not in text for _, _, text in cues)


def test_moments_beyond_an_hour_before_the_onset_or_without_length_have_times(study: StudyData, tmp_path: Path) -> None:
    moments = study.moments[study.moments["stimulus"] == "ad_a"].head(4).copy()
    moments["start_s"], moments["end_s"] = [3_599.9996, -1.0, 5.0, np.nan], [360_000.5, -0.5, 5.0, 7.0]
    data = dataclasses.replace(study, moments=moments)
    export_study(data, tmp_path, ["webvtt", "elan"], DEFINITIONS)
    times = [cue[:2] for cue in read_vtt(tmp_path / "moments_ad_a.vtt")]
    assert times == [(0.0, 0.001), (5.0, 5.001), (3600.0, 360_000.5)]
    tiers = read_eaf(tmp_path / "annotations_ad_a.eaf")
    annotated = [times[:2] for name, tier in tiers.items() if name.startswith("moments") for times in tier]
    assert sorted(annotated) == [(0, 1), (5000, 5001), (3_600_000, 360_000_500)]
    assert read_vtt(tmp_path / "moments_ad_b.vtt") == []


def test_moments_are_listed_the_strongest_first(study: StudyData) -> None:
    listed = list_moments(study, "ad_b")[["rank", "measure"]].values.tolist()
    assert listed == [[rank, measure] for rank in (1, 2) for measure in ("happiness", "valence") for _ in range(2)]


def test_tiers_hold_scenes_events_and_moments(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["elan"], DEFINITIONS)
    path = tmp_path / "annotations_ad_a.eaf"
    tiers = read_eaf(path)
    assert list(tiers) == [
        *("scenes", "scenes 2", "events", "moments happiness", "moments happiness sound", "moments valence"),
        "moments valence sound",
    ]
    assert tiers["scenes"] == [(0, 2000, "intro")]
    assert tiers["scenes 2"] == [(1500, 4000, "=end & <b>")]
    assert tiers["events"] == [(1000, 3000, "intro")]
    assert tiers["moments happiness"] == [(200, 1100, "happiness 0.8 (no. 1)"), (1200, 2100, "happiness 0.7 (no. 2)")]
    media = ElementTree.parse(path).find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None
    assert media.attrib == {"MEDIA_URL": "./ad.mp4", "RELATIVE_MEDIA_URL": "./ad.mp4", "MIME_TYPE": "video/mp4"}
    assert ElementTree.parse(tmp_path / "annotations_ad_b.eaf").find("HEADER/MEDIA_DESCRIPTOR") is None


@pytest.mark.parametrize("kind", ["hostile", "empty"])
def test_every_stimulus_has_a_valid_document(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data = request.getfixturevalue(kind)
    segments = data.segments.assign(segment=[f"\x00\ufffe]]><&\"'{name}" for name in data.segments["segment"]])
    export_study(dataclasses.replace(data, segments=segments), tmp_path, ["elan"], DEFINITIONS)
    files = list(tmp_path.glob("*.eaf"))
    assert len(files) == len(data.stimuli)
    for path in files:
        assert read_eaf(path)["scenes"][0] == (0, 2000, "]]><&\"'intro")
