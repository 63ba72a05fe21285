"""Section `evaluation`: how a model is judged, beyond the metrics that every evaluation has."""

from typing import Literal

from pydantic import Field

from fer.config.base import Section

ProtocolName = Literal["ferplus7", "ferplus8", "rafdb"]


class Evaluation(Section):
    """How a model is judged."""

    protocol: ProtocolName | None = Field(
        None,
        description="The published rules that an evaluation keeps, so that its figures may be compared with others': "
        "`ferplus7` and `ferplus8` (official split, majority of the votes, without and with contempt), `rafdb` "
        "(official test part); the configuration is checked against them. null: none is claimed",
    )
