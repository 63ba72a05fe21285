"""What an annotation leaves once all faces are labelled: tables, agreement, drift, and the page."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fer.annotate.agreement import measure_agreement
from fer.annotate.corrections import build_final_table, read_saved_corrections
from fer.annotate.faces import FaceFiles
from fer.annotate.label_monitor import MODERATE, SHIFT, build_monitor_log, count_labels, read_reference
from fer.annotate.labels import join_labels
from fer.config import Config
from fer.core.csv import write_csv
from fer.core.installation import format_command
from fer.core.io import atomic_write
from fer.core.run_layout import AGREEMENT_CSV, FINAL_DATASET, LABEL_MONITOR_CSV, LABELS_TABLE, REPORT_HTML
from fer.core.tables import write_table
from fer.emotions import list_emotions
from fer.reports.annotation import AnnotationReport, write_annotation_page

_MAX_PROBLEMS = 20


def write_results(
    config: Config, directory: Path, faces: FaceFiles, labels: pd.DataFrame, annotators: Sequence[str]
) -> pd.DataFrame:
    """Write labels, agreement, the log of batches, the table to train on and the page.

    Args:
        config: The configuration of the run.
        directory: The run.
        faces: Its faces.
        labels: All rows of labels.
        annotators: Names of the annotators.

    Returns:
        The rows of the log of batches.

    Raises:
        DataError: The reference cannot be used.
    """
    images, emotions = faces.table["path"].tolist(), list_emotions(labels.columns)
    reference = config.annotation.reference
    known = None if reference is None else read_reference(Path(reference), annotators, emotions)
    log = build_monitor_log(labels, images, config.annotation.batch_size, emotions, known)
    agreement = measure_agreement(labels, annotators)
    write_table(labels, directory / LABELS_TABLE)
    write_csv(agreement, directory / AGREEMENT_CSV, float_format="%.6f")
    write_csv(log, directory / LABEL_MONITOR_CSV, float_format="%.6f")
    joined = join_labels(labels, images)
    corrections = read_saved_corrections(directory)
    final = build_final_table(joined, faces.table["picture"], corrections)
    with atomic_write(directory / FINAL_DATASET) as temporary:
        final.to_parquet(temporary, index=False)
    report = AnnotationReport(
        title=choose_title(config),
        faces=len(images),
        doubtful=int((joined["labels"] > 1).sum()),
        corrected=corrections["image"].nunique(),
        annotators=annotators,
        emotions=emotions,
        shares=_summarize(labels, annotators, emotions),
        agreement=agreement,
        log=log,
        limits=(MODERATE, SHIFT),
        problems=Counter(labels.loc[labels["problem"] != "", "problem"]).most_common(_MAX_PROBLEMS),
        command=format_training(directory, faces.root),
        notes=[f"No face could be labelled by {name}." for name in find_silent(labels, annotators)],
    )
    write_annotation_page(report, directory / REPORT_HTML)
    return log


def choose_title(config: Config) -> str:
    """The run's name, or that of its faces: the default name is an architecture, which may not even be the model's."""
    return config.name if config.name != config.model.name else Path(str(config.annotation.input)).name


def find_silent(labels: pd.DataFrame, annotators: Sequence[str]) -> list[str]:
    """Find the annotators that gave no label at all."""
    speaking = set(labels.loc[labels["label"] != "", "annotator"])
    return [name for name in annotators if name not in speaking]


def format_training(directory: Path, root: Path) -> str:
    """Format the command that trains on the labels of a run."""
    table = shlex.quote(f"dataset.sources.table.table={directory / FINAL_DATASET}")
    return f"{format_command('train.py')} dataset=table {table} {shlex.quote(f'dataset.sources.table.root={root}')}"


def _summarize(labels: pd.DataFrame, annotators: Sequence[str], emotions: Sequence[str]) -> pd.DataFrame:
    rows = []
    for name in annotators:
        given = labels[(labels["annotator"] == name) & (labels["label"] != "")]
        shares = count_labels(given["label"], emotions) / max(len(given), 1)
        rows.append(
            {
                "annotator": name,
                "labelled": len(given),
                "mean_confidence": given["confidence"].mean(),
                **dict(zip((f"share_{emotion}" for emotion in emotions), shares, strict=True)),
            }
        )
    return pd.DataFrame(rows)
