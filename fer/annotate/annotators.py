"""Who labels faces: a model or an ensemble of this project, or DeepFace in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from fer.annotate.deepface import DeepFaceAnnotator
from fer.annotate.judgement import DECIMALS, Judgement
from fer.bundle.predictor import Predictor
from fer.bundle.runtimes import Runtime
from fer.config import Config
from fer.config.annotation import DEEPFACE
from fer.core.system import resolve_thread_count
from fer.registry.resolve import fetch_model

# Faces that are computed at once. The last ones are filled up, so that no answer depends on the faces beside it.
COMPUTED_FACES = 32
EMPTY = np.zeros((48, 48), np.uint8)


class Annotator(Protocol):
    """Somebody who labels faces."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def emotions(self) -> tuple[str, ...]:
        """The classes that it tells apart."""
        ...

    def judge(self, faces: Sequence[np.ndarray]) -> list[Judgement]:
        """Judge faces (H, W) or (H, W, 3) uint8 RGB, at most COMPUTED_FACES. Raises UserError where it cannot go on."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


@dataclass(frozen=True)
class ModelAnnotator:
    """A model or an ensemble. ``flip``: take the mean over each face and its mirror image."""

    name: str
    predictor: Predictor
    flip: bool = False
    emotions: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "emotions", self.predictor.classes)

    def judge(self, faces: Sequence[np.ndarray]) -> list[Judgement]:
        """See ``Annotator.judge``."""
        filled = [*faces, *[EMPTY] * (COMPUTED_FACES - len(faces))]
        answers = self.predictor.predict(filled, COMPUTED_FACES, self.flip)[: len(faces)].astype(float).round(DECIMALS)
        return [Judgement.from_probabilities(dict(zip(self.emotions, row, strict=True))) for row in answers.tolist()]

    def close(self) -> None:
        """Nothing is held."""


def format_name(annotator: str | Sequence[str]) -> str:
    """Format an annotator of the configuration as tables name it: an ensemble as [A,B]."""
    return annotator if isinstance(annotator, str) else f"[{','.join(annotator)}]"


def open_annotators(config: Config, folder: Path) -> list[Annotator]:
    """Open the annotators of a configuration.

    Args:
        config: The configuration, whose models are pinned.
        folder: Directory for what is fetched or unpacked, and for DeepFace's log.

    Raises:
        UserError: A model cannot be had, or DeepFace does not start.
    """
    annotators: list[Annotator] = []
    for number, annotator in enumerate(config.annotation.by):
        if annotator == DEEPFACE:
            annotators.append(DeepFaceAnnotator(config.annotation.deepface, folder / "deepface.log"))
            continue
        model = fetch_model(config.model_copy(update={"model_uri": annotator}), folder / f"annotator-{number}")
        runtime: Runtime = "onnx" if config.inference.runtime == "auto" else config.inference.runtime
        threads = resolve_thread_count(config.trainer.threads)
        predictor = Predictor.load(str(model.bundle), "cpu", runtime, threads)
        annotators.append(ModelAnnotator(format_name(annotator), predictor, config.inference.flip))
    return annotators
