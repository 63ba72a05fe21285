"""Reads the runs below directories as far as they can be read; a damaged one is kept with its reason."""

import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer.config.diff import read_saved_config
from fer.core.documents import read_bounded_text, read_json_object
from fer.core.progress import track_progress
from fer.core.run_layout import EMBEDDINGS_JSON, HISTORY_CSV, JOB_JSON, METRICS_JSON, PROVENANCE_JSON, RUN_YAML
from fer.errors import ConfigError, UserError, shorten_error
from fer.reports.epoch_times import compute_epoch_seconds

FINISHED, UNFINISHED, DAMAGED = "finished", "unfinished", "damaged"
FINAL_STATUSES = (FINISHED, "interrupted", "failed", "pruned", "killed")
SPLITS = ("val", "test")
# A row of history.csv takes some 200 bytes, and has a dozen columns.
MAX_HISTORY_BYTES, MAX_HISTORY_COLUMNS = 4 << 20, 1000


class _UnreadableFileError(Exception):
    """A file of a run that is there and cannot be read; the message says which and why."""


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run.

    Attributes:
        directory: Its run directory.
        label: Its path below the directory that all runs share.
        settings: run.yaml by dotted key, empty where it cannot be read.
        status: finished, interrupted, failed, pruned, killed, unfinished (it still runs, or was killed) or damaged.
        reason: Why, for all but finished.
        metrics: The splits (val, test) of metrics.json that are there.
        facts: The rest of metrics.json, and provenance.json.
        history: A row a validation, numbers only.
        seconds: Duration of the training.
        images_per_second: Median over the rows.
    """

    directory: Path
    label: str
    settings: dict[str, Any]
    status: str
    reason: str | None
    metrics: dict[str, Any]
    facts: dict[str, Any]
    history: pd.DataFrame
    seconds: float | None
    images_per_second: float | None


def find_runs(roots: Sequence[Path]) -> tuple[list[ComparedRun], list[str]]:
    """Find and read the trainings in and below directories.

    Args:
        roots: Directories of runs or sweeps, or above them.

    Returns:
        Each training once, in the order of the labels; and sentences on what was skipped and why.

    Raises:
        UserError: A root is no directory.
    """
    skipped, directories = [], dict[Path, Path]()
    for root in roots:
        if not root.is_dir():
            raise UserError(f"{root}: no such directory; name directories of runs or sweeps")
        run_directories = list(_iter_run_directories(root))
        if not run_directories:
            skipped.append(f"{root}: holds no run")
        for directory in run_directories:
            if (program := read_program(directory)) not in (None, "train.py"):
                skipped.append(f"{directory}: is a run of {program}, not a training")
            elif (directory / EMBEDDINGS_JSON).is_file():
                skipped.append(f"{directory}: is a run of trainer.stages=[embed], which has nothing to compare")
            else:
                directories.setdefault(directory.resolve(), directory)
    labels = _build_labels(list(directories))
    reading = track_progress(directories.items(), len(directories), "Reading", "runs")
    runs = [_read_run(directory, labels[resolved]) for resolved, directory in reading]
    return sorted(runs, key=lambda run: _build_natural_key(run.label)), skipped


def _iter_run_directories(root: Path) -> Iterator[Path]:
    """Yield directories that hold a run, or a sweep's job; nothing is looked for inside one."""
    for folder, folders, files in os.walk(root):
        if {RUN_YAML, PROVENANCE_JSON, JOB_JSON} & set(files):
            folders.clear()
            yield Path(folder)


def read_program(directory: Path) -> str | None:
    """Read which program made a run (``train.py`` and so on), None where that cannot be told."""
    try:
        command = _read_json(directory / PROVENANCE_JSON).get("command")
    except _UnreadableFileError:
        return None
    name, *arguments = command if isinstance(command, list) and command else [None]
    if name == "-m" and arguments:
        # fer.cli.infer is what infer.py runs.
        name = f"{str(arguments[0]).removeprefix('fer.cli.')}.py"
    return name if name in ("train.py", "infer.py", "register.py") else None


