"""`python -m benchmarks.framing FERPLUS.zip`: how faces must be cropped to look like the training faces.

FER2013's images are crops themselves. Each is enlarged four times, its edge repeated around it, and a detector looks
for the face in it: the margin is what must be added around the found box so that the image comes out again. Medians
over many images are the detectors' ``margin``. With a model, also what crops of another size do to the accuracy.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fer.bundle.predictor import Predictor
from fer.core.image import to_gray
from fer.data.decoding import decode
from fer.data.label_rules import apply_majority_rule
from fer.data.sources import Source, read_source
from fer.data.sources.base import VOTE_COLUMNS
from fer.emotions import FERPLUS_VOTES
from fer.video.crop import crop_face
from fer.video.detectors import Detector, Face, make_detector

ENLARGED, PADDED = 4, 0.5  # factor on the image's side, and part of the enlarged side that is added to each edge
SIDES = (0.8, 0.9, 1.0, 1.1, 1.2)  # factors on the crop's side


def faces_of(source: Source, part: str, count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Training faces (H, W) uint8 with an emotion that most annotators saw, and that emotion."""
    votes = apply_majority_rule(source.table[list(VOTE_COLUMNS)].to_numpy())
    usable = np.flatnonzero((source.table["part"] == part) & (votes[:, :7].sum(axis=1) > 0))
    rows = np.sort(np.random.default_rng(seed).permutation(usable)[:count])
    images = [to_gray(decode(source.read(path))) for path in source.table["path"].to_numpy()[rows]]
    return images, np.array(FERPLUS_VOTES)[votes[rows].argmax(axis=1)]


def frame_of(image: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) uint8 BGR with the image in its middle."""
    large = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    border = round(PADDED * len(large))
    frame = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)


def whole(image: np.ndarray) -> Face:
    """The image's own place in its frame."""
    side = ENLARGED * len(image)
    return Face(PADDED * side, PADDED * side, side, side, score=1.0)


def framing(images: Sequence[np.ndarray], found: Sequence[Face | None]) -> str:
    """Medians and quartiles of the margin and of where the image's middle lies from the box's, in parts of its side."""
    rows = []
    for image, face in zip(images, found, strict=True):
        if face is not None:
            place = whole(image)
            across = place.x + 0.5 * place.width - face.x - 0.5 * face.width
            down = place.y + 0.5 * place.height - face.y - 0.5 * face.height
            rows.append((place.width / max(face.width, face.height) - 1, across / place.width, down / place.height))
    quartiles = np.percentile(rows, (50, 25, 75), axis=0).T
    names = ("margin", "image right of box", "image below box")
    figures = [f"{name} {q[0]:+.3f} ({q[1]:+.3f} to {q[2]:+.3f})" for name, q in zip(names, quartiles, strict=True)]
    return f"found in {len(rows)} of {len(images)}; " + "; ".join(figures)


def accuracies(
    predictor: Predictor,
    detector: Detector,
    images: Sequence[np.ndarray],
    found: Sequence[Face | None],
    labels: np.ndarray,
    align: bool,
) -> str:
    """Share judged right of the images themselves and of crops around the found faces, over the same images."""
    kept = [place for place, face in enumerate(found) if face is not None]

    def right(crops: Sequence[np.ndarray]) -> float:
        names = np.array(predictor.classes)[predictor.predict(crops).argmax(axis=1)]
        return float((names == labels[kept]).mean())

    figures = [f"the images themselves {right([images[place] for place in kept]):.3f}"]
    for factor in SIDES:
        margin = factor * (1 + detector.margin) - 1
        crops = [
            crop_face(frame_of(images[place]), face, margin, align)
            for place in kept
            if (face := found[place]) is not None
        ]
        figures.append(f"crops × {factor:g} {right(crops):.3f}")
    return "accuracy: " + ", ".join(figures)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.framing", description=__doc__)
    parser.add_argument("root", help="FERPlus, directory or archive")
    parser.add_argument("--part", default="train", choices=("train", "val"))
    parser.add_argument("--images", type=int, default=1500, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="YuNet's ONNX file; without it, Haar alone is measured")
    parser.add_argument("--model", help="run directory or bundle whose accuracy is measured; then use --part val")
    chosen = parser.parse_args()
    source = read_source("ferplus", "ferplus", root=chosen.root, votes="auto")
    images, labels = faces_of(source, chosen.part, chosen.images, chosen.seed)
    predictor = Predictor.load(chosen.model) if chosen.model else None
    for kind in ("haar", "yunet") if chosen.weights else ("haar",):
        detector = make_detector(kind, min_score=0.7 if kind == "yunet" else 0.0, weights=chosen.weights)
        found = [next(iter(detector.detect(frame_of(image))), None) for image in images]
        print(f"{kind}: {framing(images, found)}", flush=True)
        if predictor is not None:
            for align in (False, True) if kind == "yunet" else (False,):
                figures = accuracies(predictor, detector, images, found, labels, align)
                print(f"{kind}{', aligned' if align else ''}: {figures}", flush=True)


if __name__ == "__main__":
    main()
