"""The four functions that SageMaker's inference toolkit calls, on the same parsing and predictor as the HTTP server.

`code/inference.py` of a model package exports them; the toolkit handles one request at a time.
"""

import os

import numpy as np

from fer.bundle.predictor import Predictor
from fer.bundle.verification import load_verified_predictor
from fer.serving.picture_limits import check_cost, measure_images
from fer.serving.requests import EncodedImage, Kind, RequestError, parse_content_type, parse_images
from fer.serving.responses import JSON_LINES, decode_faces, to_json_lines
from fer.serving.sequences import FrameRun, answer_frame_run, check_frame_run, parse_frame_run
from fer.serving.settings import load_settings

# Images that are decoded and classified at once.
BATCH_SIZE = 32
Request = tuple[Kind, list[EncodedImage], FrameRun | None]


def model_fn(model_dir: str) -> Predictor:
    """Load the model of the unpacked package in ``model_dir``. Raises ModelError, ConfigError."""
    return load_verified_predictor(model_dir, load_settings(os.environ).threads)


def input_fn(body: bytes | bytearray, content_type: str) -> Request:
    """Split the body of a request into images, not yet decoded. Raises the toolkit's error or RequestError."""
    try:
        kind = parse_content_type(content_type or "")
        run = parse_frame_run(content_type, kind)
        images = measure_images(parse_images(bytes(body), kind))
        check_cost(images)
        return kind, images, run
    except RequestError as error:
        raise _to_toolkit_error(error) from None


def predict_fn(data: Request, model: Predictor) -> str:
    """Return the response to ``input_fn``'s result: a line of JSON for each image. Raises as ``input_fn`` does."""
    kind, images, run = data
    flip = load_settings(os.environ).flip
    if run is not None:
        try:
            predictor = check_frame_run(model, images)
        except RequestError as error:
            raise _to_toolkit_error(error) from None
        return answer_frame_run(predictor, run, images, decode_faces(images, model.description.faces), flip)
    lines = []
    for start in range(0, len(images), BATCH_SIZE):
        chunk = images[start : start + BATCH_SIZE]
        faces = decode_faces(chunk, model.description.faces)
        if kind == "image" and isinstance(faces[0], RequestError):
            raise _to_toolkit_error(faces[0])
        good = [face for face in faces if isinstance(face, np.ndarray)]
        answers = model.predict_all(good, flip=flip)
        lines.append(to_json_lines(chunk, faces, answers, model.classes, model.description.confidence_rule))
    return "".join(lines)


def output_fn(prediction: str, accept: str) -> tuple[str, str]:
    """Return the response and its content type, which is the same whatever a client would ``accept``."""
    return prediction, JSON_LINES


def _to_toolkit_error(request_error: RequestError) -> Exception:
    """Return the error that makes SageMaker's toolkit answer with the right status; without it, the given one."""
    try:
        from sagemaker_inference.errors import GenericInferenceToolkitError
    except ImportError:
        return request_error
    error: Exception = GenericInferenceToolkitError(request_error.status, str(request_error))
    return error