def _build_labels(directories: Sequence[Path]) -> dict[Path, str]:
    """Build a label for each run: its path below the directory that they share."""
    if not directories:
        return {}
    common = os.path.commonpath([directory.parent for directory in directories])
    return {directory: make_printable(directory.relative_to(common).as_posix()) for directory in directories}


def make_printable(text: str) -> str:
    """Replace what would move a terminal's cursor or is no valid Unicode."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _build_natural_key(text: str) -> list[tuple[bool, int, str]]:
    """Build a key that sorts run 2 before run 10."""
    return [(not word.isdigit(), int(word) if word.isdigit() else 0, word) for word in re.split(r"([0-9]+)", text)]


def _read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file, empty where there is no file. Raises _UnreadableFileError."""
    try:
        return read_json_object(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _UnreadableFileError(f"{path.name} cannot be read ({shorten_error(error)})") from None


def _read_run(directory: Path, label: str) -> ComparedRun:
    problems: list[str] = []

    def read_tolerantly(name: str) -> dict[str, Any]:
        try:
            return _read_json(directory / name)
        except _UnreadableFileError as error:
            problems.append(str(error))
            return {}

    provenance, metrics, job = map(read_tolerantly, (PROVENANCE_JSON, METRICS_JSON, JOB_JSON))
    settings: dict[str, Any] = {}
    if (directory / RUN_YAML).exists():
        try:
            settings = read_saved_config(directory)
        except ConfigError:
            problems.append(f"{RUN_YAML} cannot be read")
    history = _read_history(directory / HISTORY_CSV)
    split_metrics = {split: metrics[split] for split in SPLITS if isinstance(metrics.get(split), dict)}
    status, reason = _determine_status(provenance, job, bool(split_metrics), problems)
    seconds = parse_number(provenance.get("fit_seconds"))
    if seconds is None and "seconds" in history:
        epochs = history.index.to_series()
        seconds = parse_number(float(compute_epoch_seconds(epochs, history["seconds"]).sum()))
    rate = parse_number(history["images_per_second"].median()) if "images_per_second" in history else None
    facts = {**provenance, **{key: value for key, value in metrics.items() if key not in SPLITS}}
    return ComparedRun(directory, label, settings, status, reason, split_metrics, facts, history, seconds, rate)


def _determine_status(
    provenance: dict[str, Any], job: dict[str, Any], has_metrics: bool, problems: Sequence[str]
) -> tuple[str, str | None]:
    """Determine how a run ended, and why it has not simply finished."""
    status = next(
        (candidate for candidate in (provenance.get("status"), job.get("status")) if candidate in FINAL_STATUSES),
        UNFINISHED,
    )
    messages = [text for text in (job.get("reason"), provenance.get("error")) if isinstance(text, str) and text.strip()]
    if problems or (status == FINISHED and not has_metrics):
        return DAMAGED, "; ".join(problems) or f"{METRICS_JSON} is missing or holds no figures"
    if status == FINISHED:
        return FINISHED, None
    defaults = {
        "interrupted": "by Ctrl-C or SIGTERM; evaluated with the best weights until then",
        UNFINISHED: "it still runs, or was killed",
    }
    return status, make_printable(" ".join(messages[0].split())) if messages else defaults.get(
        status, "without a reason"
    )


def _read_history(path: Path) -> pd.DataFrame:
    """Read history.csv's numeric columns, indexed by epoch; empty where there is none or it cannot be read."""
    try:
        text = read_bounded_text(path, MAX_HISTORY_BYTES)
        if text.partition("\n")[0].count(",") >= MAX_HISTORY_COLUMNS:
            return pd.DataFrame()
        table = pd.read_csv(io.StringIO(text))
    except (OSError, ValueError):
        return pd.DataFrame()
    table = table.apply(pd.to_numeric, errors="coerce").replace([math.inf, -math.inf], math.nan)
    if "epoch" not in table:
        return pd.DataFrame()
    return (
        table.dropna(subset="epoch")
        .drop_duplicates("epoch", keep="last")
        .set_index("epoch")
        .dropna(axis="columns", how="all")
    )


def parse_number(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        parsed = float(value)
    except OverflowError:
        return None
    return parsed if math.isfinite(parsed) else None
