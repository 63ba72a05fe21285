"""The stage report of infer.py: from finished chunks to the emotion table, summaries by video and group, and a page."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from fer.bundle.locate import names_pretrained
from fer.config import Config
from fer.core.documents import read_json_object
from fer.core.installation import format_resume_command
from fer.core.progress import track_progress
from fer.core.run_layout import (
    ANNOTATED_DIR,
    PARTS_DIR,
    PERFORMANCE_JSON,
    PERSONS_TABLE,
    REPORT_HTML,
    VIDEO_PREDICTIONS,
    VIDEOS_PARQUET,
)
from fer.core.tables import write_table
from fer.emotions import AFFECT, EMOTIONS, list_emotions
from fer.errors import UserError
from fer.infer.chunk_store import join_chunks
from fer.infer.covering import FaceCoverer, keeps_pictures
from fer.infer.image_batch import ImageBatch
from fer.infer.monitoring import write_monitoring
from fer.infer.smoothing import smooth
from fer.infer.summary import summarize_persons, summarize_videos
from fer.infer.table import ROW_COLUMNS, build_table
from fer.infer.uncertainty import (
    add_sets,
    add_uncertain_shares,
    add_uncertainty,
    compute_uncertain_share,
    read_uncertainty,
)
from fer.infer.video_pages import build_video_pages
from fer.infer.video_stores import BatchedImage, VideoStore, open_video_stores
from fer.infer.window_facts import build_window_notes, describe_window
from fer.reports.video_content import MAX_DETAILS
from fer.reports.videos import GroupPage, VideoReport, write_video_report
from fer.runs.run_directory import Run
from fer.storage.listing import format_examples
from fer.video.annotate import annotate
from fer.video.annotated_copies import AnnotatedCopies
from fer.video.media import Media

GROUP_CURVES, GROUP_COMPARISON = "group_curves", "group_comparison"


def write_report(config: Config, run: Run, media: Sequence[Media], redraw: bool = True) -> dict[str, Any]:
    """Write all tables, monitoring.json and report.html.

    Args:
        config: The configuration of infer.py.
        run: The run, whose videos are finished.
        media: What it looks at.
        redraw: Write the annotated copies anew; otherwise those that are there stay as they are.

    Returns:
        The content of monitoring.json.

    Raises:
        UserError: Faces are not classified yet, or the monitoring, labels or groups cannot be used.
    """
    cfg, smoothing = config.extraction, config.extraction.smoothing
    stores = [*open_video_stores(run.directory, range(len(media))).values()]
    pictures = keeps_pictures(config)
    if not pictures:
        # An earlier call may have kept them.
        for store in stores:
            store.drop_pictures()
    chunks, classes = _read_chunks(stores, run.directory)
    thumbnails = chunks.pop("picture")
    rule, thresholds = read_uncertainty(run.directory)
    chunks = add_uncertainty(chunks, rule)
    if (level := config.inference.sets) is not None:
        if thresholds is None:
            raise UserError(
                f"inference.sets={level:g}: {run.directory} keeps no thresholds of its model for prediction sets; take "
                f"them with `{format_resume_command('infer.py', run.directory)} 'extraction.stages=[predict,report]' "
                f"inference.sets={level:g}`"
            )
        chunks = add_sets(chunks, thresholds, level, classes)
    table = smooth(chunks, smoothing.kind, smoothing.window_s, smoothing.max_gap_s)
    write_table(table, run.directory / VIDEO_PREDICTIONS)
    videos = summarize_videos(table, _build_records(stores, cfg.detector.kind))
    videos = add_uncertain_shares(videos, table)
    write_table(videos, run.directory / VIDEOS_PARQUET)
    write_table(summarize_persons(table), run.directory / PERSONS_TABLE)
    monitoring = write_monitoring(config, run, table, videos)
    group_page = _write_groups(config, run.directory, table, [item.name for item in media]) if cfg.groups else None
    # Of an image or a video all of whose frames are damaged there is nothing to draw in.
    shown = set(table.loc[table["status"] != "decode_error", "video"]) if cfg.annotate else set()
    readable = [item for item in media if item.name in shown]
    annotated = AnnotatedCopies(run.directory / ANNOTATED_DIR, media)
    if redraw:
        _annotate(config, annotated, readable, table)
    copies = {item.name: copy for item in readable if (copy := annotated.find(item))}
    pages = build_video_pages(media, videos, table, thumbnails, classes, cfg.faces == "all")
    if cfg.blur != "none":
        pages = [replace(page, source=str(copies.get(page.name, page.source))) for page in pages]
    notes = _build_notes(config, run) + build_window_notes(run, table)
    if cfg.explain and pictures:
        # PyTorch takes seconds to import, and ONNX Runtime does without.
        from fer.infer.moment_maps import explain_moments

        pages, problem = explain_moments(config, run.directory, pages)
        notes += [problem] if problem else []
    facts: dict[str, Any] = {
        "command": "python " + shlex.join(run.provenance["command"]),
        "created": str(run.provenance["start"]),
        "notes": notes,
        "model": {"Model": config.format_model_uri(), **describe_window(run)},
        "environment": {
            "detector": _describe_detector(config, run),
            **{key: str(run.provenance[key]) for key in ("python", "platform", "processor", "git_commit")},
        },
        "config_yaml": run.config_text,
        "performance": _read_performance(run.directory),
    }
    if cfg.study:
        # Its statistics are slow to import, and few runs have a study.
        from fer.infer.study_report import write_study_report

        write_study_report(config, run, media, table, videos, facts)
    report = VideoReport(
        title=_choose_title(config, media),
        videos=pages,
        classes=classes,
        groups=group_page,
        smoothing=None if smoothing.kind == "none" else f"{smoothing.kind}, {smoothing.window_s:g} s",
        monitoring=monitoring,
        confidence_rule=rule,
        uncertain_share=compute_uncertain_share(table),
        recordings=_choose_recordings(config),
        **facts,
    )
    write_video_report(report, run.directory / REPORT_HTML)
    return monitoring


def _annotate(config: Config, copies: AnnotatedCopies, media: Sequence[Media], table: pd.DataFrame) -> None:
    """Write the annotated copies of videos and images, their faces covered where they are to be."""
    coverer = FaceCoverer(config) if media and config.extraction.blur != "none" else None
    for item in track_progress(media, len(media), "Annotating", "videos"):
        rows = table[table["video"] == item.name]
        frames = None if coverer is None else coverer.iter_frames(item, rows)
        annotate(item, rows, copies, frames)


def _choose_recordings(config: Config) -> Literal["embedded", "linked", "hidden"]:
    """How the page plays the recordings, which show faces as well; those that are covered are the annotated copies."""
    if config.extraction.blur != "none" and not config.extraction.annotate:
        return "hidden"
    covered = config.extraction.blur == "all"
    return "embedded" if covered or keeps_pictures(config) else "linked"


def _choose_title(config: Config, media: Sequence[Media]) -> str:
    """The run's name, or what it looks at: the default name is an architecture, which may not even be the model's."""
    if config.name != config.model.name:
        return config.name
    return media[0].name if len(media) == 1 else f"{len(media)} videos and images"


def _read_chunks(stores: Sequence[VideoStore], directory: Path) -> tuple[pd.DataFrame, list[str]]:
    """All chunks as one table, and its classes. Raises UserError where faces are not classified yet."""
    chunks = join_chunks(_iter_chunks(stores))
    if chunks.empty:
        chunks = build_table([])
    classes = list_emotions(chunks) or list(EMOTIONS)
    # Where no video could be opened there are no rows, but columns; chunks of earlier versions lack the last ones.
    chunks = chunks.reindex(
        columns=[
            *ROW_COLUMNS,
            *(f"p_{name}" for name in classes),
            *("emotion", "confidence"),
            *(name for name in AFFECT if name in chunks),
            "picture",
        ]
    ).astype({"faces": "Int64"})
    if chunks.loc[chunks["status"] == "ok", "emotion"].isna().any():
        raise UserError(
            f"{directory}: some faces are not classified yet; go on with "
            f"`{format_resume_command('infer.py', directory)} 'extraction.stages=[predict,report]'`"
        )
    return chunks, classes


def _iter_chunks(stores: Sequence[VideoStore]) -> Iterator[pa.Table]:
    """All chunks, with faces where the page will show them: those of hundreds of videos fill the memory."""
    for batch, group in groupby(enumerate(stores), lambda pair: _get_batch(pair[1])):
        pairs = list(group)
        if batch is not None and len(pairs) == len(batch.images):
            yield from batch.list_chunks()
            continue
        for number, store in pairs:
            for chunk in store.iter_chunks():
                is_shown = number < MAX_DETAILS or "picture" not in chunk.column_names
                yield chunk if is_shown else chunk.drop_columns(["picture"])


def _get_batch(store: VideoStore) -> ImageBatch | None:
    return store.batch if isinstance(store, BatchedImage) else None


def _build_records(stores: Sequence[VideoStore], detector: str) -> pd.DataFrame:
    """The facts about each video, a row a video; those of an earlier version lack the detector, the same for all."""
    records = pd.DataFrame([store.completion_record() for store in stores])
    if "detector" not in records:
        records.insert(records.columns.tolist().index("problem") + 1, "detector", detector)
    records["detector"] = records["detector"].fillna(detector)
    return records


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
    write_table(curves, directory / GROUP_CURVES)
    write_table(comparison, directory / GROUP_COMPARISON)
    return GroupPage(curves, comparison, cfg.baseline_seconds)


def _read_performance(directory: Path) -> dict[str, Any] | None:
    """What the model's files said of it when it was fetched; None in a run of an earlier version."""
    path = directory / PARTS_DIR / PERFORMANCE_JSON
    return read_json_object(path) if path.is_file() else None


