import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from fer.reports.videos import EmotionFigures, Peak, PersonFigures, write_video_report
from tests.helpers.html import Page
from tests.helpers.video_report import (
    CLASSES,
    Write,
    broken_page,
    emotion_rows,
    group_page,
    per_emotion,
    person,
    row,
    video_page,
    video_report,
)

pytestmark = pytest.mark.slow


def data_of(html: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html)]


def test_every_given_figure_appears_rounded(source: Path, write: Write) -> None:
    broken = broken_page(source.with_name("broken.mp4"))
    text = Page(write(video_report([video_page(source), broken]))).text
    assert "Videos and images 2 1 without a usable face" in text
    assert "Sampled frames 20 With a usable face 90.0 %" in text
    assert "One note." in text
    assert "clip.mp4 20.0 s 20 90.0 % happiness" in text  # overview
    assert "broken.mp4 – 0 – –" in text
    assert "20.0 s, 10 frames a second · 20 frames sampled · 90.0 % with a usable face" in text
    assert "Each emotion (smoothed)" in text and "happiness 45.5 % 14.2 % 10.0 % 60.0 %" in text
    assert "Each emotion (raw)" in text and "happiness 45.5 % 14.2 % 5.0 % 70.0 %" in text
    assert "no face was found 2" in text and "moov atom not found 1" in text
    assert "sadness 60.0 % at 0:03.0 surprise 60.0 % at 0:13.0 (picture: 0:14.0)" in text
    assert "sadness 70.0 % at 0:03.0 surprise 70.0 % at 0:14.0" in text
    for given in ["python infer.py extraction.input=clips/", "Model outputs/train/run", "seed: 3 name: clips"]:
        assert given in text


def test_sections_stand_in_order(source: Path, write: Write) -> None:
    html = write(video_report([video_page(source)], groups=group_page()))
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", html) == [
        "Overview",
        "clip.mp4",
        "Groups",
        "Model",
        "Reproduce",
        "Environment",
        "Configuration",
        "What the figures mean, and what they do not",
    ]


def test_page_says_what_the_figures_are_not_and_what_the_law_is(source: Path, write: Write) -> None:
    text = Page(write(video_report([video_page(source)]))).text
    assert "It does not say what a person felt" in text
    assert "informed consent" in text
    assert "prohibited, save for medical or safety reasons (AI Act, Regulation (EU) 2024/1689, article 5(1)(f))" in text
    assert "must be told about it (article 50(3))" in text


def test_track_with_the_most_frames_is_shown_first(source: Path, write: Write) -> None:
    html = write(video_report([video_page(source)]))
    assert '<option value="0" selected>0 (18 frames)</option>' in html
    assert '<option value="1">1 (4 frames)</option>' in html
    alone = emotion_rows("clip")
    alone = alone[(alone["track_id"] != 1).fillna(True)]
    assert "<select" not in write(video_report([video_page(source, rows=alone, tracks=1)]))


def test_peaks_know_their_track(source: Path, write: Write) -> None:
    buttons = [
        tag for tag in Page(write(video_report([video_page(source)]))).attributes("button") if "data-time" in tag
    ]
    moments = [("3.0", "0"), ("13.0", "1"), ("3.0", "0"), ("14.0", "1")]
    assert [(tag["data-time"], tag["data-track"]) for tag in buttons] == moments


def test_linked_video_says_where_it_was(source: Path, write: Write) -> None:
    html = write(video_report([video_page(source.with_name("film.avi"))]))
    assert 'src="film.avi"' in html
    assert "This browser cannot play the file, or it no longer stands where it was:" in html


def test_image_has_a_picture_and_no_player(source: Path, write: Write) -> None:
    image = source.with_suffix(".png")
    image.write_bytes(b"picture")
    rows = emotion_rows("clip")[:1]
    nothing = {"duration_s": None, "fps": None, "exclusions": [], "persons": []}
    page = video_page(image, sampled=1, usable_share=1.0, rows=rows, tracks=1, **nothing)
    html = write(video_report([page]))
    assert "<video" not in html and 'class="still" src="data:image/png;base64,' in html
    assert "Image · 1 frame sampled · 100.0\u00a0% with a usable face" in html
    assert "Nothing: every sampled frame has a usable face." in html
    assert "<script" not in html and "script-src 'none'" in html


