"""The manifest: one row for every image that a run uses, and a list of those it does not, with reasons."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fer.data import label_rules, splits
from fer.data.duplicates import group_duplicates
from fer.data.image_store import ImageStore
from fer.data.sources.base import SPLITS, VOTE_COLUMNS, Source
from fer.emotions import get_class_names
from fer.errors import DataError

log = logging.getLogger(__name__)
LIMITED = "beyond dataset.limit"
SHOWN = 5


@dataclass
class Manifest:
    """``samples``: a row an image that is used, indexed by its row in the store, with the columns of manifest.parquet.

    ``excluded``: sample_id, source, path, part, reason. ``findings``: (what was found, how many, what was done).
    """

    samples: pd.DataFrame
    excluded: pd.DataFrame
    classes: tuple[str, ...]
    findings: list[tuple[str, int, str]] = field(default_factory=list)

    def get_split(self, name: str) -> pd.DataFrame:
        """Rows of train, val or test."""
        return self.samples[self.samples["split"] == name]

    def get_targets(self, name: str) -> np.ndarray:
        """Target distributions (N, classes) float32 of a part."""
        return self.get_split(name)[[f"target_{emotion}" for emotion in self.classes]].to_numpy(np.float32)


def build_manifest(
    sources: Sequence[Source],
    store: ImageStore,
    rules: Mapping[str, Mapping[str, Any]],
    *,
    classes: int,
    split: str,
    fractions: Sequence[float],
    on_leak: str,
    near_duplicate_bits: int,
    on_corrupt: str,
    on_empty_class: str,
    balance: str,
    limit: int | None,
    seed: int,
) -> Manifest:
    """Check, split, label and weigh the images of all sources.

    ``rules`` gives, for each source with votes, `label_rule`, `eval_label_rule` and `contempt`. Images are dropped,
    each with its reason, when they cannot be read, when the annotators agree on no emotion, or when they leak.
    Raises DataError as `on_corrupt`, `on_leak` and `on_empty_class` ask, and when a part that is needed is empty.
    """
    names = get_class_names(classes)
    samples = pd.concat([source.table.assign(source=source.name) for source in sources], ignore_index=True)
    samples.insert(0, "sample_id", samples["source"] + "/" + samples["path"])
    samples = samples.join(store.index)
    samples["duplicate_group"] = group_duplicates(store.index, near_duplicate_bits)
    findings: list[tuple[str, int, str]] = []
    dropped: list[pd.DataFrame] = []

    def drop(where: pd.Series | np.ndarray, reason: pd.Series | str) -> None:
        nonlocal samples
        rows = samples[np.asarray(where)]
        if len(rows):
            dropped.append(rows[["sample_id", "source", "path", "part"]].assign(reason=reason))
            samples = samples[~np.asarray(where)]

    problems = _collect_corrupt_images(sources, samples, on_corrupt, findings)
    drop(samples["problem"] != "", samples["problem"])
    findings += _count_duplicates(samples)

    samples["stratum"] = _compute_strata(samples, rules, names)
    if split == "stratified":
        samples["split"] = splits.split_stratified(samples, fractions, seed)
    else:
        samples["split"] = splits.split_official(samples, fractions, seed)
        same_image, same_pixels = splits.find_leaks(samples, samples["split"])
        if same_image.any():
            message = splits.format_leak_message(samples, samples["split"], same_image, same_pixels)
            if on_leak == "error":
                raise DataError(f"{message}; set dataset.on_leak=drop to leave them out of the later part")
            done = "left out" if on_leak == "drop" else "kept (dataset.on_leak=ignore)"
            log.warning("Leak: %s: %s", message, done)
            findings.append((message, int(same_image.sum()), done))
            if on_leak == "drop":
                drop(same_image, splits.LEAK)

    reasons = _apply_label_rules(samples, rules, names)
    drop(reasons != "", pd.Series(reasons, index=samples.index)[reasons != ""])
    if limit is not None:
        drop(_find_beyond_limit(samples, limit, seed), LIMITED)
    _check_classes(samples, names, on_empty_class, findings)
    samples["weight"] = _compute_sample_weights(samples, balance)

    excluded = pd.concat([*dropped, problems], ignore_index=True)
    listed = {splits.LEAK, LIMITED, *problems["reason"]}
    for reason, count in excluded["reason"].value_counts().items():
        if reason not in listed:
            findings.append((str(reason), int(count), "left out"))
    for part in SPLITS:
        log.info("%s: %d images", part, int((samples["split"] == part).sum()))
    columns = [
        *("sample_id", "source", "path", "split", "label"),
        *VOTE_COLUMNS,
        *(f"target_{name}" for name in names),
        *("weight", "content_hash", "perceptual_hash", "duplicate_group"),
    ]
    return Manifest(samples[columns], excluded, names, findings)


def _collect_corrupt_images(
    sources: Sequence[Source], samples: pd.DataFrame, on_corrupt: str, findings: list[tuple[str, int, str]]
) -> pd.DataFrame:
    """Rows without image and images without row, as exclusions; notes them and unreadable images, or refuses."""
    rows = [(f"{s.name}/{path}", s.name, path, "", reason) for s in sources for path, reason in s.problems]
    problems = pd.DataFrame(rows, columns=["sample_id", "source", "path", "part", "reason"], dtype=object)
    unreadable = samples[samples["problem"] != ""]
    listed = [f"{row.source}/{row.path} ({row.reason})" for row in problems.itertuples()]
    listed += [f"{row.sample_id} ({row.problem})" for row in unreadable.itertuples()]
    if not listed:
        return problems
    text = "; ".join(listed[:SHOWN]) + (f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
    if on_corrupt == "error":
        raise DataError(f"{text}. Mend them, or set dataset.on_corrupt=skip to list them and go on without")
    log.warning("Left out: %s", text)
    for reason, count in problems["reason"].value_counts().items():
        findings.append((str(reason), int(count), "left out"))
    return problems


def _count_duplicates(samples: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Counts of pictures that occur more than once."""
    same_pixels = int(samples["content_hash"].duplicated().sum())
    same_image = int(samples["duplicate_group"].duplicated().sum())
    return [
        ("images that repeat another one pixel for pixel", same_pixels, "grouped"),
        ("images that repeat another one, by perceptual hash", same_image, "grouped"),
    ]


