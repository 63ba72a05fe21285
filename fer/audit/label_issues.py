"""Labels that are probably wrong: contradicted by a model that has not learnt them, or by the same image's other label.

A model's probabilities say something about a label only where the model was not trained on it. So what is examined are
evaluation images: those of one run, or of several runs whose splits differ.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer.errors import DataError

COLUMNS = ["source", "path", "sample_id", "given_label", "suggested_label", "score", "reason"]
CONTRADICTED = "the model disagrees"
CONFLICTING = "a duplicate has another label"


def average_predictions(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average what several models say of the same images.

    Args:
        tables: Of each model, a row an image that it was not trained on: sample_id, label, p_<emotion>.

    Returns:
        A row an image, in the order of the ids.

    Raises:
        DataError: The models have other classes, or an image another label.
    """
    if len({tuple(table.columns) for table in tables}) > 1:
        raise DataError(
            "the runs have different classes, so their predictions cannot be averaged; name runs of one kind"
        )
    joined = pd.concat(tables, ignore_index=True)
    labels = joined.groupby("sample_id")["label"].nunique()
    if (labels > 1).any():
        raise DataError(
            f"the runs give {labels.idxmax()} different labels, so they used other label rules; name runs of one rule"
        )
    columns = [name for name in joined.columns.astype(str) if name.startswith("p_")]
    means = joined.groupby("sample_id", as_index=False).agg({"label": "first", **dict.fromkeys(columns, "mean")})
    return pd.DataFrame(means)


def find_contradicted_labels(predictions: pd.DataFrame) -> pd.DataFrame:
    """Find labels that are probably wrong by confident learning (Northcutt and others 2021, arXiv:1911.00068).

    Args:
        predictions: A row an image that the model was not trained on: sample_id, label, p_<emotion>.

    Returns:
        Sample_id, given_label, suggested_label (the model's answer), score (the model's probability of the given label)
        and reason, the least probable label first; none where all images have the same label.
    """
    # Not installed everywhere: see fer/core/extras.py.
    from cleanlab.filter import find_label_issues

    columns = [name for name in predictions if str(name).startswith("p_")]
    classes = [str(name).removeprefix("p_") for name in columns]
    probabilities = predictions[columns].to_numpy(float)
    # cleanlab wants rows that sum to 1; single precision does so to 1e-7 alone.
    probabilities = probabilities / probabilities.sum(1, keepdims=True)
    labels = predictions["label"].map({name: number for number, name in enumerate(classes)}).to_numpy(np.int64)
    with warnings.catch_warnings():
        # It warns of every class without images.
        warnings.simplefilter("ignore")
        # Of images of one class alone it knows no confusions, and refuses them.
        comparable = len(np.unique(labels)) > 1
        found = np.asarray(
            find_label_issues(labels, probabilities, n_jobs=1) if comparable else np.zeros(len(labels)), dtype=bool
        )
    issues = pd.DataFrame(
        {
            "sample_id": predictions["sample_id"].to_numpy(),
            "given_label": predictions["label"].to_numpy(),
            "suggested_label": np.array(classes, dtype=object)[probabilities.argmax(1)],
            "score": probabilities[np.arange(len(labels)), labels],
            "reason": CONTRADICTED,
        }
    )
    issues = issues[found & (issues["given_label"] != issues["suggested_label"])]
    return issues.sort_values(["score", "sample_id"], ignore_index=True)


def find_conflicting_duplicates(samples: pd.DataFrame) -> pd.DataFrame:
    """Find images that show the same as another one and have another label.

    Args:
        samples: The manifest.

    Returns:
        As ``find_contradicted_labels``: the images whose label is not that of most votes for the picture, counted over
        all its copies; all of them, with an empty suggestion, where several labels have most. The score is the share
        of the votes for the given label; the label of an image without votes counts as one.
    """
    labels = samples.groupby("duplicate_group")["label"].nunique()
    rows = samples[samples["duplicate_group"].isin(labels.index[labels > 1])]
    classes = [str(name).removeprefix("target_") for name in samples if str(name).startswith("target_")]
    votes = rows[[f"votes_{name}" for name in classes]].set_axis(classes, axis=1).astype(float)
    single = pd.get_dummies(rows["label"]).reindex(columns=classes, fill_value=0).astype(float)
    votes = votes.where(votes.notna(), single)
    issues = []
    for _, members in rows.groupby("duplicate_group"):
        total = votes.loc[members.index].sum()
        best = total.index[total == total.max()].tolist()
        suggested = best[0] if len(best) == 1 else ""
        issues += [
            (sample, label, suggested, total[label] / total.sum(), CONFLICTING)
            for sample, label in zip(members["sample_id"], members["label"], strict=True)
            if label != suggested
        ]
    table = pd.DataFrame(issues, columns=["sample_id", "given_label", "suggested_label", "score", "reason"])
    return table.sort_values(["score", "sample_id"], ignore_index=True)


def join_issues(contradicted: pd.DataFrame, conflicting: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Join both lists, a row an image.

    Args:
        contradicted: As ``find_contradicted_labels`` gives them.
        conflicting: As ``find_conflicting_duplicates`` gives them.
        samples: The manifest.

    Returns:
        COLUMNS, the lowest score first; an image on both lists has both reasons, and the model's suggestion.
    """
    issues = pd.concat([contradicted, conflicting], ignore_index=True)
    reasons = issues.groupby("sample_id")["reason"].agg("; ".join)
    issues = issues.drop_duplicates("sample_id")
    issues = issues.assign(reason=issues["sample_id"].map(reasons))
    issues = issues.merge(samples[["sample_id", "source", "path"]], on="sample_id", how="left")
    return issues.sort_values(["score", "sample_id"], ignore_index=True)[COLUMNS]
