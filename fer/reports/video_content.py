"""What the page of an inference run is made of, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from fer.metrics.uncertainty import ConfidenceRule
from fer.reports.group_page import GroupPage

# Of how many videos and images the page shows details, and how many people of each; the tables beside it have all.
MAX_DETAILS = 12
MAX_PERSONS = 8


@dataclass(frozen=True)
class Peak:
    """A moment at which an emotion is strongest.

    Attributes:
        emotion: The emotion.
        time_s: The moment.
        value: The emotion's probability then.
        track: Whose face it is.
        image: The face, (H, W, 3) RGB or (H, W) gray, uint8; None without a picture.
        picture_time_s: When that picture was taken: the nearest moment of which there is one.
        explanation: Where the model looked in it for the emotion, (side, side, 3) RGB uint8; None where not asked.
    """

    emotion: str
    time_s: float
    value: float
    track: int | None = None
    image: np.ndarray | None = None
    picture_time_s: float | None = None
    explanation: np.ndarray | None = None


@dataclass(frozen=True)
class EmotionFigures:
    """Figures of a person on one basis, smoothed or not.

    Attributes:
        per_emotion: Columns emotion, mean, max, min and share (of the usable rows in which the emotion leads), all 0-1.
        peaks: Moments at which emotions are strongest.
    """

    per_emotion: pd.DataFrame
    peaks: list[Peak]


@dataclass(frozen=True)
class PersonFigures:
    """Figures of one person of a video, or of all of its faces.

    Attributes:
        track: The person; None for all faces of the video, whose they are.
        frames: Usable rows.
        smoothed: What the curves show.
        raw: The same before smoothing; None where smoothing changed nothing.
    """

    track: int | None
    frames: int
    smoothed: EmotionFigures
    raw: EmotionFigures | None


@dataclass(frozen=True)
class VideoPage:
    """What the page shows of one video or image.

    Attributes:
        name: Its name on the page.
        source: Path of the file, absolute or relative to the working directory.
        codec: Of the video stream, as FFmpeg names it; empty where it is not known.
        duration_s: Seconds; like ``fps`` and ``usable_share`` None or NaN where nothing could be opened.
        fps: Frames a second.
        sampled: Number of sampled frames.
        usable_share: Fraction of the sampled frames with a usable face, 0-1.
        rows: The emotion table's rows of this video.
        exclusions: (reason, number of rows).
        persons: Figures of people, at most MAX_PERSONS and all faces together.
        tracks: Number of people, as far as the tracker can tell.
        leading: The emotion that leads most often; None without one, or where it would be one of several people.
        uncertain_share: Fraction of the usable rows whose emotion is uncertain, 0-1; None or NaN where it is not known.
    """

    name: str
    source: str
    codec: str
    duration_s: float | None
    fps: float | None
    sampled: int
    usable_share: float | None
    rows: pd.DataFrame
    exclusions: list[tuple[str, int]]
    persons: list[PersonFigures]
    tracks: int
    leading: str | None
    uncertain_share: float | None = None


@dataclass(frozen=True)
class VideoReport:
    """Everything an inference run's page is made of.

    Attributes:
        title: Heading of the page.
        command: What started the run.
        created: When it started.
        notes: Remarks for the top of the page.
        videos: The videos and images, in their order.
        classes: Names of the classes, in their order.
        groups: Metrics over respondents, None without groups.
        model: Facts about the model, by name.
        environment: Facts about machine and code, by name.
        config_yaml: Text of the configuration.
        smoothing: How curves are smoothed ("exponential, 1 s"); None where they are not.
        performance: What is known of the model, see ``fer.reports.performance``.
        monitoring: The content of monitoring.json, None without.
        confidence_rule: Below which confidence a face is uncertain; None where the model does not say.
        uncertain_share: Fraction of all usable rows that are; None where it is not known.
        recordings: Whether the page holds small videos and images, links all of them, or shows none.
    """

    title: str
    command: str
    created: str
    notes: list[str]
    videos: list[VideoPage]
    classes: list[str]
    groups: GroupPage | None
    model: dict[str, str]
    environment: dict[str, str]
    config_yaml: str
    smoothing: str | None = None
    performance: Mapping[str, Any] | None = None
    monitoring: Mapping[str, Any] | None = None
    confidence_rule: ConfidenceRule | None = None
    uncertain_share: float | None = None
    recordings: Literal["embedded", "linked", "hidden"] = "embedded"
