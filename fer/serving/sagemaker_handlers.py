"""The four functions that SageMaker's inference toolkit calls, over the same reading and the same predictor.

`code/inference.py` of a model package names them; they read one request at a time.
"""

import os

import numpy as np

from fer.bundle.predictor import Predictor
from fer.bundle.verification import load_verified_predictor
from fer.serving.requests import EncodedImage, Kind, RequestError, parse_content_type, parse_images
from fer.serving.responses import JSON_LINES, decode_faces, to_json_lines
from fer.serving.settings import load_settings

# Pictures that are decoded and judged at once.
BATCH_SIZE = 32
Request = tuple[Kind, list[EncodedImage]]


def model_fn(model_dir: str) -> Predictor:
    """The predictor of the unpacked package in ``model_dir``."""
    return load_verified_predictor(model_dir, load_settings(os.environ).threads)


def input_fn(body: bytes | bytearray, content_type: str) -> Request:
    """The pictures of a request, not yet decoded."""
    try:
        kind = parse_content_type(content_type or "")
        return kind, parse_images(bytes(body), kind)
    except RequestError as refused:
        raise _to_toolkit_error(refused) from None


def predict_fn(data: Request, model: Predictor) -> str:
    """A line of JSON for each picture."""
    kind, images = data
    flip = load_settings(os.environ).flip
    answers = []
    for start in range(0, len(images), BATCH_SIZE):
        chunk = images[start : start + BATCH_SIZE]
        faces = decode_faces(chunk, model.description.faces)
        if kind == "image" and isinstance(faces[0], RequestError):
            raise _to_toolkit_error(faces[0])
        good = [face for face in faces if isinstance(face, np.ndarray)]
        answers.append(to_json_lines(chunk, faces, model.predict(good, flip=flip), model.classes))
    return "".join(answers)


def output_fn(prediction: str, accept: str) -> tuple[str, str]:
    """The answer and its content type, which is the same whatever a client would ``accept``."""
    return prediction, JSON_LINES


def _to_toolkit_error(request_error: RequestError) -> Exception:
    """The error that makes SageMaker's toolkit answer with the right status; the refusal itself without the toolkit."""
    try:
        from sagemaker_inference.errors import GenericInferenceToolkitError
    except ImportError:
        return request_error
    error: Exception = GenericInferenceToolkitError(request_error.status, str(request_error))
    return error