def _build_notes(config: Config, run: Run) -> list[str]:
    """Remarks for the top of the page."""
    notes = []
    if config.extraction.input is None and config.extraction.study is None:
        notes.append("No input was named: this is a drawn clip, to show the page. Name videos with extraction.input=…")
    if names_pretrained(str(config.model_uri)):
        notes.append(
            "Classified by the model that comes with the program; its card (fer/pretrained/bundle/model_card.md) tells "
            "what it may be used for."
        )
    if left_out := run.provenance.get("unused_files"):
        notes.append(
            f"{left_out['count']} files beside them are no video or image and were not used (provenance.json lists "
            f"them): {format_examples([PurePath(path).name for path in left_out['paths']])}."
        )
    if date := run.provenance.get("delete_after"):
        notes.append(f"To be deleted after {date} (extraction.retention_days={config.extraction.retention_days}).")
    if warning := run.provenance.get("detector", {}).get("warning"):
        notes.append(warning)
    return notes


def _describe_detector(config: Config, run: Run) -> str:
    """The detector's name, and which weights it had; runs of an earlier version do not tell them."""
    names = {"haar": "Haar cascade of OpenCV", "yunet": "YuNet", "none": "none: each image is a face"}
    name = names[config.extraction.detector.kind]
    digest = run.provenance.get("detector", {}).get("weights_sha256")
    return f"{name}, weights with SHA-256 {digest}" if digest else name
