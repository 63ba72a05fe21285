"""The report of an inference run: what ``report.html`` shows of each video and of the groups who watched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from fer.metrics.small_samples import MIN_RESPONDENTS
from fer.reports.group_page import GroupPage, list_small_tests
from fer.reports.monitoring import build_monitoring_content
from fer.reports.page import build_script_policy, encode_json_for_script, read_script, render, write_page
from fer.reports.performance import build_performance_content
from fer.reports.plotly import compress_plotly
from fer.reports.sources import EMBED_LIMIT, Source, find_sources
from fer.reports.timelines import MAX_POINTS, MAX_TRACKS, build_timeline
from fer.reports.video_content import (
    MAX_DETAILS,
    EmotionFigures,
    Peak,
    PersonFigures,
    VideoPage,
    VideoReport,
)

__all__ = ["EmotionFigures", "GroupPage", "Peak", "PersonFigures", "VideoPage", "VideoReport", "write_video_report"]

# Longer pages are slow to open and awkward to send.
MAX_BYTES = 5_000_000
# The tables beside the page have all videos and tests.
MAX_OVERVIEW_ROWS, MAX_COMPARISON_ROWS = 300, 210
# Points of all curves of a page together.
MAX_PAGE_POINTS = 20_000
MIN_POINTS = 200


@dataclass(frozen=True)
class _Limits:
    """How much of a report its page holds: bytes of embedded videos, videos and stimuli in detail."""

    embedded: int
    details: int
    stimuli: int


# The first whose page is within MAX_BYTES is taken.
_LIMITS = (
    _Limits(EMBED_LIMIT, MAX_DETAILS, 6),
    _Limits(0, MAX_DETAILS, 6),
    _Limits(0, MAX_DETAILS // 3, 3),
    _Limits(0, 1, 1),
    _Limits(0, 0, 0),
)


@dataclass(frozen=True)
class _Totals:
    unusable: int
    sampled: int
    usable_share: float | None


@dataclass(frozen=True)
class _VideoSection:
    page: VideoPage
    source: Source
    timeline: Mapping[str, Any] | None
    timeline_json: Markup


def write_video_report(report: VideoReport, path: Path) -> None:
    """Write the page; it appears only once it is complete.

    Equal reports and equal source files give equal bytes. Sources are embedded or linked relatively to the page, see
    `find_sources`; a source that cannot be read is linked all the same. A page of many or long videos shows the first
    ones in detail, so that it stays below MAX_BYTES, and names the tables that hold the rest.

    Args:
        report: What the page shows.
        path: The HTML file.

    Raises:
        ValueError: An image is not uint8 gray or RGB.
        OSError: The page cannot be written.
    """
    for limits in _LIMITS:
        html = _render_report(report, path.parent, limits)
        if len(html.encode(errors="replace")) < MAX_BYTES:
            break
    write_page(html, path)


def _render_report(report: VideoReport, folder: Path, limits: _Limits) -> str:
    detailed = report.videos[: limits.details]
    listed = report.videos[:MAX_OVERVIEW_ROWS]
    embedded = limits.embedded if report.recordings == "embedded" else 0
    sources = find_sources([video.source for video in detailed], folder, embedded)
    sources += find_sources([video.source for video in listed[len(detailed) :]], folder, 0)
    tracks = sum(min(video.tracks, MAX_TRACKS) for video in detailed)
    points = min(MAX_POINTS, max(MIN_POINTS, MAX_PAGE_POINTS // max(tracks, 1)))
    sections = [
        _build_video_section(video, source, report.classes, points)
        for video, source in zip(detailed, sources, strict=False)
    ]
    scripts = _read_scripts(sections)
    stimuli, all_stimuli = [], 0
    if report.groups:
        # Imported here, because matplotlib is slow to start and only these figures need it.
        from fer.reports.group_figures import build_stimuli

        all_stimuli = report.groups.curves["stimulus"].nunique()
        stimuli = build_stimuli(report.groups, report.classes, limits.stimuli)
    comparison = report.groups.comparison.to_dict("records") if report.groups else []
    has_charts = any(section.timeline for section in sections)
    content = {
        "report": report,
        "videos": sections,
        "overview": list(zip(listed, sources, strict=True)),
        "totals": _compute_totals(report.videos),
        "performance": build_performance_content(report.performance, report.classes),
        "has_raw": any(person.raw for video in detailed for person in video.persons),
        "stimuli": stimuli,
        "hidden_stimuli": all_stimuli - len(stimuli),
        "monitoring": build_monitoring_content(report.monitoring) if report.monitoring else None,
        "min_respondents": MIN_RESPONDENTS,
        "small_tests": list_small_tests(report.groups) if report.groups else [],
        "comparison": comparison[:MAX_COMPARISON_ROWS],
        "hidden_comparison": max(0, len(comparison) - MAX_COMPARISON_ROWS),
        "scripts": [Markup(script) for script in scripts],
        "plotly": compress_plotly() if has_charts else None,
        "policy": build_script_policy(
            # The browser unpacks Plotly, and checks its hash as that of any script.
            [get_plotlyjs(), *scripts] if has_charts else scripts,
            "img-src data: file: 'self'; media-src data: file: 'self'",
        ),
    }
    return render("videos.html.j2", content)


def _read_scripts(sections: Sequence[_VideoSection]) -> list[str]:
    has_player = any(section.source.kind == "video" and section.page.sampled for section in sections)
    return [read_script("videos.js")] if has_player or any(section.timeline for section in sections) else []


def _build_video_section(video: VideoPage, source: Source, classes: Sequence[str], points: int) -> _VideoSection:
    curves = build_timeline(video.rows, classes, video.duration_s, points)
    return _VideoSection(video, source, curves, encode_json_for_script(curves))


def _compute_totals(videos: Sequence[VideoPage]) -> _Totals:
    sampled = sum(video.sampled for video in videos)
    usable = sum(video.sampled * (video.usable_share or 0) for video in videos if video.sampled)
    return _Totals(
        unusable=sum(not video.tracks for video in videos),
        sampled=sampled,
        usable_share=usable / sampled if sampled else None,
    )
