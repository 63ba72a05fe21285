"""The annotator DeepFace: a process of its own environment, started anew where it dies or hangs."""

import base64
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.annotate.judgement import DECIMALS, Judgement
from fer.annotate.worker_process import WorkerError, WorkerProcess
from fer.config.annotation import DEEPFACE, DeepFace
from fer.core.image import to_bgr
from fer.core.installation import format_command
from fer.emotions import EMOTIONS, normalize_label
from fer.errors import ConfigError, UserError

WORKER = Path(__file__).with_name("deepface_worker.py")
# TensorFlow takes its time, and the first start downloads the weights, up to 540 MB each.
START_TIMEOUT_S = 1800
# DeepFace shrinks every face to this, pixels a side.
SIDE = 224
ATTEMPTS = 2
# After so many faces without an answer in a row it is not the faces.
MAX_FAILURES = 3
# DeepFace's network knows ages up to 100.
MAX_AGE = 150
GENDERS = {"Woman": "woman", "Man": "man"}
log = logging.getLogger(__name__)


class DeepFaceAnnotator:
    """DeepFace, which judges one face at a time.

    Args:
        config: Section `annotation.deepface`.
        log_file: File to which it writes what it has to say.

    Raises:
        UserError: There is no such environment, or DeepFace does not start in it.
    """

    name, emotions = DEEPFACE, EMOTIONS

    def __init__(self, config: DeepFace, log_file: Path) -> None:
        setup = format_command("fer.annotate.setup_deepface")
        if config.environment is None:
            raise ConfigError(
                f"annotation.deepface.environment: DeepFace needs an environment of its own; make one with `{setup} "
                "DIR`, and add deepface.environment=DIR"
            )
        python = Path(config.environment).absolute() / "bin" / "python"
        if not python.exists():
            raise ConfigError(
                f"annotation.deepface.environment={config.environment}: is no environment of Python; make it with "
                f"`{setup} {config.environment}`"
            )
        log_file.parent.mkdir(parents=True, exist_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "DEEPFACE_BACKEND_ENGINE": "tensorflow"}
        # -P: nothing is imported from the worker's directory, which is this program's.
        command = [str(python), "-P", str(WORKER), ",".join(config.actions)]
        self.process = WorkerProcess(command, environment, log_file, START_TIMEOUT_S, config.timeout_s)
        self.failures = 0
        try:
            self.process.start()
        except WorkerError as error:
            raise UserError(f"annotation.by=deepface: the process of DeepFace {error}; its log is {log_file}") from None

    def judge(self, faces: Sequence[np.ndarray]) -> list[Judgement]:
        """See ``fer.annotate.annotators.Annotator.judge``."""
        return [self._judge_face(face) for face in faces]

    def _judge_face(self, face: np.ndarray) -> Judgement:
        request = {"png": _encode(face)}
        reason = ""
        for _ in range(ATTEMPTS):
            try:
                answer = self.process.ask(request)
                if "error" in answer:
                    reason = str(answer["error"])
                    break
                judgement = _parse_answer(answer)
                self.failures = 0
                return judgement
            except WorkerError as error:
                reason = f"the process {error}"
                log.warning("DeepFace: %s; it is started anew", reason)
            except (KeyError, TypeError, ValueError, AttributeError):
                reason = "an answer without probabilities of the emotions, or with an age or gender that cannot be"
                break
        self.failures += 1
        if self.failures == MAX_FAILURES:
            raise UserError(
                f"annotation.by=deepface: no answer to {MAX_FAILURES} faces in a row, the last: {reason}; its log is "
                f"{self.process.log}"
            )
        return Judgement(problem=f"DeepFace: {reason}")

    def close(self) -> None:
        """End the process."""
        self.process.close()


def _encode(face: np.ndarray) -> str:
    """A face (H, W) or (H, W, 3) uint8 RGB as a PNG in base64, no larger than DeepFace looks at."""
    bgr, scale = to_bgr(face), SIDE / max(face.shape[:2])
    if scale < 1:
        size = [max(1, round(scale * side)) for side in (bgr.shape[1], bgr.shape[0])]
        bgr = np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA))
    return base64.b64encode(cv2.imencode(".png", bgr)[1].tobytes()).decode()


def _parse_answer(answer: dict[str, Any]) -> Judgement:
    """The judgement of an answer. Raises KeyError, TypeError, ValueError or AttributeError for what is none."""
    values = {normalize_label(name): float(value) for name, value in answer["emotion"].items()}
    total = sum(values.values())
    if set(values) != set(EMOTIONS) or not 0 < total < float("inf") or min(values.values()) < 0:
        raise ValueError("no probabilities of the emotions")
    probabilities = {name: round(values[name] / total, DECIMALS) for name in EMOTIONS}
    genders = {GENDERS[name]: float(value) for name, value in answer.get("gender", {}).items()}
    age = float(answer["age"]) if "age" in answer else None
    # Comparisons with what is no number are false.
    if not all(0 <= share <= 1 for share in genders.values()) or not (age is None or 0 <= age <= MAX_AGE):
        raise ValueError("an age or a gender that cannot be")
    gender = max(genders, key=lambda name: genders[name]) if genders else ""
    return Judgement.from_probabilities(
        probabilities,
        age,
        gender,
        round(genders[gender], DECIMALS) if gender else None,
    )
