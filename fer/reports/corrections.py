"""The page on which a person confirms or corrects doubtful labels, and saves a CSV."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from fer.reports.annotation import shorten_annotator
from fer.reports.images import jpeg_data_uri
from fer.reports.page import build_script_policy, read_script, render, write_page

# Of runs in outputs/train/DATE/ only the last part tells one from another, and a card has room for little more.
_FOLDERS = re.compile(r"(?<![:\w/])(?:[^\s,\[\]:/]*/)+")


@dataclass(frozen=True)
class DoubtfulFace:
    """A face whose label a person is to confirm.

    Attributes:
        image: Its path, by which the CSV names it.
        picture: (H, W) gray or (H, W, 3) RGB uint8; None where it cannot be read.
        label: The label that it has; "" where it has none.
        said: What each annotator says: name, label ("" where none) and confidence.
    """

    image: str
    picture: np.ndarray | None
    label: str
    said: Sequence[tuple[str, str, float | None]]


@dataclass(frozen=True)
class CorrectionsPage:
    """What the page is made of.

    Attributes:
        title: Heading.
        faces: The doubtful faces, the most doubtful first.
        doubtful: How many there are in all.
        total: How many faces the run has.
        emotions: The labels that can be given.
        leave_out: What the CSV has for a face that is to be left out.
        csv: Name of the file that the page saves.
        command: What takes it.
        key: What tells this page's unsaved answers from those of others.
    """

    title: str
    faces: Sequence[DoubtfulFace]
    doubtful: int
    total: int
    emotions: Sequence[str]
    leave_out: str
    csv: str
    command: str
    key: str


def write_corrections_page(page: CorrectionsPage, path: Path) -> None:
    """Write the page; it appears only once it is complete.

    Args:
        page: What it shows.
        path: The HTML file.
    """
    script = "\n" + read_script("corrections.js")
    data = {
        "images": [face.image for face in page.faces],
        "labels": [face.label for face in page.faces],
        "emotions": list(page.emotions),
        "leave_out": page.leave_out,
        "csv": page.csv,
        "key": hashlib.sha256(f"{page.key}\0{[face.image for face in page.faces]}".encode()).hexdigest()[:20],
    }
    content: Mapping[str, object] = {
        "page": page,
        "cards": [_build_card(face) for face in page.faces],
        # Whole: the CSV must name the faces as they are, and their paths begin where the data set does.
        "data": Markup(json.dumps(data, separators=(",", ":")).replace("<", r"\u003c")),
        "script": Markup(script),
        "policy": build_script_policy([script], "img-src data:"),
    }
    write_page(render("corrections.html.j2", content), path)


def _build_card(face: DoubtfulFace) -> dict[str, object]:
    picture = None if face.picture is None else jpeg_data_uri(face.picture)
    return {
        "image": face.image,
        "picture": picture,
        "label": face.label,
        "said": [
            (_FOLDERS.sub("", shorten_annotator(name)), shorten_annotator(name), label, confidence)
            for name, label, confidence in face.said
        ],
    }
