"""`python -m benchmarks.framing FERPLUS.zip`: how faces must be cropped to look like the training faces.

FER2013's images are crops themselves. Each is enlarged four times, its edge repeated around it, and a detector looks
for the face in it: the margin is what must be added around its box so that the image comes out again. Medians over many
images are the detectors' ``margin``. With a model, also what crops of another size do to the accuracy.
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
from fer.video.detectors import Face, make_detector

SCALE, PADDING = 4, 0.5  # factor on the image's side, and fraction of the enlarged side that is added to each edge
SIDE_FACTORS = (0.8, 0.9, 1.0, 1.1, 1.2)  # on the crop's side


def draw_samples(source: Source, split: str, count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Random faces (H, W) uint8 of a split with an emotion that most annotators saw, and that emotion."""
    votes = apply_majority_rule(source.table[list(VOTE_COLUMNS)].to_numpy())
    usable = np.flatnonzero((source.table["part"] == split) & (votes[:, :7].sum(axis=1) > 0))
    rows = np.sort(np.random.default_rng(seed).permutation(usable)[:count])
    images = [to_gray(decode(source.read(path))) for path in source.table["path"].to_numpy()[rows]]
    return images, np.array(FERPLUS_VOTES)[votes[rows].argmax(axis=1)]


def build_frame(image: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) uint8 BGR with the image in its middle."""
    large = cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    border = round(PADDING * len(large))
    frame = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)


def get_image_box(image: np.ndarray) -> Face:
    """The box of the image in its frame."""
    side = SCALE * len(image)
    return Face(PADDING * side, PADDING * side, side, side, score=1.0)


def describe_margins(images: Sequence[np.ndarray], faces: Sequence[Face | None]) -> str:
    """Medians and quartiles of the margin, and of how far the image's middle lies from the box's as a fraction."""
    rows = []
    for image, face in zip(images, faces, strict=True):
        if face is not None:
            box = get_image_box(image)
            across = box.x + 0.5 * box.width - face.x - 0.5 * face.width
            down = box.y + 0.5 * box.height - face.y - 0.5 * face.height
            rows.append((box.width / max(face.width, face.height) - 1, across / box.width, down / box.height))
    quartiles = np.percentile(rows, (50, 25, 75), axis=0).T
    names = ("margin", "image right of box", "image below box")
    texts = [f"{name} {q[0]:+.3f} ({q[1]:+.3f} to {q[2]:+.3f})" for name, q in zip(names, quartiles, strict=True)]
    return f"found in {len(rows)} of {len(images)}; " + "; ".join(texts)


def describe_accuracies(
    predictor: Predictor, margin: float, samples: Sequence[tuple[np.ndarray, Face, str]], align: bool
) -> str:
    """Accuracy of the images (first of each sample) themselves and of crops around their faces, by the same labels."""
    labels = np.array([label for _, _, label in samples])

    def compute_accuracy(crops: Sequence[np.ndarray]) -> float:
        names = np.array(predictor.classes)[predictor.predict(crops).argmax(axis=1)]
        return float((names == labels).mean())

    texts = [f"the images themselves {compute_accuracy([image for image, _, _ in samples]):.3f}"]
    for factor in SIDE_FACTORS:
        factor_margin = factor * (1 + margin) - 1
        crops = [crop_face(build_frame(image), face, factor_margin, align) for image, face, _ in samples]
        texts.append(f"crops × {factor:g} {compute_accuracy(crops):.3f}")
    return "accuracy: " + ", ".join(texts)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.framing", description=__doc__)
    parser.add_argument("root", help="FERPlus, directory or archive")
    parser.add_argument("--part", default="train", choices=("train", "val"))
    parser.add_argument("--images", type=int, default=1500, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="YuNet's ONNX file; without it, Haar alone is measured")
    parser.add_argument("--model", help="run directory or bundle whose accuracy is measured; then use --part val")
    args = parser.parse_args()
    source = read_source("ferplus", "ferplus", root=args.root, votes="auto")
    images, labels = draw_samples(source, args.part, args.images, args.seed)
    predictor = Predictor.load(args.model) if args.model else None
    detectors = {"haar": make_detector("haar")}
    if args.weights:
        detectors["yunet"] = make_detector("yunet", weights=args.weights)
    for kind, detector in detectors.items():
        faces = [next(iter(detector.detect(build_frame(image))), None) for image in images]
        print(f"{kind}: {describe_margins(images, faces)}", flush=True)
        if predictor is None:
            continue
        triples = zip(images, faces, labels, strict=True)
        samples = [(image, face, label) for image, face, label in triples if face is not None]
        for align in (False, True) if kind == "yunet" else (False,):
            accuracies = describe_accuracies(predictor, detector.margin, samples, align)
            print(f"{kind}{', aligned' if align else ''}: {accuracies}", flush=True)


if __name__ == "__main__":
    main()
