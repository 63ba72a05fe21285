"""Everything of a study that leaves the run: its tables, the data dictionary, and the formats that are asked for.

To add a format: write a file of its own here with a function as those of FORMATS, enter it there with what it leaves,
and add its name to ``Export`` in ``fer/config/extraction.py``.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer.core.extras import require_packages
from fer.core.tables import write_table
from fer.reports.study_data import StudyData
from fer.study.exports.bids import BIDS_DIR, write_bids
from fer.study.exports.dictionary import write_dictionary
from fer.study.exports.elan import write_elan
from fer.study.exports.excel import write_excel
from fer.study.exports.highlights import write_highlights
from fer.study.exports.prepared import PreparedStudy, list_tables, prepare_study
from fer.study.exports.spss import write_spss
from fer.study.exports.webvtt import write_webvtt


@dataclass(frozen=True)
class Format:
    """A format in which a study leaves.

    Attributes:
        write: Writes it into a directory, and returns its files.
        patterns: What its files are called there: those of an earlier export are deleted.
        packages: Packages of the extra `study` that it needs.
        tables: Tables of the data dictionary that only it has.
    """

    write: Callable[[PreparedStudy, Path], list[Path]]
    patterns: tuple[str, ...]
    packages: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


def write_shapes(study: PreparedStudy, directory: Path) -> list[Path]:
    """Write `study_long` and `study_wide`, each as Parquet and CSV."""
    return _write_tables({name: study.tables[name] for name in ("study_long", "study_wide")}, directory)


def _write_tables(tables: Mapping[str, pd.DataFrame], directory: Path) -> list[Path]:
    for name, table in tables.items():
        write_table(table, directory / name)
    return [directory / f"{name}{suffix}" for name in tables for suffix in (".parquet", ".csv")]


FORMATS = {
    "csv": Format(write_shapes, ("study_long.*", "study_wide.*"), tables=("study_long", "study_wide")),
    "excel": Format(write_excel, ("study.xlsx",), packages=("openpyxl",)),
    "spss": Format(
        write_spss, ("study.sav", "study_long.sav"), packages=("pyreadstat",), tables=("study_long", "study_wide")
    ),
    "bids": Format(write_bids, (BIDS_DIR, "bids_labels.*"), tables=("bids_labels",)),
    "elan": Format(write_elan, ("annotations_*.eaf",)),
    "webvtt": Format(write_webvtt, ("moments_*.vtt",)),
    "highlights": Format(write_highlights, ("highlights_*.mp4",)),
}


def check_formats(formats: Sequence[str]) -> None:
    """Check that the packages are installed which formats need, before anything runs.

    Args:
        formats: Names of FORMATS.

    Raises:
        UserError: One is not; the message says how to install it.
    """
    for name in formats:
        require_packages(*FORMATS[name].packages, purpose=f"extraction.exports={name}")


def export_study(
    data: StudyData,
    directory: Path,
    formats: Sequence[str],
    definitions: Mapping[str, tuple[str, str]],
    media: Mapping[str, Path] | None = None,
) -> list[Path]:
    """Write the tables of a study as Parquet and CSV, the data dictionary, and each format.

    Names that people gave never lead out of the directory; every file is written whole or not at all; and the same
    study gives the same bytes. Files of formats that an earlier call wrote, and this one does not, are deleted.

    Args:
        data: The study.
        directory: Where to; it is made where it is missing.
        formats: Names of FORMATS.
        definitions: Meaning and unit of each measure.
        media: The video of each stimulus that has one on this machine, for `highlights`.

    Returns:
        The files.

    Raises:
        UserError: A package is not installed that a format needs.

    Examples:
        >>> export_study(data, run / "study", ["csv", "excel"], {"valence": ("how pleasant", "-1 to 1")})
    """
    check_formats(formats)
    wanted = {name: FORMATS[name] for name in formats}
    extra = [table for form in wanted.values() for table in form.tables]
    study = prepare_study(data, definitions, media or {}, extra)
    written = _write_tables(list_tables(data), directory)
    written += write_dictionary(study.dictionary, directory, data.name)
    for form in wanted.values():
        written += form.write(study, directory)
    _delete_others(directory, written)
    return written


def _delete_others(directory: Path, written: Sequence[Path]) -> None:
    """Delete what an earlier call left, and with it people and stimuli that the study no longer has."""
    kept = {*written, *(parent for path in written for parent in path.parents)}
    patterns = [pattern for form in FORMATS.values() for pattern in form.patterns]
    for path in sorted(path for pattern in patterns for path in directory.glob(pattern)):
        if path in kept or not path.exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
