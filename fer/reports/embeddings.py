"""The page of an embedded data set: what ``embeddings.html`` shows."""

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from markupsafe import Markup

from fer.reports.colors import emotion_colour
from fer.reports.page import build_script_policy, encode_json_for_script, read_script, render, write_page

_SCRIPT = "embeddings.js"
# Of the faces in the page, which is to stay below some megabytes.
_FACE_SIDE = 48
# Of the drawing, which scales with the page.
_SIDE, _MARGIN = 1000, 16


@dataclass(frozen=True)
class EmbeddingsReport:
    """Everything the page of an embedded data set is made of.

    Attributes:
        title: Heading of the page.
        images: Number of embedded images.
        dimensions: Length of an embedding.
        classes: Names of the classes.
        points: (N, 2) places of the points shown, from 0 to 1; none where there are too few images.
        table: Their rows of embeddings.parquet, with or without what a model answers.
        pictures: Their faces, (N, h, w, 1 or 3) uint8.
        accuracy: Fraction of all images whose label the model gives; None without images or answers.
    """

    title: str
    images: int
    dimensions: int
    classes: list[str]
    points: np.ndarray
    table: pd.DataFrame
    pictures: np.ndarray
    accuracy: float | None


@dataclass(frozen=True)
class _Dot:
    x: float
    y: float
    colour: str
    wrong: bool


def write_embeddings_page(report: EmbeddingsReport, path: Path) -> None:
    """Write the page; it appears only once it is complete. Equal reports give equal bytes.

    Args:
        report: What the page shows.
        path: The HTML file.

    Raises:
        OSError: The page cannot be written.
    """
    script = read_script(_SCRIPT)
    judged = "predicted" in report.table
    wrong = (
        (report.table["label"] != report.table["predicted"]).to_numpy(bool)
        if judged
        else np.zeros(len(report.table), bool)
    )
    places = _MARGIN + report.points * (_SIDE - 2 * _MARGIN)
    dots = [
        _Dot(round(float(x), 1), round(float(y), 1), emotion_colour(str(label)), bool(is_wrong))
        for (x, y), label, is_wrong in zip(places, report.table["label"], wrong, strict=True)
    ]
    counts = report.table["label"].value_counts()
    mistakes = report.table[wrong]["label"].value_counts()
    sheet, columns = _build_sheet(report.pictures)
    content = {
        "report": report,
        "dots": dots,
        "side": _SIDE,
        "legend": [(name, int(counts.get(name, 0)), int(mistakes.get(name, 0))) for name in report.classes],
        "wrong": int(wrong.sum()),
        "judged": judged,
        "data": encode_json_for_script(_build_data(report, dots, columns)),
        "sheet": sheet,
        "face_side": _FACE_SIDE,
        "columns": columns,
        "script": Markup(script),
        "policy": build_script_policy([script], "img-src data:"),
    }
    write_page(render("embeddings.html.j2", content), path)


def _build_data(report: EmbeddingsReport, dots: list[_Dot], columns: int) -> dict[str, Any]:
    """What the script shows of a point: behind its label what the model answers, where it is one."""
    names = [report.table[column].map(str) for column in ("sample_id", "split", "label")]
    answers: list[Any] = []
    if "predicted" in report.table:
        probabilities = report.table[[f"p_{name}" for name in report.classes]].to_numpy(float)
        answers = [
            report.table["predicted"].map(str),
            [round(float(value), 3) for value in probabilities.max(axis=1, initial=0)],
        ]
    rows = zip(dots, *names, *answers, strict=True)
    return {
        "side": _SIDE,
        "columns": columns,
        "points": [[dot.x, dot.y, *row] for dot, *row in rows],
    }


def _build_sheet(pictures: np.ndarray) -> tuple[str, int]:
    """All faces as one JPEG, row by row: its data URI, and the faces of a row."""
    if not len(pictures):
        return "", 1
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    channels = pictures.shape[-1]
    sheet = np.zeros((rows * _FACE_SIDE, columns * _FACE_SIDE, channels), np.uint8)
    for number, picture in enumerate(pictures):
        small = cv2.resize(np.asarray(picture), (_FACE_SIDE, _FACE_SIDE), interpolation=cv2.INTER_AREA)
        top, left = _FACE_SIDE * (number // columns), _FACE_SIDE * (number % columns)
        sheet[top : top + _FACE_SIDE, left : left + _FACE_SIDE] = small.reshape(_FACE_SIDE, _FACE_SIDE, channels)
    _, jpeg = cv2.imencode(".jpg", sheet[..., ::-1] if channels == 3 else sheet, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii"), columns
