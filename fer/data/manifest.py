"""The manifest: one row for every image that a run uses, and a list of those it does not, with reasons."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from fer.data import joined_sources, label_rules, split_checks, splits
from fer.data.exclude import check_excluded
from fer.data.image_store import ImageStore
from fer.data.sources.base import SPLITS, VOTE_COLUMNS, Source
from fer.emotions import AFFECT, get_class_names
from fer.errors import DataError

log = logging.getLogger(__name__)
LIMITED = "beyond dataset.limit"
LEFT_OUT = "left out"
Finding = tuple[str, int, str]  # what was found, how many, what was done


@dataclass
class Manifest:
    """The images of a run.

    Attributes:
        samples: A row an image that is used, indexed by its row in the store, with the columns of manifest.parquet.
        excluded: A row an image that is not: `sample_id`, `source`, `path`, `part` (official split) and `reason`.
        classes: Names of the classes, in their order.
        findings: What the integrity checks found, how many, and what was done.
    """

    samples: pd.DataFrame
    excluded: pd.DataFrame
    classes: tuple[str, ...]
    findings: list[Finding] = field(default_factory=list)

    def get_split(self, name: str) -> pd.DataFrame:
        """Return the rows of train, val or test."""
        return self.samples[self.samples["split"] == name]

    def get_targets(self, name: str) -> np.ndarray:
        """Return the target distributions (N, classes) float32 of train, val or test."""
        return self.get_split(name)[[f"target_{emotion}" for emotion in self.classes]].to_numpy(np.float32)

    def get_affect(self) -> pd.DataFrame:
        """Return valence and arousal of all samples, NaN where they are not known."""
        return self.samples.reindex(columns=list(AFFECT)).astype("float32")


@dataclass(frozen=True)
class ManifestConfig:
    """How images are checked, split, labelled and weighed.

    The fields are those of the configuration section `dataset`, beside the run's ``seed``, ``label_rules``: for each
    source with votes its `label_rule`, `eval_label_rule` and `contempt`, and ``exclude``: sample ids that are left
    out, with the reason. Where nothing is trained (``training``), no training images are needed.
    """

    label_rules: Mapping[str, Mapping[str, Any]]
    classes: int
    split: Literal["official", "stratified", "subject"]
    fractions: Sequence[float]
    on_leak: Literal["drop", "error", "ignore"]
    near_duplicate_bits: int
    on_corrupt: Literal["error", "skip"]
    on_empty_class: Literal["error", "ignore"]
    balance: Literal["none", "weighted_sampling", "class_weights"]
    limit: int | None
    seed: int
    exclude: Mapping[str, str] = field(default_factory=dict)
    training: bool = True


def build_manifest(sources: Sequence[Source], store: ImageStore, config: ManifestConfig) -> Manifest:
    """Check, split, label and weigh the images of all sources.

    Images are dropped, each with its reason, when they cannot be read, when they leak from one split into another,
    when the annotators agree on no emotion, or when there are more than ``config.limit``.

    Args:
        sources: The data sets, in the order of the store's rows.
        store: Their decoded images.
        config: What to do about each.

    Raises:
        DataError: As `on_corrupt`, `on_leak` and `on_empty_class` ask, when a split that is needed is empty, or when
            ``exclude`` names an image that there is not.

    Examples:
        >>> manifest = build_manifest(sources, open_image_store(sources, 224, ".cache"), config)
        >>> manifest.get_split("train")["label"].value_counts()
    """
    builder = _ManifestBuilder(sources, store, config)
    builder.report_unused()
    builder.drop_listed()
    builder.check_corrupt()
    builder.drop_unreadable()
    builder.drop_unfit()
    builder.count_duplicates()
    builder.split()
    builder.drop_leaks()
    builder.drop_shared_subjects()
    builder.apply_label_rules()
    builder.drop_beyond_limit()
    if config.training:
        builder.check_classes()
    else:
        builder.check_evaluated()
    builder.weigh()
    return builder.build()


class _ManifestBuilder:
    """The images of all sources on their way into a manifest; the steps follow each other as in `build_manifest`."""

    def __init__(self, sources: Sequence[Source], store: ImageStore, config: ManifestConfig) -> None:
        self.cfg = config
        self.things = "images" if store.clips is None else "clips"
        self.index = store.index
        self.classes = get_class_names(config.classes)
        self.samples = joined_sources.join_samples(sources, store, config.near_duplicate_bits)
        groups = joined_sources.join_groups(sources)
        self.group_columns = groups.columns.tolist()
        self.samples = self.samples.join(groups)
        self.source_problems = joined_sources.list_exclusions((s.name, s.problems) for s in sources)
        self.unused = joined_sources.list_exclusions((s.name, s.unused) for s in sources)
        self.dropped: list[pd.DataFrame] = []
        self.findings: list[Finding] = []

    def report_unused(self) -> None:
        """Report files and folders that are there and belong to no sample."""
        for reason, rows in self.unused.groupby("reason", sort=True):
            names = joined_sources.shorten_list(rows["sample_id"].tolist(), ", ")
            log.warning("Not used: %d (%s): %s", len(rows), reason, names)
            self._report(f"files not used, {reason}: {names}", len(rows), LEFT_OUT)

    def drop_listed(self) -> None:
        """Drop the images that the user lists. Raises DataError for one that there is not."""
        check_excluded(self.cfg.exclude, self.samples["sample_id"])
        reasons = self.samples["sample_id"].map(dict(self.cfg.exclude))
        self._drop(reasons.notna(), reasons)

    def check_corrupt(self) -> None:
        """Report unreadable images, rows without image and images without row, or refuse them."""
        unreadable = self.samples[self.samples["problem"] != ""]
        listed = [f"{row.sample_id} ({row.reason})" for row in self.source_problems.itertuples()]
        listed += [f"{row.sample_id} ({row.problem})" for row in unreadable.itertuples()]
        if not listed:
            return
        if self.cfg.on_corrupt == "error":
            raise joined_sources.build_corrupt_error(listed)
        log.warning("Left out %d: %s", len(listed), joined_sources.shorten_list(listed, "; "))
        for reason, count in self.source_problems["reason"].value_counts().items():
            self._report(str(reason), count, LEFT_OUT)

    def drop_unreadable(self) -> None:
        """Drop images that cannot be decoded."""
        self._drop(self.samples["problem"] != "", self.samples["problem"])

    def drop_unfit(self) -> None:
        """Drop clips that can be read, but in which too little of a face is seen."""
        if self.things == "clips":
            unfit = self.index["unfit"].loc[self.samples.index]
            self._drop(unfit != "", unfit)

    def count_duplicates(self) -> None:
        """Report how many images occur more than once."""
        same_pixels = self.samples["content_hash"].duplicated().sum()
        same_image = self.samples["duplicate_group"].duplicated().sum()
        self._report(f"{self.things} that repeat another one pixel for pixel", same_pixels, "grouped")
        self._report(f"{self.things} that repeat another one, by perceptual hash", same_image, "grouped")

    def split(self) -> None:
        """Assign each image to train, val or test. Raises DataError where none is left."""
        split_checks.check_left(self.samples, self.things, self._describe_dropped())
        self.samples["stratum"] = self._compute_strata()
        splitter = splits.SPLITTERS[self.cfg.split]
        if splitter is splits.split_official and not self.cfg.training:
            splitter = splits.split_for_evaluation
        self.samples["split"] = splitter(self.samples, self.cfg.fractions, self.cfg.seed)
        if self.cfg.split != "official" and (mixed := split_checks.describe_mixed_parts(self.samples)):
            log.warning("dataset.split=%s: %s; dataset.split=official keeps them", self.cfg.split, mixed)
            self._report(mixed, (self.samples["part"] != "").sum(), f"divided anew (dataset.split={self.cfg.split})")

    def _compute_strata(self) -> pd.Series:
        """The class by which an image is stratified: its label, or what most annotators said."""
        stratum = self.samples["label"].copy()
        for source in self.cfg.label_rules:
            rows = self.samples["source"] == source
            _, labels, _ = label_rules.build_targets_from_votes(
                self.samples.loc[rows, list(VOTE_COLUMNS)].to_numpy(), "argmax", len(self.classes), "drop"
            )
            stratum[rows] = [self.classes[label] if label >= 0 else "none" for label in labels]
        return stratum.fillna("none")

    def drop_leaks(self) -> None:
        """Drop images that also stand in an earlier split, which a stratified split keeps together, or refuse them."""
        same_image, same_pixels = splits.find_leaks(self.samples, self.samples["split"])
        if not same_image.any():
            return
        message = splits.format_leak_message(self.samples, self.samples["split"], same_image, same_pixels, self.things)
        self._treat_leak(message, same_image, splits.LEAK if self.things == "images" else splits.CLIP_LEAK)

    def drop_shared_subjects(self) -> None:
        """Drop clips of people who are in an earlier part, too, or refuse them; a stratified split has them anyway."""
        if self.things == "images" or self.cfg.split == "subject":
            return
        shared = splits.find_shared_subjects(self.samples, self.samples["split"])
        if not shared.any():
            return
        count = splits.name_subjects(self.samples[shared]).nunique()
        message = f"{int(shared.sum())} validation and test clips show people who are in an earlier part, too ({count})"
        if self.cfg.split == "official":
            self._treat_leak(message, shared, splits.SUBJECT_LEAK)
            return
        log.warning("%s; dataset.split=subject keeps people apart", message)
        self._report(message, int(shared.sum()), "kept (dataset.split=stratified)")

    def _treat_leak(self, message: str, rows: pd.Series, reason: str) -> None:
        """Drop rows of later parts, refuse or keep them, as `on_leak` says."""
        if self.cfg.on_leak == "error":
            raise DataError(f"{message}; set dataset.on_leak=drop to leave them out of the later part")
        action = LEFT_OUT if self.cfg.on_leak == "drop" else "kept (dataset.on_leak=ignore)"
        log.warning("Leak: %s: %s", message, action)
        self._report(message, int(rows.sum()), action)
        if self.cfg.on_leak == "drop":
            self._drop(rows, reason)

    def apply_label_rules(self) -> None:
        """Fill ``label`` and ``target_*``; drop the images for which the rule of their source gives no label."""
        targets = np.zeros((len(self.samples), len(self.classes)))
        labels = np.full(len(self.samples), -1)
        reasons = np.full(len(self.samples), "", dtype=object)
        training = (self.samples["split"] == "train").to_numpy()
        for source in self.samples["source"].unique():
            in_source = (self.samples["source"] == source).to_numpy()
            for rows, key in ((in_source & training, "label_rule"), (in_source & ~training, "eval_label_rule")):
                targets[rows], labels[rows], reasons[rows] = self._build_targets(source, rows, key)
        self.samples["label"] = [self.classes[label] if label >= 0 else None for label in labels]
        for column, name in enumerate(self.classes):
            self.samples[f"target_{name}"] = targets[:, column]
        self._drop(reasons != "", pd.Series(reasons, index=self.samples.index), is_told=False)

    def _build_targets(self, source: str, rows: np.ndarray, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Targets, label indices and reasons of some rows of a source, by its votes or single labels."""
        if source not in self.cfg.label_rules:
            return label_rules.build_targets_from_labels(self.samples.loc[rows, "label"].tolist(), len(self.classes))
        votes = self.samples.loc[rows, list(VOTE_COLUMNS)].to_numpy()
        rule = self.cfg.label_rules[source]
        return label_rules.build_targets_from_votes(votes, rule[key], len(self.classes), rule["contempt"])

    def drop_beyond_limit(self) -> None:
        """Keep at most ``limit`` images of each split, chosen at random."""
        if self.cfg.limit is None:
            return
        permutation = np.random.default_rng(self.cfg.seed).permutation(len(self.samples))
        order = pd.Series(permutation, index=self.samples.index)
        self._drop(order.groupby(self.samples["split"]).rank(method="first") > self.cfg.limit, LIMITED, is_told=False)

    def check_classes(self) -> None:
        """Refuse an empty training or validation split, and classes without training images as configured."""
        is_official = self.cfg.split == "official"
        split_checks.check_training(self.samples["split"], self.things, self._describe_dropped(), is_official)
        empty = split_checks.find_empty_classes(self.samples, self.classes)
        if not empty:
            return
        text = f"no training {self.things} of {', '.join(empty)}"
        if self.cfg.on_empty_class == "error":
            raise DataError(f"{text}; add some, or set dataset.on_empty_class=ignore to train without")
        log.warning("There are %s", text)
        self._report(text, len(empty), "trained without")

    def check_evaluated(self) -> None:
        """Refuse data without any image to evaluate."""
        split_checks.check_evaluated(self.samples["split"], self.things, self._describe_dropped())

    def weigh(self) -> None:
        """Weigh training images inversely to their class's size, 1 on average; 1 outside training or balance.

        Where a data set weighs its images itself, its weights of training images are multiplied with these.
        """
        training = (self.samples["split"] == "train").to_numpy()
        weights = np.ones(len(self.samples))
        if self.cfg.balance != "none" and training.any():
            labels = self.samples.loc[training, "label"]
            inverse = 1.0 / labels.map(labels.value_counts()).to_numpy(float)
            weights[training] = inverse / inverse.mean()
        if "weight" in self.samples:
            weights[training] *= self.samples["weight"].fillna(1.0).to_numpy(float)[training]
        self.samples["weight"] = weights

    def build(self) -> Manifest:
        """Report why images were dropped, and return what is left."""
        excluded = pd.concat([*self.dropped, self.source_problems, self.unused], ignore_index=True)
        reported = {
            splits.LEAK,
            splits.CLIP_LEAK,
            splits.SUBJECT_LEAK,
            LIMITED,
            *self.source_problems["reason"],
            *self.unused["reason"],
        }
        for reason, count in excluded["reason"].value_counts().items():
            if reason not in reported:
                self._report(str(reason), count, LEFT_OUT)
        for split in SPLITS:
            log.info("%s: %d %s", split, int((self.samples["split"] == split).sum()), self.things)
        columns = [
            *("sample_id", "source", "path", "split", "label"),
            *VOTE_COLUMNS,
            *(f"target_{name}" for name in self.classes),
            *("weight", "content_hash", "perceptual_hash", "duplicate_group"),
            *self.group_columns,
        ]
        return Manifest(self.samples[columns], excluded, self.classes, self.findings)

    def _drop(self, mask: pd.Series | np.ndarray, reason: pd.Series | str, is_told: bool = True) -> None:
        """Move rows to the exclusions, and log how many unless ``is_told``; a series gives each its own reason."""
        mask = np.asarray(mask)
        if mask.any():
            dropped = self.samples[mask].assign(reason=reason)[joined_sources.EXCLUSION_COLUMNS]
            self.dropped.append(dropped)
            for why, count in dropped["reason"].value_counts().items() if not is_told else ():
                log.info("Left out: %d (%s)", count, why)
            self.samples = self.samples[~mask]

    def _describe_dropped(self) -> str:
        """What was left out, most first, in parentheses; empty where nothing was."""
        if not self.dropped:
            return ""
        reasons = pd.concat(self.dropped)["reason"].value_counts()
        listed = ", ".join(f"{count} because of: {reason}" for reason, count in reasons.head(3).items())
        return f" (left out: {listed})"

    def _report(self, finding: str, count: int, action: str) -> None:
        self.findings.append((finding, int(count), action))
