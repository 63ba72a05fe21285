"""A study's file, YAML or a table, as a ``Study`` whose paths are absolute."""

import os
import shlex
import unicodedata
from pathlib import Path
from typing import Any

from fer.config.study import Study
from fer.config.study_loading import parse_study
from fer.core.csv import read_csv_rows
from fer.core.documents import DocumentError, read_yaml_texts
from fer.core.expansion import expand_path
from fer.core.installation import format_command
from fer.errors import DataError, StudyError
from fer.study.excel import read_workbook
from fer.study.sheets import build_content
from fer.study.tables import Rows

KEY = "extraction.study"
YAML_SUFFIXES, CSV_SUFFIXES, EXCEL_SUFFIXES = (".yaml", ".yml"), (".csv", ".tsv", ".txt"), (".xlsx", ".xlsm")


def read_study(path: Path, key: str = KEY) -> Study:
    """Read a study's file; nothing that it names is opened.

    Args:
        path: YAML, CSV, or an Excel workbook.
        key: The configuration key that names the file, for messages.

    Returns:
        The study. Paths in it are absolute; those of the file are relative to its directory.

    Raises:
        StudyError: It cannot be read, or breaks a rule; a line each.
    """
    source = f"{key}={path}"
    suffix = path.suffix.lower()
    if path.is_dir():
        command = f"{format_command('fer.study')} init {shlex.quote(str(path))}"
        raise StudyError(f"{source}: is a directory; name the study's file, or write one with `{command}`")
    if suffix in YAML_SUFFIXES:
        try:
            study = parse_study(read_yaml_texts(path), source)
        except OSError as error:
            raise StudyError(f"{source}: cannot be read ({error.strerror or error})") from None
        except DocumentError as error:
            raise StudyError(f"{source}: is no YAML that can be read: {error}") from None
    elif suffix in CSV_SUFFIXES or suffix in EXCEL_SUFFIXES:
        content, places = build_content(_read_tables(path, key, source), source)
        study = parse_study(content, source, places)
    else:
        allowed = ", ".join((*YAML_SUFFIXES, *CSV_SUFFIXES, *EXCEL_SUFFIXES))
        raise StudyError(f"{source}: is no study by its suffix {suffix!r}; allowed are {allowed}")
    return _resolve_paths(study, path.resolve().parent, source)


def _read_tables(path: Path, key: str, source: str) -> dict[str, Rows]:
    """The tables of a file by the name of their sheet; that of a CSV is called `recordings`. Raises StudyError."""
    if path.suffix.lower() in EXCEL_SUFFIXES:
        sheets = read_workbook(path, source)
        return {name: Rows(source, f"sheet {name}, row", rows) for name, rows in sheets.items()}
    try:
        return {"recordings": Rows(source, "line", read_csv_rows(path, key))}
    except DataError as error:
        raise StudyError(str(error)) from None


def _resolve_paths(study: Study, folder: Path, source: str) -> Study:
    """The study with absolute paths. Raises StudyError for one that begins with an unknown variable."""
    try:
        return study.model_copy(
            update={
                "stimuli": {
                    name: stimulus
                    if stimulus.file is None
                    else stimulus.model_copy(update={"file": _resolve_path(stimulus.file, folder)})
                    for name, stimulus in study.stimuli.items()
                },
                "recordings": tuple(
                    recording.model_copy(update={"file": _resolve_path(recording.file, folder)})
                    for recording in study.recordings
                ),
                "norms": tuple(_resolve_path(norm, folder) for norm in study.norms),
            }
        )
    except ValueError as error:
        raise StudyError(f"{source}: {error}") from None


def _resolve_path(text: str, folder: Path) -> str:
    """The absolute form of a path; s3:// and gs://BUCKET/KEY and other addresses stay. Raises ValueError."""
    if "://" in text:
        return text
    expanded = expand_path(text) if text.startswith(("~", "$")) else text
    written = [expanded, *(unicodedata.normalize(form, expanded) for form in ("NFC", "NFD"))]
    # Tables come from Windows, and names from Macs, which write é as two characters.
    written += [name.replace("\\", "/") for name in written if "\\" in name]
    paths = [os.path.abspath(folder / name) for name in written]
    return next((path for path in paths if _exists(Path(path))), paths[0])


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def dump_study(study: Study) -> dict[str, Any]:
    """Return a study as plain values that ``read_study`` understands as the same; what is null is left out."""
    return study.model_dump(mode="json", exclude_none=True)
