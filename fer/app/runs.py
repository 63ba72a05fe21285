"""The runs below the dashboard's directory: listed, found by their key, and no file outside of it ever opened."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer.bundle.locate import DESCRIPTION_FILE
from fer.compare.runs import FINISHED, parse_number, read_program
from fer.core.documents import read_json_object
from fer.core.run_layout import (
    BUNDLE_DIR,
    JOB_JSON,
    METRICS_JSON,
    PROVENANCE_JSON,
    REPORT_HTML,
    RUN_YAML,
    STUDY_DIR,
    STUDY_HTML,
)
from fer.errors import UserError
from fer.sweep.records import SWEEP_YAML

# Beside the runs of `outputs`, with run.yaml files of their own.
_OTHERS = ("cache", "registry")
# What a visitor may take along: tables, figures and pages, not the configuration with its paths.
TABLES = (".csv", ".parquet", ".xlsx", ".sav", ".vtt", ".zip", ".html")
FIGURES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "balanced_accuracy": "balanced accuracy"}
SPLITS = ("test", "val")
MODULES = {"fer.annotate": "annotate", "fer.export": "export"}
_JOB = re.compile(r"\d+")


@dataclass(frozen=True)
class RunEntry:
    """A run as it is listed.

    Attributes:
        key: Its path below the dashboard's directory, which names it in the page's address.
        directory: Its directory.
        program: train, infer, register, annotate, export, or nothing where that cannot be told.
        status: As provenance.json has it; `not begun` where there is none.
        start: When it began, UTC.
        figures: Accuracy and so on of the test split, or of validation, where the run has them.
        has_report: Whether it has report.html.
        has_study: Whether it has study.html.
        has_bundle: Whether it has a model.
    """

    key: str
    directory: Path
    program: str
    status: str
    start: str
    figures: dict[str, float] = field(default_factory=dict)
    has_report: bool = False
    has_study: bool = False
    has_bundle: bool = False


def list_runs(outputs: Path) -> list[RunEntry]:
    """List the runs below a directory, the latest first; a damaged one is listed as far as it can be read."""
    entries = [_read_entry(outputs, directory) for directory in _iter_run_directories(outputs)]
    return sorted(entries, key=lambda entry: (entry.start, entry.key), reverse=True)


def _iter_run_directories(outputs: Path) -> Iterator[Path]:
    """Yield directories that hold a run; links to other places are not followed, and nothing is looked for in a run."""
    for folder, folders, files in os.walk(outputs):
        if {RUN_YAML, PROVENANCE_JSON, JOB_JSON} & set(files):
            folders.clear()
            yield Path(folder)
        elif Path(folder) == outputs:
            folders[:] = [name for name in folders if name not in _OTHERS]


def _read_entry(outputs: Path, directory: Path) -> RunEntry:
    provenance = _read_tolerantly(directory / PROVENANCE_JSON)
    return RunEntry(
        key=directory.relative_to(outputs).as_posix(),
        directory=directory,
        program=(read_program(directory) or _read_module(provenance)).removesuffix(".py"),
        status=str(provenance.get("status", "not begun")),
        start=str(provenance.get("start", ""))[:19].replace("T", " "),
        figures=_read_figures(directory),
        has_report=(directory / REPORT_HTML).is_file(),
        has_study=(directory / STUDY_HTML).is_file(),
        has_bundle=(directory / BUNDLE_DIR / DESCRIPTION_FILE).is_file(),
    )


def _read_module(provenance: dict[str, Any]) -> str:
    """Which of the programs without a script made a run, by its command `-m fer.export …`; "" where it is another."""
    match provenance.get("command"):
        case ["-m", str(module), *_]:
            return MODULES.get(module, "")
    return ""


def _read_tolerantly(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none that can be read."""
    try:
        return read_json_object(path)
    except (OSError, ValueError):
        return {}


def _read_figures(directory: Path) -> dict[str, float]:
    metrics = read_metrics(directory)
    return {name: metrics[name][0] for name in FIGURES if name in metrics}


def read_metrics(directory: Path) -> dict[str, tuple[float, float | None, float | None]]:
    """Read the figures of a training's test split, or of validation where the test was left out.

    Args:
        directory: The run directory.

    Returns:
        Value, and lower and upper end of the 95 % interval where it has one, by the figure's name.
    """
    metrics = _read_tolerantly(directory / METRICS_JSON)
    split: dict[str, Any] = next((metrics[name] for name in SPLITS if isinstance(metrics.get(name), dict)), {})
    figures: dict[str, tuple[float, float | None, float | None]] = {}
    for name, figure in split.items():
        ends = (figure.get("low"), figure.get("high")) if isinstance(figure, dict) else (None, None)
        value = parse_number(figure.get("value") if isinstance(figure, dict) else figure)
        if value is not None:
            figures[str(name)] = (value, parse_number(ends[0]), parse_number(ends[1]))
    return figures


def find_run(runs: list[RunEntry], key: str) -> RunEntry:
    """Return the run of a key, which may come from an address. Raises UserError where none of the listed has it."""
    for entry in runs:
        if entry.key == key:
            return entry
    raise UserError("There is no such run here; choose one of the list.")


def list_sweeps(outputs: Path, runs: list[RunEntry]) -> dict[str, Path]:
    """The directories of sweeps by their keys: those that hold trainings as numbered jobs, and sweep.yaml."""
    parents = {entry.directory.parent for entry in runs if _JOB.fullmatch(entry.directory.name)}
    return {
        parent.relative_to(outputs).as_posix(): parent for parent in sorted(parents) if (parent / SWEEP_YAML).is_file()
    }


def list_files(outputs: Path, directory: Path) -> dict[str, Path]:
    """List what can be taken from a run, or from the tables of its study, by name.

    Args:
        outputs: The dashboard's directory, or a visitor's.
        directory: The run's directory below it.

    Returns:
        Tables and pages; links that lead out of ``outputs`` are not among them.
    """
    files = {}
    for folder in (directory, directory / STUDY_DIR):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix in TABLES and not path.name.startswith(".") and is_within(path, outputs) and path.is_file():
                files[path.relative_to(directory).as_posix()] = path
    return files


def is_within(path: Path, outputs: Path) -> bool:
    """Whether a file really lies below a directory, wherever links lead."""
    return path.resolve().is_relative_to(outputs.resolve())


def is_comparable(entry: RunEntry) -> bool:
    """Whether a run is a training with figures, which can be compared."""
    return entry.program == "train" and entry.status == FINISHED and bool(entry.figures)
