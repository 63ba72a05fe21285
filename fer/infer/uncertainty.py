"""What the model is not sure of in an emotion table, by the rule and the thresholds that its bundle brings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.bundle.calibration import dump_uncertainty, parse_confidence_rule, parse_set_thresholds
from fer.bundle.metadata import BundleDescription
from fer.core.documents import read_json_object
from fer.core.io import write_text
from fer.core.run_layout import PARTS_DIR, UNCERTAINTY_JSON
from fer.errors import UserError
from fer.metrics.uncertainty import ConfidenceRule, SetThresholds

UNCERTAIN, SET = "uncertain", "set"
# Between the emotions of a set.
SEPARATOR = "|"


def save_uncertainty(description: BundleDescription, run_directory: Path, level: float | None) -> None:
    """Keep what a bundle says of uncertainty in the run: the model may be elsewhere when the report is made anew.

    Raises:
        UserError: Prediction sets are wanted, and the bundle has no thresholds for them.
    """
    if level is not None and description.set_thresholds is None:
        raise UserError(
            f"inference.sets={level:g}: {description.folder} was trained by a version without prediction sets; train "
            "it again, or leave the key out"
        )
    content = dump_uncertainty(description.confidence_rule, description.set_thresholds)
    write_text(run_directory / PARTS_DIR / UNCERTAINTY_JSON, json.dumps(content, indent=2) + "\n")


def read_uncertainty(run_directory: Path) -> tuple[ConfidenceRule | None, SetThresholds | None]:
    """Read what ``save_uncertainty`` kept; nothing in a run of an earlier version."""
    path = run_directory / PARTS_DIR / UNCERTAINTY_JSON
    content = read_json_object(path) if path.is_file() else {}
    return parse_confidence_rule(content), parse_set_thresholds(content)


def add_uncertainty(table: pd.DataFrame, rule: ConfidenceRule | None) -> pd.DataFrame:
    """Return the emotion table with the column ``uncertain`` after ``confidence``, empty without probabilities.

    Args:
        table: The table, classified.
        rule: The model's; None leaves the whole column empty.
    """
    uncertain = pd.array([pd.NA] * len(table), dtype="boolean")
    ok = (table["status"] == "ok").to_numpy()
    if rule is not None:
        uncertain[ok] = rule.find_uncertain(table.loc[ok, "confidence"].to_numpy(float))
    return _insert_after(table, "confidence", UNCERTAIN, uncertain)


def add_sets(table: pd.DataFrame, thresholds: SetThresholds, level: float, classes: list[str]) -> pd.DataFrame:
    """Return the emotion table with the column ``set`` after ``uncertain``: emotions, the most probable first.

    Args:
        table: The table, with the column ``uncertain``.
        thresholds: The model's.
        level: The wanted coverage.
        classes: The model's.
    """
    ok = (table["status"] == "ok").to_numpy()
    probabilities = table.loc[ok, [f"p_{name}" for name in classes]].to_numpy(float)
    members = thresholds.find_sets(probabilities, level)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    sets = np.full(len(table), None, object)
    sets[ok] = [
        SEPARATOR.join(classes[column] for column in ranking if chosen[column])
        for ranking, chosen in zip(order, members, strict=True)
    ]
    return _insert_after(table, UNCERTAIN, SET, pd.Series(sets, index=table.index, dtype="str"))


def _insert_after(table: pd.DataFrame, column: str, name: str, values: Any) -> pd.DataFrame:
    result = table.copy()
    result.insert(result.columns.tolist().index(column) + 1, name, values)
    return result


def add_uncertain_shares(videos: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return videos.parquet with the column ``uncertain_share`` after ``exclusions``: of the usable rows; or empty."""
    shares = table.groupby("video")[UNCERTAIN].mean().astype("float64")
    return _insert_after(videos, "exclusions", "uncertain_share", shares.reindex(videos["video"]).to_numpy())


def compute_uncertain_share(table: pd.DataFrame) -> float | None:
    """Return the share of uncertain rows among those with probabilities; None where none is known."""
    known = table[UNCERTAIN].dropna()
    return float(known.mean()) if len(known) else None
