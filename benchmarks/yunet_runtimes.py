"""`python -m benchmarks.yunet_runtimes --yunet FILE CLIP…`: YuNet in ONNX Runtime against OpenCV, frame by frame.

Both look at the same frames in turns, each on one thread, resizing and all that follows the network included. It prints
faces, frames in which their number differs, the largest differences, and processor time. A ZIP of small pictures of
faces, such as FERPlus's, may stand for a clip: some hundred of them are enlarged to 160 pixels.
"""

import argparse
import statistics
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from fer.video.detectors import Face, YuNetDetector

PICTURES, PICTURE_SIDE = 500, 160
RUNTIMES: tuple[Literal["opencv", "onnx"], ...] = ("opencv", "onnx")


def iter_pictures(source: Path) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 BGR of every frame of a clip, or of some hundred pictures of a ZIP."""
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if name.endswith((".png", ".jpg"))]
            for name in names[:: max(len(names) // PICTURES, 1)]:
                image = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
                assert image is not None
                yield cv2.resize(image, (PICTURE_SIDE, PICTURE_SIDE))
        return
    capture = cv2.VideoCapture(str(source))
    while (answer := capture.read())[0]:
        yield answer[1]
    capture.release()


def compute_difference(one: list[Face], other: list[Face]) -> tuple[float, float, float]:
    """The largest difference of an edge or side, of a point, pixels, and of a score."""
    differences = np.zeros((len(one) + 1, 3))
    for row, (a, b) in enumerate(zip(one, other, strict=True)):
        assert a.landmarks is not None and b.landmarks is not None
        edges = np.subtract((a.x, a.y, a.width, a.height), (b.x, b.y, b.width, b.height))
        differences[row] = np.abs(edges).max(), np.abs(a.landmarks - b.landmarks).max(), abs(a.score - b.score)
    box, points, score = differences.max(0)
    return box, points, score


def print_comparison(title: str, pictures: Iterable[np.ndarray], weights: Path, max_side: int | None) -> None:
    """Let both runtimes look at the pictures in turns, and print how they compare."""
    detectors = {name: YuNetDetector(weights, max_side=max_side, runtime=name) for name in RUNTIMES}
    milliseconds: dict[str, list[float]] = {name: [] for name in RUNTIMES}
    faces, others, largest = 0, 0, np.zeros(3)
    for bgr in pictures:
        found = {}
        for name, detector in detectors.items():
            start = time.process_time()
            found[name] = detector.detect(bgr)
            milliseconds[name].append(1000 * (time.process_time() - start))
        opencv, onnx = (found[name] for name in RUNTIMES)
        faces += len(opencv)
        if len(opencv) == len(onnx):
            largest = np.maximum(largest, compute_difference(opencv, onnx))
        else:
            others += 1
    medians = [statistics.median(milliseconds[name]) for name in RUNTIMES]
    ratio = statistics.median(a / b for a, b in zip(*milliseconds.values(), strict=True))
    print(
        f"{title}: {len(milliseconds['onnx'])} frames, {faces} faces, another number in {others}; largest difference: "
        f"box {largest[0]:.1g} px, points {largest[1]:.1g} px, score {largest[2]:.1g}; OpenCV {medians[0]:.2f} ms, "
        f"ONNX Runtime {medians[1]:.2f} ms, ratio {ratio:.2f}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.yunet_runtimes", description=__doc__)
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("sources", nargs="+", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    for source in args.sources:
        for max_side in (320, 640, None) if source.suffix != ".zip" else (None,):
            looks = f"max_side={max_side}" if max_side else "whole frame"
            print_comparison(f"{source.name}, {looks}", iter_pictures(source), args.yunet, max_side)


if __name__ == "__main__":
    main()
