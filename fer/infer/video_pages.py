"""What the page shows of each video: its people, their figures and strongest moments, smoothed and not."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd

from fer.reports.video_content import MAX_DETAILS, MAX_PERSONS, EmotionFigures, Peak, PersonFigures, VideoPage
from fer.video.media import Media

# A picture from further off would show another expression, seconds.
MAX_PICTURE_DISTANCE_S = 1.0
# Columns of the emotion table by basis: probabilities, and what leads.
SMOOTHED, RAW = ("s", "smoothed_emotion"), ("p", "emotion")
# Columns of videos.parquet; runs of earlier versions lack some.
_SHOWN_FACTS = ("codec", "duration_s", "fps", "sampled", "usable_share", "uncertain_share", "problem")


def build_video_pages(
    media: Sequence[Media],
    videos: pd.DataFrame,
    table: pd.DataFrame,
    thumbnails: pd.Series,
    classes: Sequence[str],
    all_faces: bool,
) -> list[VideoPage]:
    """Build what the page shows of each video.

    Args:
        media: The videos and images.
        videos: Their rows of videos.parquet, in the same order.
        table: The emotion table, smoothed.
        thumbnails: Encoded pictures of faces, by the table's index; None where a row has none.
        classes: Names of the classes.
        all_faces: Whether the table has all faces of a frame, so that nothing is said of all together.
    """
    # Only the first ones are shown in detail, and thousands of tables of one row would take minutes.
    detailed = {item.name for item in media[:MAX_DETAILS]}
    rows = dict(iter(table[table["video"].isin(detailed)].groupby("video")))
    usable = table[table["status"] == "ok"]
    tracks = usable.groupby("video")["track_id"].nunique().to_dict()
    leading = _find_leading(usable)
    pages, none = [], table[:0]
    records = videos[[name for name in _SHOWN_FACTS if name in videos]].to_dict("records")
    for item, facts in zip(media, records, strict=True):
        count = tracks.get(item.name, 0)
        page = VideoPage(
            name=item.name,
            source=item.remote or str(item.path),
            codec=str(facts.get("codec") or ""),
            duration_s=facts.get("duration_s"),
            fps=facts.get("fps"),
            sampled=facts["sampled"],
            usable_share=facts["usable_share"],
            uncertain_share=facts.get("uncertain_share"),
            rows=none,
            exclusions=[(facts["problem"], 1)] if facts["problem"] else [],
            persons=[],
            tracks=count,
            leading=None if all_faces and count > 1 else leading.get(item.name),
        )
        pages.append(_add_details(page, rows[item.name], thumbnails, classes, all_faces) if item.name in rows else page)
    return pages


def _find_leading(usable: pd.DataFrame) -> dict[str, str]:
    """The emotion that leads most often in each video, smoothed."""
    counts = usable.groupby(["video", "smoothed_emotion"]).size().rename("rows").reset_index()
    most = counts.sort_values("rows", ascending=False, kind="stable").drop_duplicates("video")
    return dict(zip(most["video"], most["smoothed_emotion"], strict=True))


def _add_details(
    page: VideoPage, rows: pd.DataFrame, thumbnails: pd.Series, classes: Sequence[str], all_faces: bool
) -> VideoPage:
    """The page with what is shown of a video in detail, from its rows of the emotion table."""
    excluded = rows[rows["status"] != "ok"]["reason"].value_counts()
    usable = rows[rows["status"] == "ok"]
    persons = _build_persons(usable, usable["track_id"].value_counts(), thumbnails, classes, all_faces)
    exclusions = [*page.exclusions, *((str(reason), int(count)) for reason, count in excluded.items())]
    return replace(page, rows=rows, exclusions=exclusions, persons=persons)


def _build_persons(
    usable: pd.DataFrame, frames: pd.Series, thumbnails: pd.Series, classes: Sequence[str], all_faces: bool
) -> list[PersonFigures]:
    """All faces as one, where there is one or the largest of each frame was taken, and the most frequent ones."""
    persons = []
    if len(frames) and not (all_faces and len(frames) > 1):
        persons.append(_build_person(None, usable, thumbnails, classes))
    if len(frames) > 1:
        persons += [
            _build_person(int(track), usable[usable["track_id"] == track], thumbnails, classes)
            for track in sorted(frames.index[:MAX_PERSONS])
        ]
    return persons


def _build_person(
    track: int | None, usable: pd.DataFrame, thumbnails: pd.Series, classes: Sequence[str]
) -> PersonFigures:
    pictures = thumbnails.loc[usable.index]
    smoothed, raw = (_build_figures(usable, pictures, classes, *basis) for basis in (SMOOTHED, RAW))
    after, before = (usable[[f"{kind}_{name}" for name in classes]].to_numpy(float) for kind in ("s", "p"))
    return PersonFigures(track, len(usable), smoothed, None if np.allclose(after, before, atol=5e-4) else raw)


def _build_figures(
    usable: pd.DataFrame, pictures: pd.Series, classes: Sequence[str], kind: str, leading: str
) -> EmotionFigures:
    columns = [f"{kind}_{name}" for name in classes]
    values, leads = usable[columns], usable[leading]
    per_emotion = pd.DataFrame(
        {
            "emotion": list(classes),
            "mean": values.mean().to_numpy(),
            "max": values.max().to_numpy(),
            "min": values.min().to_numpy(),
            "share": [float((leads == name).mean()) for name in classes],
        }
    )
    return EmotionFigures(per_emotion, _find_peaks(usable, pictures, classes, kind, leading))


def _find_peaks(
    usable: pd.DataFrame, pictures: pd.Series, classes: Sequence[str], kind: str, leading: str
) -> list[Peak]:
    """The moment at which each emotion is strongest, where it leads there, in the order of time."""
    pictured = usable[pictures.notna().to_numpy()]
    peaks = []
    for name in classes:
        led = usable[usable[leading] == name]
        if led.empty:
            continue
        row = led.iloc[int(led[f"{kind}_{name}"].to_numpy().argmax())]
        # Faces are kept where an emotion is strongest; smoothed otherwise later, the nearest one is shown.
        near = (pictured["time_s"] - row["time_s"]).abs() <= MAX_PICTURE_DISTANCE_S
        candidates = pictured[near & (pictured["track_id"] == row["track_id"])]
        image, picture_time = None, None
        if len(candidates):
            nearest = candidates.iloc[int((candidates["time_s"] - row["time_s"]).abs().to_numpy().argmin())]
            image, picture_time = _decode(pictures[nearest.name]), float(nearest["time_s"])
        peaks.append(
            Peak(name, float(row["time_s"]), float(row[f"{kind}_{name}"]), int(row["track_id"]), image, picture_time)
        )
    return sorted(peaks, key=lambda peak: peak.time_s)


def _decode(picture: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB))
