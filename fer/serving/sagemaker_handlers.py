"""The four functions that SageMaker's inference toolkit calls, over the same reading and the same predictor.

`code/inference.py` of a model package names them; they read one request at a time.
"""

import os

import numpy as np

from fer.bundle.predictor import Predictor
from fer.bundle.verification import load_checked
from fer.serving.requests import Kind, Picture, Refused, kind_of, pictures_of
from fer.serving.responses import JSON_LINES, faces_of, lines
from fer.serving.settings import settings_from

# Pictures that are decoded and judged at once.
PIECE = 32
Request = tuple[Kind, list[Picture]]


def model_fn(model_dir: str) -> Predictor:
    """The predictor of the unpacked package in ``model_dir``."""
    return load_checked(model_dir, settings_from(os.environ).threads)


def input_fn(body: bytes | bytearray, content_type: str) -> Request:
    """The pictures of a request, not yet decoded."""
    try:
        kind = kind_of(content_type or "")
        return kind, pictures_of(bytes(body), kind)
    except Refused as refused:
        raise answerable(refused) from None


def predict_fn(data: Request, model: Predictor) -> str:
    """A line of JSON for each picture."""
    kind, pictures = data
    flip = settings_from(os.environ).flip
    answered = []
    for start in range(0, len(pictures), PIECE):
        piece = pictures[start : start + PIECE]
        faces = faces_of(piece, model.description.faces)
        if kind == "image" and isinstance(faces[0], Refused):
            raise answerable(faces[0])
        good = [face for face in faces if isinstance(face, np.ndarray)]
        answered.append(lines(piece, faces, model.predict(good, flip=flip), model.classes))
    return "".join(answered)


def output_fn(prediction: str, accept: str) -> tuple[str, str]:
    """The answer and its content type, which is the same whatever a client would ``accept``."""
    return prediction, JSON_LINES


def answerable(refused: Refused) -> Exception:
    """The error that makes SageMaker's toolkit answer with the right status; the refusal itself without the toolkit."""
    try:
        from sagemaker_inference.errors import GenericInferenceToolkitError
    except ImportError:
        return refused
    error: Exception = GenericInferenceToolkitError(refused.status, str(refused))
    return error
