"""From encoded pictures to faces, and from probabilities to the lines of an answer."""

import io
import json
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer.bundle.metadata import FaceFormat
from fer.core import image as images
from fer.serving.requests import EncodedImage, RequestError

# Crops of faces are far smaller; 32 megapixels are a whole photograph, and 96 MB when it is decoded.
MAX_PIXELS = 32_000_000
JSON_LINES = "application/jsonlines"
# Decimals of a probability: more than what two runtimes agree in.
DECIMALS = 8


def decode_faces(encoded_images: Sequence[EncodedImage], faces: FaceFormat) -> list[np.ndarray | RequestError]:
    """The native face of each picture, (side, side, C) uint8, or why there is none."""
    decoded_faces: list[np.ndarray | RequestError] = []
    for encoded in encoded_images:
        try:
            if encoded.error:
                raise encoded.error
            # Only the small native face is kept, so that waiting requests take little memory.
            decoded_faces.append(images.to_native(decode_image(encoded.data), faces.side, faces.colour))
        except RequestError as refused:
            decoded_faces.append(refused)
    return decoded_faces


def decode_image(data: bytes | memoryview) -> np.ndarray:
    """Pixels of a JPEG or PNG, upright: (H, W) uint8 if gray, (H, W, 3) uint8 RGB if coloured. Raises Refused."""
    _check_pixels(data)
    pixels = images.decode_image(data)
    if pixels is None:
        raise RequestError(400, "the picture is damaged")
    return pixels


def _check_pixels(data: bytes | memoryview) -> None:
    """Refuse what is neither JPEG nor PNG, and too many pixels, by the picture's header alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise RequestError(413, f"the picture has too many pixels: at most {MAX_PIXELS:,} are allowed") from None
    except UnidentifiedImageError:
        raise RequestError(400, "neither a JPEG nor a PNG") from None  # Pillow's own words hold a memory address
    except Exception:
        # Damaged chunks end in errors of many kinds.
        raise RequestError(400, "the picture is damaged") from None
    if width * height > MAX_PIXELS:
        raise RequestError(413, f"{width}×{height} pixels are too many: at most {MAX_PIXELS:,} are allowed")


def to_json_lines(
    encoded_images: Sequence[EncodedImage],
    faces: Sequence[np.ndarray | RequestError],
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> str:
    """A line of JSON for each picture; ``probabilities`` (N, classes) are those of the N faces that there are."""
    rows = iter(probabilities.astype(np.float64).round(DECIMALS).tolist())
    answers = []
    for encoded, face in zip(encoded_images, faces, strict=True):
        answer: dict[str, object] = {"id": encoded.id}
        if isinstance(face, RequestError):
            answer["error"] = str(face)
        else:
            row = next(rows)
            answer["emotion"] = classes[row.index(max(row))]
            answer["probabilities"] = dict(zip(classes, row, strict=True))
        answers.append(json.dumps(answer, allow_nan=False) + "\n")
    return "".join(answers)
