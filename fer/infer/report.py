"""The stage report of infer.py: from finished chunks to the emotion table, summaries by video and group, and a page."""

import shlex
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer.config import Config
from fer.core.installation import format_command
from fer.core.io import atomic_write
from fer.core.progress import track_progress
from fer.core.run_layout import REPORT_HTML, VIDEO_PREDICTIONS, VIDEOS_PARQUET
from fer.emotions import EMOTIONS, list_emotions
from fer.errors import UserError
from fer.infer.chunk_store import ChunkStore
from fer.infer.monitoring import write_monitoring
from fer.infer.smoothing import smooth
from fer.infer.summary import summarize_videos
from fer.infer.table import ROW_COLUMNS, build_table
from fer.reports.videos import GroupPage, Peak, VideoPage, VideoReport, write_video_report
from fer.runs.run_directory import Run
from fer.video.annotate import annotate
from fer.video.media import Media


def write_report(config: Config, run: Run, media: Sequence[Media]) -> dict[str, Any]:
    """Write all tables, monitoring.json and report.html.

    Args:
        config: The configuration of infer.py.
        run: The run, whose videos are finished.
        media: What it looks at.

    Returns:
        The content of monitoring.json.

    Raises:
        UserError: Faces are not classified yet, or the monitoring, labels or groups cannot be used.
    """
    cfg, smoothing = config.extraction, config.extraction.smoothing
    stores = [ChunkStore.for_video(run.directory, number) for number in range(len(media))]
    chunks, classes = _read_chunks(stores, run.directory)
    thumbnails = chunks.pop("picture")
    table = smooth(chunks, smoothing.kind, smoothing.window_s, smoothing.max_gap_s)
    _write_table(table, run.directory / VIDEO_PREDICTIONS)
    videos = summarize_videos(table, pd.DataFrame([store.completion_record() for store in stores]))
    with atomic_write(run.directory / VIDEOS_PARQUET) as temporary:
        videos.to_parquet(temporary, index=False)
    monitoring = write_monitoring(config, run, table, videos)
    group_page = _write_groups(config, run.directory, table, [item.name for item in media]) if cfg.groups else None
    if cfg.annotate:
        readable = [item for item, store in zip(media, stores, strict=True) if store.list_chunks()]
        for item in track_progress(readable, len(readable), "Annotating", "videos"):
            annotate(item, table[table["video"] == item.name], run.directory / "annotated")
    pages = [
        _build_video_page(item, row, table, thumbnails, classes)
        for item, row in zip(media, videos.to_dict("records"), strict=True)
    ]
    report = VideoReport(
        title=config.name,
        command="python " + shlex.join(run.provenance["command"]),
        created=str(run.provenance["start"]),
        notes=_build_notes(config),
        videos=pages,
        classes=classes,
        groups=group_page,
        model={"Model": str(config.model_uri)},
        environment={key: str(run.provenance[key]) for key in ("python", "platform", "processor", "git_commit")},
        config_yaml=run.config_text,
        monitoring=monitoring,
    )
    write_video_report(report, run.directory / REPORT_HTML)
    return monitoring


def _read_chunks(stores: Sequence[ChunkStore], directory: Path) -> tuple[pd.DataFrame, list[str]]:
    """All chunks as one table, and its classes. Raises UserError where faces are not classified yet."""
    tables = [store.read() for store in stores if store.list_chunks()]
    chunks = pd.concat(tables, ignore_index=True) if tables else build_table([])
    classes = list_emotions(chunks) or list(EMOTIONS)
    # Where no video could be opened there are no rows, but columns.
    chunks = chunks.reindex(
        columns=[*ROW_COLUMNS, *(f"p_{name}" for name in classes), "emotion", "confidence", "picture"]
    )
    if chunks.loc[chunks["status"] == "ok", "emotion"].isna().any():
        raise UserError(
            f"{directory}: some faces are not judged yet; go on with "
            f"`{format_command('infer.py')} {shlex.quote(f'resume={directory}')} extraction.stages=[predict,report]`"
        )
    return chunks, classes


def _write_table(table: pd.DataFrame, path: Path) -> None:
    """The same rows as .parquet and as .csv."""
    with atomic_write(path.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)
    with atomic_write(path.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def _write_groups(config: Config, directory: Path, table: pd.DataFrame, videos: Sequence[str]) -> GroupPage:
    """Curves and comparison over respondents, as tables and for the page."""
    # Its tests are slow to import, and few runs have groups.
    from fer.infer.group_analysis import compare_groups, compute_group_curves, read_groups, subtract_baseline

    cfg = config.extraction
    groups = read_groups(Path(str(cfg.groups)), videos)
    if cfg.baseline_seconds:
        table = subtract_baseline(table, cfg.baseline_seconds)
    curves = compute_group_curves(table, groups, seed=config.seed)
    comparison = compare_groups(table, groups, seed=config.seed)
    _write_table(curves, directory / "group_curves")
    _write_table(comparison, directory / "group_comparison")
    return GroupPage(curves, comparison, cfg.baseline_seconds)


def _build_video_page(
    item: Media, row: dict[Hashable, Any], table: pd.DataFrame, thumbnails: pd.Series, classes: Sequence[str]
) -> VideoPage:
    """What the page shows of one video, whose row of videos.parquet is ``row``."""
    rows = table[table["video"] == item.name]
    excluded = rows[rows["status"] != "ok"]["reason"].value_counts()
    per_emotion = pd.DataFrame(
        [
            {"emotion": name, **{key: row[f"{key}_{name}"] for key in ("mean", "max", "min", "share")}}
            for name in classes
        ]
    )
    return VideoPage(
        name=item.name,
        source=item.remote or str(item.path),
        duration_s=row.get("duration_s"),
        fps=row.get("fps"),
        sampled=row["sampled"],
        usable_share=row["usable_share"],
        rows=rows,
        exclusions=[
            *([(row["problem"], 1)] if row["problem"] else []),
            *((str(reason), int(count)) for reason, count in excluded.items()),
        ],
        per_emotion=per_emotion,
        peaks=_find_peaks(rows, thumbnails, classes),
    )


def _find_peaks(rows: pd.DataFrame, thumbnails: pd.Series, classes: Sequence[str]) -> list[Peak]:
    """The face at which each emotion is strongest, where it leads there, in the order of time."""
    peaks = []
    pictured = rows.assign(picture=thumbnails.loc[rows.index]).dropna(subset="picture")
    for name in classes:
        leading = pictured[pictured["emotion"] == name]
        if leading.empty:
            continue
        row = leading.iloc[int(leading[f"p_{name}"].to_numpy().argmax())]
        face = cv2.imdecode(np.frombuffer(row["picture"], np.uint8), cv2.IMREAD_COLOR_RGB)
        peaks.append(Peak(name, float(row["time_s"]), float(row[f"p_{name}"]), np.asarray(face)))
    return sorted(peaks, key=lambda peak: peak.time_s)


def _build_notes(config: Config) -> list[str]:
    """Remarks for the top of the page."""
    if config.extraction.input is None:
        return ["No input was named: this is a drawn clip, to show the page. Name videos with extraction.input=…"]
    return []
