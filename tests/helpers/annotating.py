"""Faces to annotate, annotators that say what a test wants, and an environment that stands in for DeepFace's."""

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fer.annotate.judgement import Judgement
from fer.emotions import EMOTIONS
from fer.synthetic import draw_dataset_face

# It answers by the brightness of the first pixel: it dies of 1, hangs at 2, raises at 3, and says nothing of most
# emotions at 5.
STAND_IN = """
import os, sys, time
import numpy as np

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


class DeepFace:
    @staticmethod
    def analyze(img_path, actions, detector_backend, enforce_detection, silent):
        assert detector_backend == "skip" and enforce_detection is False and silent is True
        assert "race" not in actions
        assert img_path.dtype == np.uint8 and img_path.ndim == 3 and max(img_path.shape) <= 224
        print("Action: emotion")
        value = int(img_path[0, 0, 0])
        with open(os.environ["STAND_IN_LOG"], "a") as log:
            log.write(f"{value} {','.join(actions)}\\n")
        if value == 1:
            print("out of memory", file=sys.stderr)
            os._exit(9)
        if value == 2:
            time.sleep(600)
        if value == 3:
            raise ValueError("no face here")
        if value == 5:
            return [{"emotion": {"angry": 100.0}}]
        shares = np.full(7, 5.0, np.float32)
        shares[value % 7] = 70.0
        found = {"emotion": dict(zip(LABELS, shares)), "region": {}, "face_confidence": 0}
        if "age" in actions:
            found["age"] = 10 + value % 80
        if "gender" in actions:
            found["gender"] = {"Woman": np.float32(80.0), "Man": np.float32(20.0)}
        return [found]
"""


def write_faces(folder: Path, count: int, side: int = 48) -> Path:
    """Drawn faces, face-00.png…"""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        image = draw_dataset_face(0, index, side).image
        cv2.imwrite(str(folder / f"face-{index:02d}.png"), image[..., ::-1])
    return folder


def write_flat_faces(folder: Path, values: Sequence[int]) -> Path:
    """A gray picture for each value, 000.png…"""
    folder.mkdir(parents=True, exist_ok=True)
    for index, value in enumerate(values):
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.full((8, 8), value, np.uint8))
    return folder


def make_stand_in(folder: Path) -> Path:
    """An environment whose Python is this one, and whose deepface is STAND_IN; asked.log says what it was asked."""
    (folder / "bin").mkdir(parents=True)
    (folder / "modules").mkdir()
    (folder / "modules" / "deepface.py").write_text(STAND_IN, encoding="utf-8")
    python = folder / "bin" / "python"
    lines = [
        "#!/bin/sh",
        f"export PYTHONPATH='{folder / 'modules'}' STAND_IN_LOG='{folder / 'asked.log'}'",
        f'exec "{sys.executable}" "$@"',
    ]
    python.write_text("\n".join(lines) + "\n", encoding="utf-8")
    python.chmod(0o755)
    return folder


class Says:
    """An annotator that gives each face, by its first pixel, the label of a list."""

    def __init__(self, name: str, labels: Sequence[str], confidence: float = 0.7) -> None:
        self.name, self.emotions, self.labels, self.confidence = name, EMOTIONS, labels, confidence
        self.judged = 0

    def judge(self, faces: Sequence[np.ndarray]) -> list[Judgement]:
        self.judged += len(faces)
        return [self._judge(self.labels[int(face.flat[0]) % len(self.labels)]) for face in faces]

    def _judge(self, label: str) -> Judgement:
        if not label:
            return Judgement(problem="cannot tell")
        rest = (1 - self.confidence) / (len(EMOTIONS) - 1)
        return Judgement.from_probabilities(
            {name: self.confidence if name == label else rest for name in self.emotions}
        )

    def close(self) -> None:
        pass
