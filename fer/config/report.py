"""Section `report`: what the pages of infer.py show of people."""

from pydantic import Field

from fer.config.base import Section


class Report(Section):
    """What pages show of people."""

    faces: bool | None = Field(
        None,
        description="Show pictures of faces in report.html, and keep them in parts/ for it; null does, but for a study",
    )
