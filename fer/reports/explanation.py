"""The page of explained faces: what ``explanation.html`` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.reports.page import render, write_page

# The files beside the page have all faces.
MAX_FACES = 40


@dataclass(frozen=True)
class MapFigure:
    """An attribution map that is laid over its face.

    Attributes:
        title: The method.
        image: (side, side, 3) uint8 RGB.
        note: What else is to be said, such as what the attributions add up to.
    """

    title: str
    image: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class NeighbourFigure:
    """A training face that is near; ``image`` is None where it cannot be shown."""

    image: np.ndarray | None
    caption: str
    similarity: float


@dataclass(frozen=True)
class ExplainedFace:
    """A face and why the model calls it what it does.

    Attributes:
        name: Its name.
        picture: As the network sees it, (side, side, 3) uint8 RGB.
        probabilities: (emotion, probability), the most probable first.
        explained: The emotion that the maps explain.
        maps: A map a method.
        neighbours: The nearest training faces, none without embeddings.
        note: A remark, or nothing.
    """

    name: str
    picture: np.ndarray
    probabilities: list[tuple[str, float]]
    explained: str
    maps: list[MapFigure]
    neighbours: list[NeighbourFigure]
    note: str = ""


@dataclass(frozen=True)
class AveragedEmotion:
    """Maps averaged over the faces of an emotion: how many, their mean picture, and a map a method."""

    emotion: str
    faces: int
    picture: np.ndarray
    maps: list[MapFigure]


@dataclass(frozen=True)
class SanityFigures:
    """The check with shuffled weights.

    Attributes:
        faces: How many faces it was made with.
        parts: What was shuffled, from little to all.
        rows: Method: (rank correlation, the same of absolute values) for each of the parts.
        trained: A map a method of the first face.
        shuffled: The same of a network whose weights are all shuffled.
        suspects: Methods whose maps did not change.
    """

    faces: int
    parts: list[str]
    rows: Mapping[str, list[tuple[float, float]]]
    trained: list[MapFigure]
    shuffled: list[MapFigure]
    suspects: list[str]


@dataclass(frozen=True)
class ExplanationReport:
    """Everything the page of explained faces is made of.

    Attributes:
        title: Heading of the page.
        facts: Facts about model and methods, by name.
        command: What made the page.
        faces: The faces in their order; the page shows the first MAX_FACES.
        averages: Maps averaged over emotions.
        sanity: The check with shuffled weights.
        notes: Remarks for the top of the page.
        neighbours: Where the nearest faces are from; None without embeddings.
    """

    title: str
    facts: Mapping[str, str]
    command: str
    faces: Sequence[ExplainedFace]
    averages: Sequence[AveragedEmotion]
    sanity: SanityFigures
    notes: list[str]
    neighbours: str | None


def write_explanation_page(report: ExplanationReport, path: Path) -> None:
    """Write the page; it appears only once it is complete. Equal reports give equal bytes.

    Args:
        report: What the page shows.
        path: The HTML file.

    Raises:
        ValueError: An image is not uint8 gray or RGB.
        OSError: The page cannot be written.
    """
    content = {"report": report, "shown": report.faces[:MAX_FACES]}
    write_page(render("explanation.html.j2", content), path)
