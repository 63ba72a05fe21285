"""The report stage of infer.py: from finished pieces to the emotion table, figures per video and group, and a page."""

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
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.infer import smoothing as timeline
from fer.infer import summary
from fer.infer.chunk_store import ChunkStore
from fer.infer.monitoring import write_monitoring
from fer.infer.table import ROW_COLUMNS, build_table
from fer.reports.videos import GroupPage, Peak, VideoPage, VideoReport, write_video_report
from fer.runs.run_directory import Run
from fer.video.annotate import annotate
from fer.video.media import Media


def write_report(config: Config, run: Run, media: Sequence[Media]) -> dict[str, Any]:
    """Write all tables, monitoring.json and report.html; returns the content of monitoring.json.

    Raises UserError where faces are not judged yet.
    """
    cfg = config.extraction
    stores = [ChunkStore.for_video(run.directory, number) for number in range(len(media))]
    tables = [part.read() for part in stores if part.list_chunks()]
    pieces = pd.concat(tables, ignore_index=True) if tables else build_table([])
    classes = [str(column)[2:] for column in pieces if str(column).startswith("p_")] or list(EMOTIONS)
    # Where no video could be opened there are no rows, but columns.
    pieces = pieces.reindex(
        columns=[*ROW_COLUMNS, *(f"p_{name}" for name in classes), "emotion", "confidence", "picture"]
    )
    if pieces.loc[pieces["status"] == "ok", "emotion"].isna().any():
        raise UserError(
            f"{run.directory}: some faces are not judged yet; go on with "
            f"`{format_command('infer.py')} resume={run.directory} extraction.stages=[predict,report]`"
        )
    thumbnails = pieces.pop("picture")
    smoothing = cfg.smoothing
    table = timeline.smooth(pieces, smoothing.kind, smoothing.window_s, smoothing.max_gap_s)
    _write_table(table, run.directory / VIDEO_PREDICTIONS)
    records = pd.DataFrame([part.completion_record() for part in stores])
    videos = summary.summarize_videos(table, records)
    with atomic_write(run.directory / VIDEOS_PARQUET) as beside:
        videos.to_parquet(beside, index=False)
    monitoring = write_monitoring(config, run, table, videos)
    group_page = _write_groups(config, run.directory, table, [item.name for item in media]) if cfg.groups else None
    if cfg.annotate:
        readable = [item for item, part in zip(media, stores, strict=True) if part.list_chunks()]
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


def _write_table(table: pd.DataFrame, stem: Path) -> None:
    """The same rows as .parquet and as .csv."""
    with atomic_write(stem.with_suffix(".parquet")) as beside:
        table.to_parquet(beside, index=False)
    with atomic_write(stem.with_suffix(".csv")) as beside:
        table.to_csv(beside, index=False, float_format="%.6g", lineterminator="\n")


def _write_groups(config: Config, directory: Path, table: pd.DataFrame, videos: Sequence[str]) -> GroupPage:
    """Curves and comparison over respondents, as tables and for the page."""
    # Its tests are slow to import, and few runs have groups.
    from fer.infer import group_analysis as groups

    cfg = config.extraction
    people = groups.read_groups(Path(str(cfg.groups)), videos)
    if cfg.baseline_seconds:
        table = groups.subtract_baseline(table, cfg.baseline_seconds)
    curves = groups.compute_group_curves(table, people, seed=config.seed)
    comparison = groups.compare_groups(table, people, seed=config.seed)
    _write_table(curves, directory / "group_curves")
    _write_table(comparison, directory / "group_comparison")
    return GroupPage(curves, comparison, cfg.baseline_seconds)


def _build_video_page(
    item: Media, row: dict[Hashable, Any], table: pd.DataFrame, thumbnails: pd.Series, classes: Sequence[str]
) -> VideoPage:
    """What the page shows of one video."""
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
            *((str(k), int(v)) for k, v in excluded.items()),
        ],
        per_emotion=per_emotion,
        peaks=_find_peaks(rows, thumbnails, classes),
    )


def _find_peaks(rows: pd.DataFrame, thumbnails: pd.Series, classes: Sequence[str]) -> list[Peak]:
    """The face at which each emotion is strongest, where it leads there, in the order of time."""
    result = []
    shown = rows.assign(picture=thumbnails.loc[rows.index]).dropna(subset="picture")
    for name in classes:
        leading = shown[shown["emotion"] == name]
        if leading.empty:
            continue
        row = leading.iloc[int(leading[f"p_{name}"].to_numpy().argmax())]
        face = cv2.imdecode(np.frombuffer(row["picture"], np.uint8), cv2.IMREAD_COLOR_RGB)
        result.append(Peak(name, float(row["time_s"]), float(row[f"p_{name}"]), np.asarray(face)))
    return sorted(result, key=lambda peak: peak.time_s)


def _build_notes(config: Config) -> list[str]:
    """Remarks for the top of the page."""
    if config.extraction.input is None:
        return ["No input was named: this is a drawn clip, to show the page. Name videos with extraction.input=…"]
    return []
