"""The study for SPSS: a row a respondent, and a row a value, with labels of variables and of groups' values."""

from pathlib import Path
from typing import Any

import pandas as pd

from fer.core.io import atomic_write
from fer.study.exports.prepared import PreparedStudy
from fer.study.exports.shapes import Shape

# Limits of the format, in bytes; what is longer the programs cut, in the midst of a letter.
_MAX_VARIABLE_LABEL, _MAX_VALUE_LABEL, _MAX_FILE_LABEL, _MAX_TEXT = 255, 120, 60, 32_000
# Where the header of the file has the day and the time at which it was made.
_TIME_OFFSET, _EPOCH = 92, b"01 Jan 8000:00:00"
_CODED = ("stimulus", "condition", "measure")


def write_spss(study: PreparedStudy, directory: Path) -> list[Path]:
    """Write `study.sav`, a row a respondent, and `study_long.sav`, a row a value.

    Groups, stimuli, conditions and measures are numbers from 1 with value labels, so that every procedure takes them
    as factors. What is missing is system-missing.

    Args:
        study: The study.
        directory: Where to.
    """
    paths = {"study_wide": directory / "study.sav", "study_long": directory / "study_long.sav"}
    for name, shape in (("study_wide", study.wide), ("study_long", study.long)):
        meanings = study.dictionary[study.dictionary["table"] == name]
        labels = {
            row["column"]: _cut(row["meaning"] + (f" ({row['unit']})" if row["unit"] else ""), _MAX_VARIABLE_LABEL)
            for row in meanings.to_dict("records")
        }
        _write_file(shape, labels, _cut(_clean(study.data.name), _MAX_FILE_LABEL), paths[name])
    return list(paths.values())


def _write_file(shape: Shape, labels: dict[str, str], title: str, path: Path) -> None:
    import pyreadstat

    table = shape.table.copy()
    coded = [name for name in (*shape.groups, *_CODED) if name in table.columns]
    value_labels = {}
    for name in coded:
        table[name], value_labels[name] = _code_texts(table[name])
    table["respondent"] = table["respondent"].map(lambda text: _cut(_clean(str(text)), _MAX_TEXT)).astype(object)
    numbers = [name for name in table.columns if name not in ("respondent", *coded)]
    with atomic_write(path) as temporary:
        pyreadstat.write_sav(
            table.astype(dict.fromkeys(numbers, "float64")),
            str(temporary),
            file_label=title,
            column_labels=[labels[name] for name in table.columns],
            # Value labels without a value are no labels.
            variable_value_labels={name: values for name, values in value_labels.items() if values},
            variable_measure={name: "scale" if name in numbers else "nominal" for name in table.columns},
            variable_format={name: "F8.0" if name in coded else "F12.4" for name in (*coded, *numbers)},
        )
        _fix_time(temporary)


def _code_texts(values: "pd.Series[Any]") -> tuple["pd.Series[Any]", dict[float, str]]:
    """Texts as numbers from 1 in alphabetical order, and the text of each; "" and what is missing have none."""
    texts = sorted({str(value) for value in values.dropna()} - {""})
    codes = {text: float(code) for code, text in enumerate(texts, 1)}
    labels = {code: _cut(_clean(text), _MAX_VALUE_LABEL) for text, code in codes.items()}
    return values.map(lambda value: codes.get(value, float("nan"))).astype("float64"), labels


def _clean(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


def _cut(text: str, max_bytes: int) -> str:
    return _clean(text).encode()[:max_bytes].decode(errors="ignore")


def _fix_time(path: Path) -> None:
    """Replace the time of day, so that the same study gives the same bytes."""
    with path.open("r+b") as file:
        file.seek(_TIME_OFFSET)
        file.write(_EPOCH)
