"""Whether the labels of later batches are distributed otherwise: label_monitor_log.csv."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer.core.parquet import read_parquet
from fer.core.run_layout import LABELS_TABLE
from fer.errors import DataError, shorten_error
from fer.monitoring.drift import compute_psi

# What is usually called so (see `fer.monitoring.drift`).
MODERATE, SHIFT = 0.1, 0.25
REFERENCE, FEW = "reference", "few"


def build_monitor_log(
    labels: pd.DataFrame,
    images: Sequence[str],
    batch_size: int,
    emotions: Sequence[str],
    reference: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Compare the labels of each batch with those of a reference.

    Args:
        labels: Rows of the table of labels.
        images: The faces, in the order of the batches.
        batch_size: Faces of a batch.
        emotions: The classes.
        reference: Counts of the classes by annotator; None takes each annotator's first batch with a label.

    Returns:
        A row for each batch and annotator: ``batch``, ``annotator``, ``faces``, ``labelled``, ``mean_confidence``,
        ``share_<emotion>``, the population stability index ``psi`` and the ``state``: reference, stable, moderate
        or shift, or few where the faces are too few to tell.
    """
    numbers = pd.Series(np.arange(len(images)) // batch_size, index=list(images))
    labels = labels.assign(batch=labels["image"].map(numbers))
    known: dict[str, np.ndarray] = dict(reference or {})
    rows = []
    for (batch, annotator), part in labels.groupby(["batch", "annotator"], sort=True):
        given = part[part["label"] != ""]
        counts = count_labels(given["label"], emotions)
        psi, state = np.nan, ""
        if len(given) and str(annotator) in known:
            psi = float(compute_psi(counts, known[str(annotator)]))
            state = _judge(psi, len(given), known[str(annotator)].sum(), len(emotions))
        elif len(given):
            known[str(annotator)], state = counts, REFERENCE
        rows.append(
            {
                "batch": batch,
                "annotator": annotator,
                "faces": len(part),
                "labelled": len(given),
                "mean_confidence": given["confidence"].mean(),
                **dict(zip((f"share_{name}" for name in emotions), counts / max(len(given), 1), strict=True)),
                "psi": psi,
                "state": state,
            }
        )
    return pd.DataFrame(rows)


def _judge(psi: float, faces: int, reference: float, classes: int) -> str:
    """The state of a batch of so many faces; by chance the index is about (classes - 1) (1 / faces + 1 / reference)."""
    if (classes - 1) * (1 / faces + 1 / reference) > MODERATE:
        return FEW
    return "shift" if psi > SHIFT else "moderate" if psi > MODERATE else "stable"


def count_labels(labels: "pd.Series[str]", emotions: Sequence[str]) -> np.ndarray:
    """Counts (classes,) of labels."""
    return labels.value_counts().reindex(list(emotions), fill_value=0).to_numpy(float)


def read_reference(run: Path, annotators: Sequence[str], emotions: Sequence[str]) -> dict[str, np.ndarray]:
    """Read how an earlier run's labels are distributed.

    Args:
        run: The run.
        annotators: Whose labels are needed.
        emotions: The classes.

    Returns:
        Counts (classes,) by annotator.

    Raises:
        DataError: The run cannot be read, or lacks an annotator.
    """
    try:
        labels = read_parquet(run / f"{LABELS_TABLE}.parquet", ["annotator", "label"])
    except (OSError, ValueError) as error:
        raise DataError(
            f"annotation.reference={run}: cannot be read ({shorten_error(error)}); name a finished run of fer annotate"
        ) from None
    labels = labels[labels["label"] != ""]
    if missing := [name for name in annotators if name not in set(labels["annotator"])]:
        raise DataError(
            f"annotation.reference={run}: has no labels of {', '.join(missing)}; name a run with the same annotators"
        )
    return {name: count_labels(labels.loc[labels["annotator"] == name, "label"], emotions) for name in annotators}
