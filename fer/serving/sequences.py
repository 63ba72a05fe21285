"""Runs of frames of one face in a request: `application/x-tar; sequence=true`, answered a line a frame.

The files of the archive are the frames in their order. A model of clips answers for each by the window around it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message

import numpy as np

from fer.bundle.predictor import ClipPredictor, Predictor
from fer.serving.requests import EncodedImage, Kind, RequestError
from fer.serving.responses import to_json_lines

# Frames of one request: their features are held together.
MAX_FRAMES = 512
MIN_STEP_S, MAX_STEP_S = 0.001, 60.0


@dataclass(frozen=True)
class FrameRun:
    """That the images of a request follow each other, ``step_s`` seconds apart; None is the model's own step."""

    step_s: float | None


def parse_frame_run(content_type: str, kind: Kind) -> FrameRun | None:
    """Read the parameters `sequence` and `step_s` of a content type; None where the images are single ones.

    Raises:
        RequestError: One is no truth value or number, or the body is no archive.
    """
    if ";" not in content_type:
        return None  # no parameters, and the parser of headers takes longer than all the rest here
    header = Message()
    header["content-type"] = content_type
    parameters = {str(name).lower(): str(value) for name, value in (header.get_params(failobj=[]) or [])[1:]}
    choice = parameters.get("sequence", "false").lower()
    if choice not in ("true", "false"):
        raise RequestError(400, f"content type: sequence={ascii(choice)[:40]} must be true or false")
    if choice == "false":
        return None
    if kind != "shard":
        raise RequestError(400, "content type: sequence=true is for an archive of frames (application/x-tar)")
    text = parameters.get("step_s")
    if text is None:
        return FrameRun(None)
    try:
        step_s = float(text)
    except ValueError:
        step_s = math.nan
    if not MIN_STEP_S <= step_s <= MAX_STEP_S:
        raise RequestError(
            400,
            f"content type: step_s={ascii(text)[:40]} must be seconds between two frames, from {MIN_STEP_S:g} to "
            f"{MAX_STEP_S:g}",
        )
    return FrameRun(step_s)


def check_frame_run(predictor: Predictor, images: Sequence[EncodedImage]) -> ClipPredictor:
    """Return the predictor of a request of frames. Raises RequestError where it cannot answer."""
    if not isinstance(predictor, ClipPredictor):
        raise RequestError(400, "the model looks at single faces: send the archive without sequence=true")
    if len(images) > MAX_FRAMES:
        raise RequestError(413, f"{len(images):,} frames are too many: at most {MAX_FRAMES} make one sequence")
    return predictor


def answer_frame_run(
    predictor: ClipPredictor,
    run: FrameRun,
    images: Sequence[EncodedImage],
    faces: Sequence[np.ndarray | RequestError],
    flip: bool,
) -> str:
    """Return a line of JSON for each frame. One that cannot be decoded is missing for the others.

    Args:
        predictor: The model.
        run: How the frames follow each other.
        images: The frames of the request.
        faces: What ``decode_faces`` returned for them.
        flip: Average the probabilities of the faces and their mirror images.
    """
    step_s = run.step_s or predictor.format.step_s
    there = [number for number, face in enumerate(faces) if isinstance(face, np.ndarray)]
    good = [face for face in faces if isinstance(face, np.ndarray)]
    answers = predictor.predict_sequence(good, np.array(there) * step_s, flip)
    return to_json_lines(images, faces, answers, predictor.classes, predictor.description.confidence_rule)
