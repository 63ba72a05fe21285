"""The report stage of infer.py: from finished pieces to the emotion table, figures per video and group, and a page."""

import shlex
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer.config import Config
from fer.core.io import written_beside
from fer.core.progress import progress
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.infer import smoothing as timeline
from fer.infer import summary
from fer.infer.chunk_store import Parts
from fer.infer.monitoring import write_monitoring
from fer.infer.table import ROW_COLUMNS, table_of
from fer.reports.videos import GroupPage, Peak, VideoPage, VideoReport, write_video_report
from fer.runs.run_directory import Run
from fer.video.annotate import annotate
from fer.video.media import Media


def write_tables(config: Config, run: Run, media: Sequence[Media]) -> dict[str, Any]:
    """Write all tables, monitoring.json and report.html; returns the content of monitoring.json.

    Raises UserError where faces are not judged yet.
    """
    chosen = config.extraction
    parts = [Parts.of(run.directory, number) for number in range(len(media))]
    found = [part.read() for part in parts if part.files()]
    pieces = pd.concat(found, ignore_index=True) if found else table_of([])
    classes = [str(column)[2:] for column in pieces if str(column).startswith("p_")] or list(EMOTIONS)
    # Where no video could be opened there are no rows, but columns.
    pieces = pieces.reindex(
        columns=[*ROW_COLUMNS, *(f"p_{name}" for name in classes), "emotion", "confidence", "picture"]
    )
    if pieces.loc[pieces["status"] == "ok", "emotion"].isna().any():
        raise UserError(
            f"{run.directory}: some faces are not judged yet; go on with "
            f"`infer.py resume={run.directory} extraction.stages=[predict,report]`"
        )
    pictures = pieces.pop("picture")
    smoothing = chosen.smoothing
    table = timeline.smooth(pieces, smoothing.kind, smoothing.window_s, smoothing.max_gap_s)
    write_table(table, run.directory / "predictions")
    facts = pd.DataFrame([part.ended() for part in parts])
    videos = summary.per_video(table, facts)
    with written_beside(run.directory / "videos.parquet") as beside:
        videos.to_parquet(beside, index=False)
    monitoring = write_monitoring(config, run, table, videos)
    group_page = write_groups(config, run.directory, table, [item.name for item in media]) if chosen.groups else None
    if chosen.annotate:
        seen = [item for item, part in zip(media, parts, strict=True) if part.files()]
        for item in progress(seen, len(seen), "Annotating", "videos"):
            annotate(item, table[table["video"] == item.name], run.directory / "annotated")
    pages = [
        video_page(item, row, table, pictures, classes)
        for item, row in zip(media, videos.to_dict("records"), strict=True)
    ]
    report = VideoReport(
        title=config.name,
        command="python " + shlex.join(run.provenance["command"]),
        created=str(run.provenance["start"]),
        notes=notes(config),
        videos=pages,
        classes=classes,
        groups=group_page,
        model={"Model": str(config.model_uri)},
        environment={key: str(run.provenance[key]) for key in ("python", "platform", "processor", "git_commit")},
        config_yaml=run.config_text,
        monitoring=monitoring,
    )
    write_video_report(report, run.directory / "report.html")
    return monitoring


def write_table(table: pd.DataFrame, stem: Path) -> None:
    """The same rows as .parquet and as .csv."""
    with written_beside(stem.with_suffix(".parquet")) as beside:
        table.to_parquet(beside, index=False)
    with written_beside(stem.with_suffix(".csv")) as beside:
        table.to_csv(beside, index=False, float_format="%.6g", lineterminator="\n")


def write_groups(config: Config, directory: Path, table: pd.DataFrame, videos: Sequence[str]) -> GroupPage:
    """Curves and comparison over respondents, as tables and for the page."""
    # Its tests are slow to import, and few runs have groups.
    from fer.infer import group_analysis as groups

    chosen = config.extraction
    people = groups.read_groups(Path(str(chosen.groups)), videos)
    if chosen.baseline_seconds:
        table = groups.baseline(table, chosen.baseline_seconds)
    curves = groups.group_curves(table, people, seed=config.seed)
    comparison = groups.compare_groups(table, people, seed=config.seed)
    write_table(curves, directory / "group_curves")
    write_table(comparison, directory / "group_comparison")
    return GroupPage(curves, comparison, chosen.baseline_seconds)


def video_page(
    item: Media, row: dict[Hashable, Any], table: pd.DataFrame, pictures: pd.Series, classes: Sequence[str]
) -> VideoPage:
    """What the page shows of one video."""
    mine = table[table["video"] == item.name]
    excluded = mine[mine["status"] != "ok"]["reason"].value_counts()
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
        rows=mine,
        exclusions=[
            *([(row["problem"], 1)] if row["problem"] else []),
            *((str(k), int(v)) for k, v in excluded.items()),
        ],
        per_emotion=per_emotion,
        peaks=peaks(mine, pictures, classes),
    )


def peaks(mine: pd.DataFrame, pictures: pd.Series, classes: Sequence[str]) -> list[Peak]:
    """The face at which each emotion is strongest, where it leads there, in the order of time."""
    found = []
    shown = mine.assign(picture=pictures.loc[mine.index]).dropna(subset="picture")
    for name in classes:
        leading = shown[shown["emotion"] == name]
        if leading.empty:
            continue
        row = leading.iloc[int(leading[f"p_{name}"].to_numpy().argmax())]
        face = cv2.imdecode(np.frombuffer(row["picture"], np.uint8), cv2.IMREAD_COLOR_RGB)
        found.append(Peak(name, float(row["time_s"]), float(row[f"p_{name}"]), np.asarray(face)))
    return sorted(found, key=lambda peak: peak.time_s)


def notes(config: Config) -> list[str]:
    """Remarks for the top of the page."""
    if config.extraction.input is None:
        return ["No input was named: this is a drawn clip, to show the page. Name videos with extraction.input=…"]
    return []
