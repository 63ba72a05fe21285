"""Runs of earlier and later versions: what their run.yaml lacks, and what keeps their behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fer.config.diff import format_override_value

FIRST_VERSION = "0.1.0"
# Runs tell their version from here on.
FIRST_RECORDED = "0.3.0"


@dataclass(frozen=True)
class AddedKey:
    """A key that runs of earlier versions do not have.

    Attributes:
        version: The first version that has it.
        key: The key.
        value: What keeps the behaviour of runs without it, and is taken for them.
        applies: Key: values of the runs that can have it; a run of other values lacks nothing.
    """

    version: str
    key: str
    value: Any
    applies: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def is_missing(self, saved: Mapping[str, Any]) -> bool:
        """Whether a run, values by dotted key, could have it and does not."""
        # Of a map that holds something, the keys of its entries stand in ``saved``.
        has_it = any(f"{key}.".startswith(f"{self.key}.") for key in saved)
        return not has_it and all(saved.get(key) in values for key, values in self.applies.items())


@dataclass(frozen=True)
class ChangedBehaviour:
    """What no key brings back.

    Attributes:
        version: The first version that behaves so.
        applies: Key: values of the runs that it concerns, all of which must hold; a missing key does not.
        note: What differs.
    """

    version: str
    applies: Mapping[str, tuple[Any, ...]]
    note: str


# A new key gets a line here; tests/config/test_migrations.py compares them with the runs of every released version.
ADDED_KEYS = (
    AddedKey("0.2.0", "trainer.sync_batchnorm", True),
    AddedKey("0.3.0", "optimizer.options", {}),
    AddedKey("0.3.0", "optimizer.fused", "gpu"),
    AddedKey("0.3.0", "trainer.max_time", None),
    AddedKey("0.3.0", "trainer.accumulate", 1),
    AddedKey("0.3.0", "model.loss.options", {}),
    AddedKey("0.3.0", "trainer.callbacks", {}),
    AddedKey("0.3.0", "dataset.augment.plugins", {}),
    AddedKey("0.3.0", "tracker.plugins", {}),
    AddedKey("0.3.0", "trainer.profile", False),
    AddedKey("0.3.0", "optimizer.schedule.options", {}),
    AddedKey("0.3.0", "optimizer.schedule.interval", "epoch"),
    AddedKey("0.3.0", "trainer.swa_start", None),
    AddedKey("0.3.0", "trainer.overfit_batches", None),
    AddedKey("0.3.0", "trainer.validations", 1),
    AddedKey("0.3.0", "evaluation.protocol", None),
    AddedKey("0.3.0", "evaluation.calibration", "temperature"),
    AddedKey("0.3.0", "evaluation.logit_adjustment", 0),
    AddedKey("0.3.0", "evaluation.precision_target", None),
    AddedKey("0.3.0", "inference.sets", None),
    AddedKey("0.3.0", "evaluation.groups", []),
    AddedKey("0.3.0", "evaluation.min_group_size", 30),
    AddedKey("0.3.0", "evaluation.slices", False),
    AddedKey("0.3.0", "evaluation.robustness", False),
    AddedKey("0.3.0", "evaluation.robustness_limit", 500),
    AddedKey("0.3.0", "evaluation.label_issues", False),
    AddedKey("0.3.0", "dataset.exclude", None),
    AddedKey("0.3.0", "registry.gate.min_worst_class_recall", None),
    AddedKey("0.3.0", "registry.gate.min_worst_group_accuracy", None),
    AddedKey("0.3.0", "trainer.explain", False),
    AddedKey("0.3.0", "extraction.explain", False),
    AddedKey("0.3.0", "inference.device", "auto"),
    AddedKey("0.3.0", "inference.precision", "32"),
    AddedKey("0.3.0", "model.flip", False),
    AddedKey("0.3.0", "model.teacher", []),
    AddedKey("0.3.0", "model.loss.logit_adjustment", 0),
    AddedKey("0.3.0", "model.loss.distill_weight", 0.5),
    AddedKey("0.3.0", "model.loss.distill_temperature", 1),
    AddedKey("0.3.0", "model.affect", False),
    AddedKey("0.3.0", "model.loss.affect_weight", 1),
    AddedKey("0.3.0", "extraction.study", None),
    AddedKey("0.3.0", "extraction.exports", ["csv", "webvtt"]),
    AddedKey("0.3.0", "extraction.blur", "none"),
    AddedKey("0.3.0", "extraction.retention_days", None),
    AddedKey("0.3.0", "report.faces", None),
    AddedKey("0.3.0", "extraction.share", None),
    AddedKey("0.3.0", "extraction.shares", 1),
    AddedKey("0.3.0", "ensemble.weights", "equal"),
    AddedKey("0.3.0", "model.kind", "frame"),
    AddedKey("0.3.0", "model.encoder", None),
    AddedKey("0.3.0", "model.temporal.head", "gru"),
    AddedKey("0.3.0", "model.temporal.length", 16),
    AddedKey("0.3.0", "model.temporal.step_s", 0.125),
    AddedKey("0.3.0", "model.temporal.hidden", 128),
    AddedKey("0.3.0", "model.temporal.layers", 1),
    AddedKey("0.3.0", "model.temporal.drop_rate", 0.1),
    AddedKey("0.3.0", "model.temporal.freeze_encoder", True),
    AddedKey("0.3.0", "model.temporal.loss", "clip"),
    AddedKey("0.3.0", "model.temporal.position", "causal"),
    AddedKey("0.3.0", "model.head.kind", "logistic"),
    AddedKey("0.3.0", "model.head.copies", 0),
    AddedKey("0.3.0", "model.head.logistic.c", 0.01),
    AddedKey("0.3.0", "model.head.logistic.max_iter", 1000),
    AddedKey("0.3.0", "model.head.svm.c", 0.0001),
    AddedKey("0.3.0", "model.head.svm.max_iter", 1000),
    AddedKey("0.3.0", "model.head.mlp.hidden", 128),
    AddedKey("0.3.0", "model.head.mlp.alpha", 1.0),
    AddedKey("0.3.0", "model.head.mlp.lr", 0.001),
    AddedKey("0.3.0", "model.head.mlp.max_iter", 50),
    AddedKey("0.3.0", "model.head.gradient_boosting.rounds", 100),
    AddedKey("0.3.0", "model.head.gradient_boosting.lr", 0.1),
    AddedKey("0.3.0", "model.head.gradient_boosting.max_leaf_nodes", 15),
    AddedKey("0.3.0", "model.head.gradient_boosting.max_depth", 6),
    AddedKey("0.3.0", "model.head.gradient_boosting.min_samples_leaf", 20),
    AddedKey("0.3.0", "model.head.gradient_boosting.l2", 1.0),
    AddedKey("0.3.0", "dataset.clips.fps", 8.0),
    AddedKey("0.3.0", "dataset.clips.min_frames", 4),
    AddedKey("0.3.0", "dataset.clips.max_side", 224),
    AddedKey("0.3.0", "dataset.clips.max_missed", 4),
    AddedKey("0.3.0", "export.format", ["onnx"]),
    AddedKey("0.3.0", "export.quantize", "none"),
    AddedKey("0.3.0", "export.calibration_images", 300),
    AddedKey("0.3.0", "export.max_loss", 0.01),
    AddedKey("0.3.0", "extraction.upload", None),
    AddedKey("0.3.0", "registry.upload", None),
    AddedKey("0.3.0", "registry.deploy.target", None),
    AddedKey("0.3.0", "registry.deploy.endpoint", None),
    AddedKey("0.3.0", "registry.deploy.instance_type", "ml.c5.xlarge"),
    AddedKey("0.3.0", "registry.deploy.instance_count", 1),
    AddedKey("0.3.0", "registry.deploy.memory_mb", 2048),
    AddedKey("0.3.0", "registry.deploy.max_concurrency", 8),
    AddedKey("0.3.0", "registry.deploy.provisioned_concurrency", None),
    AddedKey("0.3.0", "registry.deploy.async_output", None),
    AddedKey("0.3.0", "registry.deploy.capture_percent", 0),
    AddedKey("0.3.0", "registry.deploy.autoscaling.min", None),
    AddedKey("0.3.0", "registry.deploy.autoscaling.max", None),
    AddedKey("0.3.0", "registry.deploy.autoscaling.target", None),
    AddedKey("0.3.0", "registry.deploy.autoscaling.scale_out_s", 60),
    AddedKey("0.3.0", "registry.deploy.autoscaling.scale_in_s", 300),
    AddedKey("0.3.0", "registry.deploy.update.traffic", "all_at_once"),
    AddedKey("0.3.0", "registry.deploy.update.step_percent", 20),
    AddedKey("0.3.0", "registry.deploy.update.wait_s", 0),
    AddedKey("0.3.0", "registry.deploy.update.alarms", []),
    AddedKey("0.3.0", "registry.deploy.cloudrun.directory", "outputs/cloudrun"),
    AddedKey("0.3.0", "registry.deploy.cloudrun.image", None),
    AddedKey("0.3.0", "registry.deploy.cloudrun.region", None),
    AddedKey("0.3.0", "registry.deploy.cloudrun.cpu", 2),
    AddedKey("0.3.0", "registry.deploy.cloudrun.timeout_s", 300),
    AddedKey("0.3.0", "registry.deploy.wait", True),
    AddedKey("0.3.0", "registry.deploy.poll_s", 10.0),
    AddedKey("0.3.0", "annotation.input", None),
    AddedKey("0.3.0", "annotation.by", ["pretrained"]),
    AddedKey("0.3.0", "annotation.batch_size", 256),
    AddedKey("0.3.0", "annotation.reference", None),
    AddedKey("0.3.0", "annotation.deepface.environment", None),
    AddedKey("0.3.0", "annotation.deepface.actions", ["emotion"]),
    AddedKey("0.3.0", "annotation.deepface.timeout_s", 120.0),
    AddedKey("0.3.0", "extraction.detector.runtime", "opencv", {"extraction.detector.kind": ("auto", "yunet")}),
)
CHANGED_BEHAVIOUR = (
    ChangedBehaviour(
        "0.2.0",
        {"trainer.devices": tuple(range(2, 1025)), "trainer.accelerator": ("cpu", "auto")},
        "several processes on CPUs computed batch norm and dropout over the whole batch; now each does over its part",
    ),
    ChangedBehaviour(
        "0.3.0",
        {"trainer.early_stopping.monitor": ("val_loss",)},
        "val_loss was the training objective; it is the plain cross-entropy, by which another epoch may be the best",
    ),
    ChangedBehaviour(
        "0.3.0",
        {"extraction.detector.kind": ("yunet",)},
        "YuNet looked once at each frame, reduced to where a face of extraction.detector.min_size kept 12 pixels; now "
        "it looks again, with 20, where it finds none, and finds more small faces",
    ),
    ChangedBehaviour(
        "0.3.0",
        {"inference.runtime": ("torch",)},
        "PyTorch classified on the CPU; now it does so on a GPU where there is one, which changes roundings",
    ),
)


def describe_origin(saved: Mapping[str, Any], provenance: Mapping[str, Any], current: str) -> list[str]:
    """Describe what differs between the version that made a run and this one.

    Args:
        saved: The run's configuration, values by dotted key.
        provenance: Content of its provenance.json, empty where there is none.
        current: This version.

    Returns:
        A line each; none for a run of this version that lacks nothing.
    """
    missing = [added for added in ADDED_KEYS if added.is_missing(saved)]
    version = provenance.get("fer_version") or _infer_version(missing)
    # The code between two releases has the number of the earlier one.
    behaviour = max(version, FIRST_RECORDED, key=_parse_version) if "fer_version" in provenance else version
    changed = [
        change.note
        for change in CHANGED_BEHAVIOUR
        if _parse_version(behaviour) < _parse_version(change.version)
        and all(saved.get(key) in values for key, values in change.applies.items())
    ]
    if not missing and (not provenance or (not changed and provenance.get("fer_version") in (None, current))):
        # A run that was not begun was written by this version.
        return []
    return [
        f"{format_maker(provenance, version)}; this is {current}",
        *(
            f"its run.yaml has no {added.key}, which came with {added.version}: "
            f"{added.key}={format_override_value(added.value)} keeps its behaviour, and is taken"
            for added in missing
        ),
        *changed,
    ]


def format_maker(provenance: Mapping[str, Any], version: str | None = None) -> str:
    """Say which version and which commit made a run, as far as it is known."""
    version = version or provenance.get("fer_version")
    commit = provenance.get("git_commit")
    origin = f"commit {commit}" if commit else "an unknown commit"
    changes = ", with changes of its own" if provenance.get("git_diff_sha256") else ""
    return f"the run was made by {f'version {version}, ' if version else ''}{origin}{changes}"


def _infer_version(missing: list[AddedKey]) -> str:
    """The newest version that a run without these keys may be of; such runs do not tell it themselves."""
    if not missing:
        return "0.2.0"
    earliest = min((added.version for added in missing), key=_parse_version)
    known = sorted({FIRST_VERSION, *(added.version for added in ADDED_KEYS)}, key=_parse_version)
    return [version for version in known if _parse_version(version) < _parse_version(earliest)][-1]


def _parse_version(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in str(version).split(".")[:3] if part.isdigit())
