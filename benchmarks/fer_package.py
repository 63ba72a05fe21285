"""`python benchmarks/fer_package.py CLIP…` in an environment with the package `fer` of PyPI: how fast it goes.

It is no part of this program, whose name it shares. `benchmarks.video --fer-python` runs this beside the pipeline.
It prints a line of JSON for each clip and detector. Imports and the loading of networks are not counted, decoding is.
"""

import importlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2


def measure(detector: Any, clip: Path) -> dict[str, float]:
    """Let its own function for one frame go through all frames."""
    capture = cv2.VideoCapture(str(clip))
    decoded, bgr = capture.read()
    # The first call makes what it needs.
    detector.detect_emotions(bgr)
    capture.release()
    capture, frames, hits = cv2.VideoCapture(str(clip)), 0, 0
    start, processor_start = time.perf_counter(), time.process_time()
    while True:
        decoded, bgr = capture.read()
        if not decoded:
            break
        frames += 1
        hits += bool(detector.detect_emotions(bgr))
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor_start
    return {
        "frames": frames,
        "hits": hits,
        "frames_per_second": frames / seconds,
        "processor_ms": 1000 * processor_seconds / frames,
    }


def main() -> None:
    """Measure and print."""
    detector_class = importlib.import_module("fer.fer").FER
    detectors = {"Haar": detector_class(), "MTCNN": detector_class(mtcnn=True)}
    for clip in map(Path, sys.argv[1:]):
        for name, detector in detectors.items():
            facts = {"clip": clip.name, "package": f"fer {version('fer')}", "detector": name}
            print(json.dumps(facts | measure(detector, clip)), flush=True)


if __name__ == "__main__":
    main()
