"""What people said of faces, and the table to train on, in which it has the last word."""

from pathlib import Path

import numpy as np
import pandas as pd

from fer.core.csv import read_csv
from fer.core.run_layout import CORRECTIONS_CSV
from fer.emotions import normalize_label
from fer.errors import DataError

COLUMNS = ("image", "label", "person")
# What a person says of a picture that is no face, or of which nobody can tell.
LEAVE_OUT = "leave_out"
MAX_NAME = 80
# Upper ends, years, of the groups that RAF-DB annotates.
AGE_GROUPS = {"0-3": 3.5, "4-19": 19.5, "20-39": 39.5, "40-69": 69.5, "70+": np.inf}


def read_corrections(path: Path, images: "pd.Series[str]", annotators: set[str]) -> pd.DataFrame:
    """Read what a person has saved from the page.

    Args:
        path: The CSV: image, label (an emotion, or LEAVE_OUT) and person.
        images: The faces of the run.
        annotators: Names that are no person's.

    Returns:
        The rows, each label as this program spells it.

    Raises:
        DataError: It cannot be read, or a row names no face of the run, no emotion or nobody.
    """
    table = read_csv(path, "corrections", COLUMNS)
    known = set(images)
    for line, row in table.iterrows():
        place = f"{path}: line {line}"
        if row["image"] not in known:
            raise DataError(f"{place} names {row['image']!r}, which is no face of this run; merge it into its own run")
        label = row["label"].strip().lower()
        resolved = LEAVE_OUT if label == LEAVE_OUT else normalize_label(label)
        if resolved is None:
            raise DataError(f"{place} has the label {row['label']!r}, which is no emotion, nor {LEAVE_OUT}; correct it")
        if not row["person"] or len(row["person"]) > MAX_NAME:
            raise DataError(f"{place} does not say who said it in 1 to {MAX_NAME} letters; fill in the column person")
        if row["person"] in annotators:
            raise DataError(f"{place}: {row['person']} is the name of an annotator, and no person's; correct it")
        table.loc[line, "label"] = resolved
    return table.reset_index(drop=True)


def read_saved_corrections(run: Path) -> pd.DataFrame:
    """Read all that people have said in a run; empty where nothing was merged yet. Raises DataError."""
    path = run / CORRECTIONS_CSV
    return read_csv(path, "corrections", COLUMNS) if path.is_file() else pd.DataFrame(columns=list(COLUMNS), dtype=str)


def add_corrections(saved: pd.DataFrame, added: pd.DataFrame) -> pd.DataFrame:
    """Add rows behind those that are there; one that says the same again moves behind the others."""
    return pd.concat([saved, added], ignore_index=True).drop_duplicates(keep="last", ignore_index=True)


def build_final_table(joined: pd.DataFrame, pictures: "pd.Series[str]", corrections: pd.DataFrame) -> pd.DataFrame:
    """Build the table to train on, in which people have the last word, and of several the last one.

    Args:
        joined: What all annotators say of each face: ``fer.annotate.labels.join_labels``.
        pictures: The photograph of each face, in the same order.
        corrections: What people said.

    Returns:
        A row a face: ``path``, ``label`` ("" where there is none: it is not trained on), ``confidence``, ``annotator``
        (who says so), ``agreement``, ``p_<emotion>``, ``picture``, and where they are known ``age`` (RAF-DB's groups)
        and ``gender``.
    """
    final = joined.drop(columns=["annotators", "labels"]).assign(picture=pictures.to_numpy())
    if "age" in final:
        bins = [-np.inf, *AGE_GROUPS.values()]
        final["age"] = pd.cut(final["age"].astype(float), bins, labels=list(AGE_GROUPS)).astype(object)
    last = corrections.drop_duplicates("image", keep="last").set_index("image")
    said = final["path"].isin(last.index)
    rows = last.loc[final.loc[said, "path"]]
    final.loc[said, "label"] = rows["label"].replace(LEAVE_OUT, "").to_numpy()
    final.loc[said, "annotator"] = rows["person"].to_numpy()
    final.loc[said, ["confidence", "agreement"]] = np.nan
    return final
