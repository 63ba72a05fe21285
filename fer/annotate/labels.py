"""The table of labels: a row for each annotator and face; and what all annotators of a face say together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer.annotate.judgement import DECIMALS, Judgement

PROBABILITY = "p_"
_TEXTS = ("image", "annotator", "label", "gender", "problem")


def build_rows(
    annotator: str, images: Sequence[str], judgements: Sequence[Judgement], emotions: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows of labels of one annotator; ``emotions`` are the columns of probabilities."""
    return [
        {
            "image": image,
            "annotator": annotator,
            "label": judgement.label,
            "confidence": judgement.confidence,
            **{f"{PROBABILITY}{name}": judgement.probabilities.get(name) for name in emotions},
            "age": judgement.age,
            "gender": judgement.gender,
            "gender_confidence": judgement.gender_confidence,
            "problem": judgement.problem,
        }
        for image, judgement in zip(images, judgements, strict=True)
    ]


def build_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows of labels as a table with the types that every batch has."""
    table = pd.DataFrame(list(rows))
    return table.astype({name: "str" if name in _TEXTS else "float64" for name in table.columns})


def join_labels(labels: pd.DataFrame, images: list[str]) -> pd.DataFrame:
    """Join what all annotators say of each face.

    The label is what most of them say; of several said by as many, the one with the highest mean probability.

    Args:
        labels: Rows of ``build_table``.
        images: The faces, in the order of the result.

    Returns:
        A row a face: ``path``, ``label`` ("" where nobody gave one), ``confidence`` (its mean probability),
        ``annotator`` (those who say it), ``agreement`` (their share of those who gave a label), ``annotators`` (their
        number), ``labels`` (how many different ones there are), the mean ``p_<emotion>``, and, where they were asked
        for, ``age`` and ``gender``.
    """
    columns = [str(name) for name in labels.columns if str(name).startswith(PROBABILITY)]
    given = labels[labels["label"] != ""]
    # Who does not know a class gives it nothing.
    means = given[columns].fillna(0).groupby(given["image"]).mean().reindex(images)
    votes = pd.crosstab(given["image"], given["label"]).reindex(images, fill_value=0)
    votes = votes.reindex(columns=[name.removeprefix(PROBABILITY) for name in columns], fill_value=0)
    total = votes.sum(axis=1).to_numpy()
    probabilities = np.nan_to_num(means.to_numpy(float))
    # A vote more outweighs any probability.
    winner = (votes.to_numpy() + probabilities / 2).argmax(axis=1) if len(columns) else np.zeros(len(votes), int)
    known = total > 0
    names = np.array(votes.columns, dtype=object)[winner] if len(columns) else np.full(len(votes), "", object)
    winners = pd.Series(np.where(known, names, ""), index=images)
    agreeing = given[given["label"] == given["image"].map(winners)]
    rows = np.arange(len(votes))
    joined = pd.DataFrame(
        {
            "path": images,
            "label": winners.to_numpy(),
            "confidence": np.where(known, probabilities[rows, winner], np.nan),
            "annotator": agreeing.groupby("image")["annotator"]
            .agg("; ".join)
            .reindex(images, fill_value="")
            .to_numpy(),
            "agreement": np.where(known, votes.to_numpy()[rows, winner] / np.maximum(total, 1), np.nan),
            "annotators": total,
            "labels": (votes > 0).sum(axis=1).to_numpy(),
            **dict(zip(columns, means.to_numpy(float).T, strict=True)),
        }
    )
    for name in ("age", "gender"):
        asked = labels[labels[name].notna() & (labels[name] != "")]
        if len(asked):
            joined[name] = asked.groupby("image")[name].first().reindex(images).to_numpy()
    return joined.round(dict.fromkeys(("confidence", "agreement", *columns), DECIMALS))
