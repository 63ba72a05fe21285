"""From encoded images to native faces, and from probabilities to the lines of a response."""

import json
from collections.abc import Sequence

import numpy as np

from fer.bundle.metadata import FaceFormat
from fer.core import image, image_decoding
from fer.emotions import AFFECT
from fer.errors import DataError
from fer.metrics.uncertainty import ConfidenceRule
from fer.serving.picture_limits import measure_picture
from fer.serving.requests import EncodedImage, RequestError

JSON_LINES = "application/jsonlines"
# Decimals of a probability: more than two runtimes agree in.
DECIMALS = 8
_ENCODER = json.JSONEncoder(allow_nan=False)


def decode_faces(encoded_images: Sequence[EncodedImage], faces: FaceFormat) -> list[np.ndarray | RequestError]:
    """Return the native face of each image, (side, side, C) uint8, or why there is none.

    Args:
        encoded_images: Images of a request, as ``measure_image`` returns them.
        faces: Native form of the training faces.
    """
    decoded_faces: list[np.ndarray | RequestError] = []
    for encoded in encoded_images:
        try:
            if encoded.error:
                raise encoded.error
            # Only the small native face is kept, so that waiting requests take little memory.
            decoded_faces.append(image.to_native(_decode_measured(encoded.data), faces.side, faces.colour))
        except RequestError as error:
            decoded_faces.append(error)
    return decoded_faces


def decode_image(data: bytes | memoryview) -> np.ndarray:
    """Decode a JPEG or PNG, turned upright.

    Returns:
        (H, W) uint8 if gray, (H, W, 3) uint8 RGB if coloured.

    Raises:
        RequestError: It is neither, is damaged or has too many pixels.
    """
    measure_picture(data)
    return _decode_measured(data)


def _decode_measured(data: bytes | memoryview) -> np.ndarray:
    try:
        return image_decoding.decode_image(data)
    except DataError:
        raise RequestError(400, "the picture is damaged") from None


def to_json_lines(
    encoded_images: Sequence[EncodedImage],
    faces: Sequence[np.ndarray | RequestError | None],
    answers: np.ndarray,
    classes: Sequence[str],
    rule: ConfidenceRule | None,
) -> str:
    """Return the body of a response: a line of JSON for each image, in the order of the request.

    Args:
        encoded_images: The images of the request.
        faces: What ``decode_faces`` returned for them; only its errors are looked at.
        answers: Of the N images that could be decoded, the columns of ``Predictor.predict_all``: (N, classes), or
            (N, classes + 2).
        classes: Names of the first columns.
        rule: Below which confidence an answer is uncertain; None where the model does not say, nor the answers then.
    """
    rows = answers.astype(np.float64).round(DECIMALS).tolist()
    confidences = [max(row[: len(classes)]) for row in rows]
    are_uncertain = [] if rule is None else rule.find_uncertain(np.array(confidences)).tolist()
    good, lines = 0, []
    for encoded, face in zip(encoded_images, faces, strict=True):
        answer: dict[str, object] = {"id": encoded.id}
        if isinstance(face, RequestError):
            answer["error"] = str(face)
        else:
            row, affect = rows[good][: len(classes)], rows[good][len(classes) :]
            answer["emotion"] = classes[row.index(confidences[good])]
            answer["probabilities"] = dict(zip(classes, row, strict=True))
            if rule is not None:
                answer["uncertain"] = are_uncertain[good]
            answer |= dict(zip(AFFECT, affect, strict=False))
            good += 1
        lines.append(_ENCODER.encode(answer) + "\n")
    return "".join(lines)
