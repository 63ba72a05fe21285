"""From faces to explanations: maps, their averages and check, nearest faces; as files and as a page."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from torch import Tensor

from fer.bundle.io import Bundle, require_face_network
from fer.bundle.predictor import Predictor
from fer.bundle.torch_backend import TorchNetwork
from fer.core.csv import write_csv
from fer.core.image import to_native
from fer.core.io import atomic_write, write_text
from fer.errors import ModelError
from fer.explain.attributions import GRAD_CAM, METHODS, Attributions, Explainer, average_by_class
from fer.explain.faces import CutFace
from fer.explain.feature_map import find_feature_map
from fer.explain.neighbours import EmbeddedFaces, Neighbour
from fer.explain.overlay import draw_overlay
from fer.explain.sanity import PARTS, SanityCheck, check_sanity
from fer.models.embeddings import predict_embeddings
from fer.models.network import FaceNetwork
from fer.reports.explanation import (
    AveragedEmotion,
    ExplainedFace,
    ExplanationReport,
    MapFigure,
    NeighbourFigure,
    SanityFigures,
    write_explanation_page,
)

EXPLANATION_HTML, EXPLANATION_JSON, EXPLANATION_CSV, MAPS_DIR = (
    *("explanation.html", "explanation.json", "explanation.csv"),
    "maps",
)
NEIGHBOURS = 6
# The check computes nine shuffled networks: for few faces, and with fewer points than the maps that are shown.
SANITY_FACES, SANITY_STEPS = 3, 16


@dataclass(frozen=True)
class Explanations:
    """Everything that is known of N faces.

    Attributes:
        faces: The faces.
        classes: Names of the classes.
        probabilities: (N, C), calibrated.
        targets: Index of the class that is explained, for each face.
        pictures: (N, side, side, 3) uint8 RGB, as the network sees them.
        maps: Method: its maps.
        neighbours: The nearest faces of each; None without embeddings.
        sanity: The check with shuffled weights.
        notes: Why a method is missing, and how coarse Grad-CAM is.
    """

    faces: Sequence[CutFace]
    classes: tuple[str, ...]
    probabilities: np.ndarray
    targets: list[int]
    pictures: np.ndarray
    maps: dict[str, Attributions]
    neighbours: list[list[Neighbour]] | None
    sanity: SanityCheck
    notes: list[str]


def explain_faces(
    bundle: Bundle, faces: Sequence[CutFace], emotion: str | None, embedded: EmbeddedFaces | None, seed: int
) -> Explanations:
    """Explain faces by every method that the architecture allows.

    Args:
        bundle: The model, on the CPU.
        faces: One face at least.
        emotion: The class to explain; None explains what the model takes each face for.
        embedded: Among which the nearest faces are sought; None leaves them out.
        seed: Seed of GradientShap and of the check.
    """
    description, network = bundle.description, require_face_network(bundle, "an explanation")
    images = [face.image for face in faces]
    probabilities = Predictor(description, TorchNetwork(bundle)).predict(images)
    fixed = None if emotion is None else description.classes.index(emotion)
    targets = probabilities.argmax(1).tolist() if fixed is None else [fixed] * len(faces)
    native = np.stack([to_native(image, description.faces.side, description.faces.colour) for image in images])
    explainer = Explainer(network, seed)
    inputs = explainer.prepare(native)
    methods, notes = choose_methods(explainer)
    neighbours = None
    if embedded is not None:
        embeddings, _ = predict_embeddings(network, native, np.arange(len(native)))
        neighbours = [embedded.find_nearest(embedding, NEIGHBOURS) for embedding in embeddings]
    maps = {method: explainer.explain(method, inputs, targets, shows_progress=True) for method in methods}
    sanity = _check_sanity(network, inputs, targets, methods, seed)
    notes += [
        f"{METHODS[method]}: the maps that were checked are empty, since nothing spoke for the emotion; the check "
        "tells nothing of them."
        for method in sanity.empty
    ]
    return Explanations(
        faces=faces,
        classes=description.classes,
        probabilities=probabilities,
        targets=targets,
        pictures=explainer.restore_pictures(inputs),
        maps=maps,
        neighbours=neighbours,
        sanity=sanity,
        notes=notes,
    )


def choose_methods(explainer: Explainer) -> tuple[list[str], list[str]]:
    """The methods that the architecture allows, and why one is missing or how coarse it is."""
    try:
        found = find_feature_map(explainer.network)
    except ModelError as error:
        return [method for method in METHODS if method != GRAD_CAM], [str(error)]
    return list(METHODS), [
        f"Grad-CAM is drawn from the {found.height} × {found.width} cells of the last feature map: it tells a region, "
        "not a feature of the face."
    ]


def _check_sanity(
    network: FaceNetwork, inputs: Tensor, targets: list[int], methods: list[str], seed: int
) -> SanityCheck:
    few = Explainer(network, seed, SANITY_STEPS, SANITY_STEPS)
    return check_sanity(few, inputs[:SANITY_FACES], targets[:SANITY_FACES], methods)


def write_explanations(
    folder: Path, explanations: Explanations, title: str, facts: dict[str, str], command: str, neighbours: str | None
) -> None:
    """Write the maps, the tables and the page.

    Args:
        folder: An empty directory.
        explanations: What is written.
        title: Heading of the page.
        facts: Facts about model and methods, by name.
        command: What made the page.
        neighbours: What the nearest faces are called; None without them.
    """
    names = _build_file_names(explanations.faces)
    overlays = {
        method: [_draw(explanations.pictures[row], values, method) for row, values in enumerate(found.maps)]
        for method, found in explanations.maps.items()
    }
    for row, name in enumerate(names):
        _write_png(folder / MAPS_DIR / f"{name}.png", explanations.pictures[row])
        for method, drawn in overlays.items():
            _write_png(folder / MAPS_DIR / f"{name}-{method}.png", drawn[row])
    rows = [_build_row(explanations, row) for row in range(len(names))]
    write_csv(pd.json_normalize(rows, sep="_").drop(columns="neighbours"), folder / EXPLANATION_CSV)
    sanity = [vars(row) for row in explanations.sanity.rows]
    content = {"model": facts, "faces": rows, "sanity_check": sanity}
    write_text(folder / EXPLANATION_JSON, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    report = ExplanationReport(
        title=title,
        facts=facts,
        command=command,
        faces=[_build_face(explanations, row, overlays) for row in range(len(names))],
        averages=_build_averages(explanations),
        sanity=_build_sanity(explanations),
        notes=explanations.notes,
        neighbours=neighbours,
    )
    write_explanation_page(report, folder / EXPLANATION_HTML)


def _build_file_names(faces: Sequence[CutFace]) -> list[str]:
    """A name a face that every file system takes, none twice."""
    names: list[str] = []
    for number, face in enumerate(faces, 1):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", face.name.removesuffix(face.path.suffix)).strip("-.")[:80]
        names.append(f"{number:03d}-{plain}" if plain else f"{number:03d}")
    return names


def _draw(picture: np.ndarray, values: np.ndarray, method: str) -> np.ndarray:
    return draw_overlay(picture, values, coarse=method == GRAD_CAM)


def _write_png(path: Path, image: np.ndarray) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _build_row(explanations: Explanations, row: int) -> dict[str, Any]:
    """What the tables say of a face."""
    face = explanations.faces[row]
    box = dict(zip(("x", "y", "w", "h"), face.box or (None,) * 4, strict=True))
    sums: dict[str, float] = {}
    for method, found in explanations.maps.items():
        if found.differences is not None:
            sums[f"{method}_sum"] = round(float(found.maps[row].sum()), 6)
            sums[f"{method}_difference"] = round(float(found.differences[row]), 6)
    neighbours = explanations.neighbours[row] if explanations.neighbours is not None else []
    return {
        "face": face.name,
        "file": str(face.path),
        "box": box,
        "emotion": explanations.classes[int(explanations.probabilities[row].argmax())],
        "explained": explanations.classes[explanations.targets[row]],
        "p": {
            name: round(float(value), 6)
            for name, value in zip(explanations.classes, explanations.probabilities[row], strict=True)
        },
        **sums,
        "neighbours": [
            {
                "sample_id": neighbour.sample_id,
                "label": neighbour.label,
                "predicted": neighbour.predicted,
                "similarity": round(neighbour.similarity, 6),
            }
            for neighbour in neighbours
        ],
    }


def _build_face(explanations: Explanations, row: int, overlays: dict[str, list[np.ndarray]]) -> ExplainedFace:
    face, values = explanations.faces[row], explanations.probabilities[row]
    order = np.argsort(-values, kind="stable")
    neighbours = explanations.neighbours[row] if explanations.neighbours is not None else []
    return ExplainedFace(
        name=face.name,
        picture=explanations.pictures[row],
        probabilities=[(explanations.classes[column], float(values[column])) for column in order],
        explained=explanations.classes[explanations.targets[row]],
        maps=[
            MapFigure(METHODS[method], drawn[row], _describe_sum(explanations.maps[method], row))
            for method, drawn in overlays.items()
        ],
        neighbours=[
            NeighbourFigure(neighbour.image, _describe_neighbour(neighbour), neighbour.similarity)
            for neighbour in neighbours
        ],
        note=face.note,
    )


def _describe_sum(found: Attributions, row: int) -> str:
    if found.differences is None:
        return ""
    return f"adds up to {found.maps[row].sum():+.2f}; the logit changes by {found.differences[row]:+.2f}"


def _describe_neighbour(neighbour: Neighbour) -> str:
    wrong = "" if neighbour.label == neighbour.predicted else f", taken for {neighbour.predicted}"
    named = f"{neighbour.sample_id}: " if neighbour.image is None else ""
    return f"{named}{neighbour.label}{wrong}"


def _build_averages(explanations: Explanations) -> list[AveragedEmotion]:
    """Averages of the emotions of which there are several faces."""
    averages = {
        method: average_by_class(found.maps, explanations.targets) for method, found in explanations.maps.items()
    }
    labels = np.array(explanations.targets)
    result = []
    for target in np.unique(labels).tolist():
        members = explanations.pictures[labels == target]
        if len(members) < 2:
            continue
        picture = members.mean(0).round().astype(np.uint8)
        figures = [
            MapFigure(METHODS[method], _draw(picture, found[target][0], method)) for method, found in averages.items()
        ]
        result.append(AveragedEmotion(explanations.classes[target], len(members), picture, figures))
    return result


def _build_sanity(explanations: Explanations) -> SanityFigures:
    check, picture = explanations.sanity, explanations.pictures[0]
    rows: dict[str, list[tuple[float, float]]] = {}
    for row in check.rows:
        rows.setdefault(METHODS[row.method], []).append((row.correlation, row.absolute))
    return SanityFigures(
        faces=check.pictures,
        parts=list(PARTS),
        rows=rows,
        trained=[
            MapFigure(METHODS[method], _draw(picture, found.maps[0], method))
            for method, found in explanations.maps.items()
        ],
        shuffled=[MapFigure(METHODS[method], _draw(picture, maps[0], method)) for method, maps in check.maps.items()],
        suspects=[METHODS[method] for method in check.list_suspects()],
    )
