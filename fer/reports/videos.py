"""The report of an inference run: what ``report.html`` shows of each video and of the groups who watched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from fer.reports.group_page import GroupPage
from fer.reports.monitoring import build_monitoring_content
from fer.reports.page import build_script_policy, encode_json_for_script, read_script, render, write_page
from fer.reports.sources import Source, find_sources
from fer.reports.timelines import build_timeline

__all__ = ["GroupPage", "Peak", "VideoPage", "VideoReport", "write_video_report"]


@dataclass(frozen=True)
class Peak:
    """A moment at which an emotion is strongest. ``image`` is the face, (H, W, 3) RGB or (H, W) gray, uint8."""

    emotion: str
    time_s: float
    confidence: float
    image: np.ndarray


@dataclass(frozen=True)
class VideoPage:
    """What the page shows of one video or image.

    Attributes:
        name: Its name on the page.
        source: Path of the file, absolute or relative to the working directory.
        duration_s: Seconds; like ``fps`` and ``usable_share`` None or NaN where nothing could be opened.
        fps: Frames a second.
        sampled: Number of sampled frames.
        usable_share: Fraction of the sampled frames with a usable face, 0-1.
        rows: The emotion table's rows of this video.
        exclusions: (reason, number of rows).
        per_emotion: Columns emotion, mean, max, min and share (of the usable rows in which the emotion leads), all
            0-1 or NaN.
        peaks: Moments at which emotions are strongest.
    """

    name: str
    source: str
    duration_s: float | None
    fps: float | None
    sampled: int
    usable_share: float | None
    rows: pd.DataFrame
    exclusions: list[tuple[str, int]]
    per_emotion: pd.DataFrame
    peaks: list[Peak]


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
        monitoring: The content of monitoring.json, None without.
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
    monitoring: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Totals:
    unusable: int
    sampled: int
    usable_share: float | None


@dataclass(frozen=True)
class _PeakEntry:
    peak: Peak
    track: int | None


@dataclass(frozen=True)
class _VideoSection:
    page: VideoPage
    source: Source
    timeline: Mapping[str, Any] | None
    timeline_json: Markup
    per_emotion: list[dict[str, Any]]
    leading: str | None
    peaks: list[_PeakEntry]


def write_video_report(report: VideoReport, path: Path) -> None:
    """Write the page; it appears only once it is complete.

    Equal reports and equal source files give equal bytes. Sources are embedded or linked relatively to the page, see
    `find_sources`; a source that cannot be read is linked all the same.

    Args:
        report: What the page shows.
        path: The HTML file.

    Raises:
        ValueError: An image is not uint8 gray or RGB.
        OSError: The page cannot be written.
    """
    sources = find_sources([video.source for video in report.videos], path.parent)
    videos = [
        _build_video_section(video, source, report.classes)
        for video, source in zip(report.videos, sources, strict=True)
    ]
    has_timelines = any(video.timeline for video in videos)
    scripts = [get_plotlyjs(), read_script("videos.js")] if has_timelines else []
    stimuli = []
    if report.groups:
        # Imported here, because matplotlib is slow to start and only these figures need it.
        from fer.reports.group_figures import build_stimuli

        stimuli = build_stimuli(report.groups, report.classes)
    content = {
        "report": report,
        "videos": videos,
        "totals": _compute_totals(report.videos),
        "stimuli": stimuli,
        "monitoring": build_monitoring_content(report.monitoring) if report.monitoring else None,
        "comparison": report.groups.comparison.to_dict("records") if report.groups else [],
        "scripts": [Markup(script) for script in scripts],
        "policy": build_script_policy(scripts, "img-src data: file: 'self'; media-src data: file: 'self'"),
    }
    write_page(render("videos.html.j2", content), path)


def _build_video_section(video: VideoPage, source: Source, classes: Sequence[str]) -> _VideoSection:
    curves = build_timeline(video.rows, classes, video.duration_s)
    per_emotion = video.per_emotion.to_dict("records")
    known = video.per_emotion.dropna(subset=["share"])
    return _VideoSection(
        page=video,
        source=source,
        timeline=curves,
        timeline_json=encode_json_for_script(curves),
        per_emotion=[{str(key): value for key, value in row.items()} for row in per_emotion],
        leading=None if known.empty else str(known["emotion"].iloc[int(known["share"].to_numpy(dtype=float).argmax())]),
        peaks=[_PeakEntry(peak, _find_track(video.rows, peak)) for peak in video.peaks],
    )


def _find_track(rows: pd.DataFrame, peak: Peak) -> int | None:
    """Find the track of a peak: of the faces with its emotion at that time, the one nearest in confidence."""
    candidates = rows[(rows["emotion"] == peak.emotion) & ((rows["time_s"] - peak.time_s).abs() < 1e-6)]
    candidates = candidates.dropna(subset=["track_id"])
    if candidates.empty:
        return None
    distance = (candidates[f"p_{peak.emotion}"] - peak.confidence).abs().to_numpy(dtype=float)
    return int(candidates["track_id"].iloc[int(distance.argmin())])


def _compute_totals(videos: Sequence[VideoPage]) -> _Totals:
    sampled = sum(video.sampled for video in videos)
    usable = sum(video.sampled * (video.usable_share or 0) for video in videos if video.sampled)
    return _Totals(
        unusable=sum(not (video.rows["status"] == "ok").any() for video in videos),
        sampled=sampled,
        usable_share=usable / sampled if sampled else None,
    )
