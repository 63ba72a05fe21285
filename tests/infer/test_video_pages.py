"""What the page shows of videos: on which basis, of whom, and of how many."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer.emotions import EMOTIONS
from fer.infer.smoothing import smooth
from fer.infer.summary import summarize_persons, summarize_videos
from fer.infer.video_pages import build_video_pages
from fer.reports.video_content import MAX_DETAILS, MAX_PERSONS, VideoPage
from fer.video.media import Media
from tests.helpers.emotion_table import excluded, happy, table_of, usable


def pages_of(table: pd.DataFrame, all_faces: bool = False, pictured: tuple[int, ...] = ()) -> list[VideoPage]:
    """The pages of a smoothed table; rows whose positions are in ``pictured`` have a face of that gray value."""
    names = list(dict.fromkeys(table["video"]))
    facts = pd.DataFrame({"video": names, "problem": "", "duration_s": 20.0, "fps": 10.0, "codec": "h264"})
    thumbnails = pd.Series(None, index=table.index, dtype=object)
    for place in pictured:
        picture = np.full((8, 8, 3), place, np.uint8)
        thumbnails.iloc[place] = cv2.imencode(".png", picture)[1].tobytes()
    media = [Media(Path(name), name, "video") for name in names]
    return build_video_pages(media, summarize_videos(table, facts), table, thumbnails, EMOTIONS, all_faces)


def test_moments_and_tables_are_those_of_the_curves_and_the_raw_ones_stand_beside() -> None:
    """A spike of one frame is 96 % before smoothing and less after it."""
    table = smooth(usable("a", range(9), happy([0.1, 0.1, 0.6, 0.1, 0.7, 0.96, 0.7, 0.1, 0.1])), "median", 3.0, 9.0)
    (page,) = pages_of(table, pictured=(2, 5))
    (person,) = page.persons
    smoothed = next(peak for peak in person.smoothed.peaks if peak.emotion == "happiness")
    assert person.raw is not None
    raw = next(peak for peak in person.raw.peaks if peak.emotion == "happiness")
    assert (raw.time_s, raw.value) == (5.0, 0.96)
    row = table[table["time_s"] == smoothed.time_s].iloc[0]
    assert smoothed.value == row["s_happiness"] == table["s_happiness"].max() < 0.9
    for figures, kind in ((person.smoothed, "s"), (person.raw, "p")):
        known = figures.per_emotion.set_index("emotion").loc["happiness"]
        assert (known["max"], known["mean"]) == (table[f"{kind}_happiness"].max(), table[f"{kind}_happiness"].mean())
        assert known["share"] == (table["smoothed_emotion" if kind == "s" else "emotion"] == "happiness").mean()


def test_a_picture_is_of_the_moment_or_says_when_it_was_taken() -> None:
    table = smooth(usable("a", [0, 1, 5], happy([0.6, 0.9, 0.7])), "none", 1, 9)
    by_place = {}
    for places in ((1,), (0,), (2,)):
        (peak,) = pages_of(table, pictured=places)[0].persons[0].smoothed.peaks
        by_place[places] = (peak.time_s, peak.picture_time_s, None if peak.image is None else int(peak.image[0, 0, 0]))
    # One from four seconds later would show another expression.
    assert by_place == {(1,): (1.0, 1.0, 1), (0,): (1.0, 0.0, 0), (2,): (1.0, None, None)}
    assert pages_of(table)[0].persons[0].raw is None


def test_people_are_figured_by_themselves() -> None:
    table = table_of(
        usable("a", [0, 1, 2], happy([0.9, 0.9, 0.9]), track=0), usable("a", [0, 1], happy([0.1, 0.1]), track=1)
    )
    table = smooth(table, "none", 1, 9)
    (page,) = pages_of(table, all_faces=True)
    assert (page.tracks, page.leading) == (2, None)
    assert [(person.track, person.frames) for person in page.persons] == [(0, 3), (1, 2)]
    means = [person.smoothed.per_emotion.set_index("emotion").at["happiness", "mean"] for person in page.persons]
    assert means == [0.9, 0.1]
    # Where the largest face of each frame was taken, all together come first.
    (page,) = pages_of(table)
    assert [person.track for person in page.persons] == [None, 0, 1]
    assert page.leading == "happiness"
    persons = summarize_persons(table)
    assert persons[["video", "track_id", "usable_rows", "first_s", "last_s"]].to_numpy().tolist() == [
        ["a", 0, 3, 0.0, 2.0],
        ["a", 1, 2, 0.0, 1.0],
    ]
    assert persons["mean_happiness"].tolist() == persons["smoothed_mean_happiness"].tolist() == [0.9, 0.1]
    assert persons["share_happiness"].tolist() == [1.0, 0.0]


def test_only_the_first_videos_and_the_most_frequent_people_are_shown_in_detail() -> None:
    crowd = [usable("crowd", range(1 + track), happy([0.5] * (1 + track)), track=track) for track in range(12)]
    others = [usable(f"v{place}", [0], happy([0.9])) for place in range(20)]
    pages = pages_of(smooth(table_of(*crowd, *others, excluded("empty", [0])), "none", 1, 9), all_faces=True)
    assert [person.track for person in pages[0].persons] == list(range(12 - MAX_PERSONS, 12))
    assert pages[0].tracks == 12
    assert [bool(page.persons) for page in pages] == [True] * MAX_DETAILS + [False] * (len(pages) - MAX_DETAILS)
    assert {page.leading for page in pages[1:-1]} == {"happiness"}
    assert (pages[-1].tracks, pages[-1].leading, len(pages[-1].rows)) == (0, None, 0)
