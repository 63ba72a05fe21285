"""Section `evaluation`: how a model is judged, beyond the metrics that every evaluation has."""

from typing import Any, Literal

from pydantic import Field, field_validator

from fer.config.base import Section
from fer.metrics.protocols import find_misfits

ProtocolName = Literal["ferplus7", "ferplus8", "rafdb"]


class Evaluation(Section):
    """How a model is judged."""

    protocol: ProtocolName | None = Field(
        None,
        description="The published rules that an evaluation keeps, so that its figures may be compared with others': "
        "`ferplus7` and `ferplus8` (official split, majority of the votes, without and with contempt), `rafdb` "
        "(official test part); the configuration is checked against them. null: none is claimed",
    )
    calibration: Literal["auto", "temperature"] = Field(
        "temperature",
        description="What is fitted on validation to make confidences honest: `temperature`, one number that changes "
        "no prediction, or `auto`, also a scale and a bias for each class where they have the lower log-loss in "
        "cross-validation",
    )
    logit_adjustment: float = Field(
        0,
        ge=0,
        le=2,
        description="Against unequal classes: after calibration so many times the logarithm of a class's frequency in "
        "training is subtracted from its logit (arXiv:2007.07314); rare emotions are found more often and "
        "probabilities are those of more even classes; 1 aims at balanced accuracy, 0 is off",
    )
    precision_target: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of right answers wanted of a model that is sure: answers below the confidence that takes it "
        "on validation are `uncertain`; null has no such mark",
    )
    groups: tuple[str, ...] = Field(
        (),
        description="Columns of the manifest by which metrics are told apart, such as [gender,race]: RAF-DB's "
        "annotations, or what groups.csv says",
    )
    min_group_size: int = Field(
        30, ge=2, description="Groups and slices of fewer images are counted, but neither judged nor tested"
    )
    slices: bool = Field(
        False, description="Metrics by quarters of brightness, contrast, sharpness, face size and pose, where known"
    )
    robustness: bool = Field(
        False, description="Accuracy on corrupted pictures and on faces cropped otherwise, in five severities each"
    )
    robustness_limit: int = Field(500, ge=10, description="Corrupt at most so many images, drawn at random by the seed")
    label_issues: bool = Field(
        False,
        description="List labels that are probably wrong (label_issues.csv and .html): those of evaluation images that "
        "the model contradicts, by confident learning, and duplicates with different labels; needs cleanlab",
    )

    @field_validator("groups")
    @classmethod
    def check_groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Check that no group is named twice."""
        if len(set(value)) < len(value):
            raise ValueError("names a column twice")
        return value


def check_protocol(protocol: ProtocolName | None, dataset: dict[str, Any]) -> None:
    """Check that data are prepared as a protocol says.

    Args:
        protocol: Name of the protocol; None claims nothing.
        dataset: The section ``dataset``, as plain values.

    Raises:
        ValueError: They are not; names every key and the value that it needs.
    """
    if protocol is not None and (needed := find_misfits(protocol, dataset)):
        raise ValueError(f"evaluation.protocol={protocol} needs {', '.join(needed)}; null claims no protocol")
