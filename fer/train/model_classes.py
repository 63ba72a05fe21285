"""A model that is evaluated on data with other classes than its own: what is counted, and what is said about it."""

from collections.abc import Mapping, Sequence

from fer.config import Config
from fer.data.manifest import Manifest
from fer.errors import UserError
from fer.metrics.protocols import PROTOCOLS
from fer.train.evaluation import EvaluationResult

PART_NAMES = {"val": "validation", "test": "test"}


def check_protocol_classes(config: Config, classes: Sequence[str]) -> None:
    """Check that a model has as many classes as the protocol. Raises UserError."""
    name = config.evaluation.protocol
    if name is not None and len(classes) != PROTOCOLS[name].classes:
        raise UserError(
            f"evaluation.protocol={name} is of {PROTOCOLS[name].classes} classes, and "
            f"model_uri={config.format_model_uri()} has {len(classes)}; take the protocol of so many classes, or "
            "evaluation.protocol=null"
        )


def describe_other_classes(
    classes: Sequence[str], manifest: Manifest, results: Mapping[str, EvaluationResult]
) -> list[str]:
    """Say which images a model could not get right, and which of its classes the data do not have.

    Args:
        classes: The model's.
        manifest: The data.
        results: The evaluation of each split.
    """
    lines = []
    for split, title in PART_NAMES.items():
        labels = manifest.get_split(split)["label"]
        unknown = labels[~labels.isin(classes)]
        result = results.get(split)
        if len(unknown):
            names = ", ".join(f"{count} of {name}" for name, count in unknown.value_counts().sort_index().items())
            line = f"The model has no such class, so these {title} images are left out of all figures: {names}."
            if result is not None:
                right = int((result.probabilities.argmax(1) == result.labels).sum())
                line += f" Counted as mistakes, accuracy would be {right / len(labels):.4f}."
            lines.append(line)
        if result is not None and (absent := [name for name in classes if name not in set(labels)]):
            lines.append(
                f"The {title} part has no image of {', '.join(absent)}: no figures of their own, no part in means over "
                "classes; an image that the model takes for one of them counts as a mistake."
            )
    return lines
