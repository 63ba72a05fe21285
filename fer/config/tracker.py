"""Section `tracker`: where the figures of a training go, beside the run directory's own files."""

from typing import Literal

from pydantic import Field

from fer.config.section import Section


class Tracker(Section):
    """Where figures go."""

    kind: Literal["csv"] = Field(description="`csv`: history.csv of the run directory, a row an epoch")
