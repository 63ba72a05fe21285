"""Section `evaluation`: how a model is judged, beyond the metrics that every evaluation has."""

from typing import Any, Literal

from pydantic import Field

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
    precision_target: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of right answers wanted of a model that is sure: answers below the confidence that takes it "
        "on validation are `uncertain`; null has no such mark",
    )


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