def _compute_strata(samples: pd.DataFrame, rules: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> pd.Series:
    """The class by which an image is stratified: its label, or what most annotators said."""
    stratum = samples["label"].copy()
    for source in rules:
        rows = samples["source"] == source
        _, labels, _ = label_rules.build_targets_from_votes(
            samples.loc[rows, list(VOTE_COLUMNS)].to_numpy(), "argmax", len(names), "drop"
        )
        stratum[rows] = [names[label] if label >= 0 else "none" for label in labels]
    return stratum.fillna("none")


def _apply_label_rules(
    samples: pd.DataFrame, rules: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]
) -> np.ndarray:
    """Fill ``label`` and ``target_*`` in place; returns for each row why it has no label ("" where it has one)."""
    targets = np.zeros((len(samples), len(names)))
    labels = np.full(len(samples), -1)
    reasons = np.full(len(samples), "", dtype=object)
    for source in samples["source"].unique():
        of_source = (samples["source"] == source).to_numpy()
        training = (samples["split"] == "train").to_numpy()
        for rows, key in ((of_source & training, "label_rule"), (of_source & ~training, "eval_label_rule")):
            if source in rules:
                votes = samples.loc[rows, list(VOTE_COLUMNS)].to_numpy()
                rule = rules[source]
                applied = label_rules.build_targets_from_votes(votes, rule[key], len(names), rule["contempt"])
            else:
                applied = label_rules.build_targets_from_labels(samples.loc[rows, "label"].tolist(), len(names))
            targets[rows], labels[rows], reasons[rows] = applied
    samples["label"] = [names[label] if label >= 0 else None for label in labels]
    for column, name in enumerate(names):
        samples[f"target_{name}"] = targets[:, column]
    return reasons


def _find_beyond_limit(samples: pd.DataFrame, limit: int, seed: int) -> np.ndarray:
    """Which rows to leave out so that each part keeps at most ``limit``, chosen at random."""
    order = pd.Series(np.random.default_rng(seed).permutation(len(samples)), index=samples.index)
    return (order.groupby(samples["split"]).rank(method="first") > limit).to_numpy()


def _check_classes(
    samples: pd.DataFrame, names: tuple[str, ...], on_empty_class: str, findings: list[tuple[str, int, str]]
) -> None:
    """Refuse an empty training or validation part, and classes without training images as ``on_empty_class`` says."""
    for part, word in (("train", "training"), ("val", "validation")):
        if not (samples["split"] == part).any():
            raise DataError(f"there are no {word} images; check the source's parts, or set dataset.split=stratified")
    present = set(samples.loc[samples["split"] == "train", "label"])
    if empty := [name for name in names if name not in present]:
        text = f"no training images of {', '.join(empty)}"
        if on_empty_class == "error":
            raise DataError(f"{text}; add some, or set dataset.on_empty_class=ignore to train without")
        log.warning("There are %s", text)
        findings.append((text, len(empty), "trained without"))


def _compute_sample_weights(samples: pd.DataFrame, balance: str) -> np.ndarray:
    """Weight of each training image: 1, or inversely to its class's size, 1 on average; 1 outside training."""
    training = (samples["split"] == "train").to_numpy()
    weights = np.ones(len(samples))
    if balance != "none":
        classes = samples.loc[training, "label"]
        inverse = 1.0 / classes.map(classes.value_counts()).to_numpy(float)
        weights[training] = inverse / inverse.mean()
    return weights