def test_page_asks_for_nothing_from_outside(source: Path, write: Write) -> None:
    html = write(video_report([video_page(source)], groups=group_page()))
    page = Page(html)
    assert {"link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.elements)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("data:image/jpeg;base64,", "data:video/mp4;base64,", "#"))
    scripts = [get_plotlyjs(), *re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)]
    assert len(scripts) == 2
    packed = re.findall(r'<script type="text/plain" id="plotly">(.*?)</script>', html)
    assert [gzip.decompress(base64.b64decode(text)).decode() for text in packed] == [get_plotlyjs()]
    policy = page.attributes("meta")[1]["content"]
    assert policy is not None and policy.startswith("default-src 'none'; img-src data: file: 'self'; ")
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy.endswith("script-src " + " ".join(f"'sha256-{digest}'" for digest in hashes))


def test_page_is_accessible(source: Path, write: Write) -> None:
    page = Page(write(video_report([video_page(source), video_page(source, name="again")], groups=group_page())))
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert max(ids.values()) == 1
    for _, attributes in page.elements:
        targets = [attributes.get("aria-labelledby"), (attributes.get("href") or "#").removeprefix("#")]
        assert all(target in ids for target in targets if target)
    assert all(header.get("scope") for header in page.attributes("th"))
    assert all(video["aria-label"] for video in page.attributes("video"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    sliders = [attributes for _, attributes in page.elements if attributes.get("role") == "slider"]
    assert [slider["aria-label"] for slider in sliders] == ["Position in clip.mp4", "Position in again"]
    assert all(slider["tabindex"] == "0" and slider["aria-valuemax"] == "20.0" for slider in sliders)


def test_hostile_text_stays_text(source: Path, write: Write) -> None:
    hostile = "</code></pre></script><script>alert(1)</script><img src=x onerror='1'>\"&{{ 7 * 7 }}"
    classes = [*CLASSES[:-1], hostile]
    rows = emotion_rows(hostile)
    rows = rows.rename(columns={f"{kind}_surprise": f"{kind}_{hostile}" for kind in "ps"})
    rows["emotion"] = rows["emotion"].replace("surprise", hostile)
    groups = group_page((hostile, "B"))
    for frame in (groups.curves, groups.comparison):
        frame["stimulus"] = hostile
        frame["emotion"] = frame["emotion"].replace("surprise", hostile)
    hostile_peak = Peak(hostile, 13.0, 0.7, 1, np.zeros((4, 4, 3), np.uint8), 13.0)
    video = video_page(
        source,
        name=hostile,
        rows=rows,
        exclusions=[(hostile, 1)],
        persons=[PersonFigures(None, 4, EmotionFigures(per_emotion(classes), [hostile_peak]), None)],
        codec=hostile,
    )
    fields = {"title": hostile, "command": hostile, "created": hostile, "notes": [hostile], "config_yaml": hostile}
    recall = {hostile: {"value": 0.1, "low": None, "high": None, "samples": 3}}
    fields["performance"] = {"split": hostile, "accuracy": recall[hostile], "recalls": recall, "data": [hostile]}
    fields |= {"model": {hostile: hostile}, "environment": {hostile: hostile}, "classes": classes, "groups": groups}
    html = write(video_report([video], **fields))
    page = Page(html)
    tags = Counter(tag for tag, _ in page.elements)
    assert tags["script"] == 3 and tags["img"] == 1  # data, Plotly and the page's own
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert page.text.count("<script>alert(1)</script>") >= 12
    assert "49" not in re.findall(r"\b49\b", page.text)
    assert data_of(html)[0]["tracks"][1]["raw"][6] == [None, *[700] * 4, None]


def test_data_cannot_end_its_script(source: Path, write: Write) -> None:
    html = write(video_report([video_page(source, name="</script>")]))
    assert len(data_of(html)) == 1


def test_equal_reports_give_equal_bytes(source: Path, write: Write) -> None:
    report = video_report([video_page(source)], groups=group_page())
    assert write(report) == write(report)


@pytest.mark.filterwarnings("error")
def test_only_broken_videos(source: Path, write: Write) -> None:
    text = Page(write(video_report([broken_page(source)]))).text
    assert "Videos and images 1 1 without a usable face Sampled frames 0 With a usable face –" in text
    assert "No frame could be analysed." in text
    assert "Plotly" not in text


@pytest.mark.filterwarnings("error")
def test_nothing_at_all(write: Write) -> None:
    assert "There was nothing to analyse." in write(video_report([]))


@pytest.mark.filterwarnings("error")
def test_video_whose_every_face_is_poor(source: Path, write: Write) -> None:
    rows = pd.DataFrame([row("clip", second, 0, "low_quality") for second in range(3)])
    nothing = broken_page(source)
    page = replace(
        nothing, name="clip", sampled=3, usable_share=0.0, rows=rows, exclusions=[("face smaller than 24 pixels", 3)]
    )
    html = write(video_report([page]))
    assert "<video" in html and 'class="chart"' not in html
    assert "face smaller than 24 pixels" in html


def test_groups_have_curves_and_a_comparison(source: Path, write: Write) -> None:
    page = Page(write(video_report([video_page(source)], groups=group_page())))
    labels = [(svg.get("aria-label") or "").replace("\u00a0", " ") for svg in page.attributes("svg")]
    assert (
        "Mean probability of happiness over seconds: A up to 80.0 % at second 11; B up to 40.0 % at second 11."
        in labels
    )
    shares = (
        "Share of respondents showing happiness over seconds: A up to 90.0 % at second 11; B up to 50.0 % at second 11."
    )
    assert shares in labels
    assert "A (10 respondents) " in page.text and "B (9 respondents) " in page.text
    assert "happiness A 40.0 % -10.0 % 90.0 % 90.0 % 11" in page.text
    assert "spot happiness A (10) – B (9) 40.0 % – 20.0 % +20.0 +5.0 to +35.0 +1.23 < 0.001 0.007" in page.text
    assert "spot surprise A (10) – B (9) 10.0 % – 12.1 % −2.1 −5.1 to +0.9 −0.40 0.310 0.930" in page.text
    assert "spot sadness A (10) – B (9) 10.0 % – 10.0 % 0.0 – – –" in page.text
    assert "smallest possible p" not in page.text
    assert "changes against" not in page.text


def test_changes_against_a_baseline_are_called_so(source: Path, write: Write) -> None:
    text = Page(write(video_report([video_page(source)], groups=group_page(baseline_seconds=5)))).text
    assert "Probabilities are changes against each respondent’s own mean of the first 5 s." in text
    assert "respondents’ mean change of probability" in text


def test_nothing_is_left_behind_when_a_picture_is_refused(source: Path, tmp_path: Path) -> None:
    bad = person(smoothed_peaks=[Peak("fear", 1.0, 0.5, 0, np.zeros((4, 4), np.float32), 1.0)])
    video = video_page(source, persons=[bad])
    with pytest.raises(ValueError, match="a picture is"):
        write_video_report(video_report([video]), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == [source]


def test_a_small_group_is_told_its_smallest_p_and_has_no_band(source: Path, write: Write) -> None:
    groups = group_page()
    groups.comparison[["respondents_a", "respondents_b", "p_smallest"]] = [4, 4, 2 / 70]
    groups.curves.loc[groups.curves["group"] == "B", ["low", "high"]] = np.nan
    text = Page(write(video_report([video_page(source)], groups=groups))).text
    assert (
        "With 4 against 4 respondents the smallest possible p is 0.029, however large the difference; corrected, one "
        "such row among 6 otherwise equal ones has 0.171." in text
    )
    assert "Without a band, because fewer than 5 respondents were seen: B." in text
    assert "withheld where fewer than 5 respondents were seen" in text
    groups.comparison[["respondents_a", "respondents_b", "p_smallest"]] = [3, 3, 0.1]
    text = Page(write(video_report([video_page(source)], groups=groups))).text
    assert "the smallest possible p is 0.100, however large the difference: no difference can fall below 0.05." in text
