"""From encoded pictures to faces, and from probabilities to the lines of an answer."""

import io
import json
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer.bundle.metadata import Faces
from fer.core import image as images
from fer.serving.requests import Picture, Refused

# Crops of faces are far smaller; 32 megapixels are a whole photograph, and 96 MB when it is decoded.
MAX_PIXELS = 32_000_000
JSON_LINES = "application/jsonlines"
# Decimals of a probability: more than what two runtimes agree in.
DECIMALS = 8


def faces_of(pictures: Sequence[Picture], faces: Faces) -> list[np.ndarray | Refused]:
    """The native face of each picture, (side, side, C) uint8, or why there is none."""
    found: list[np.ndarray | Refused] = []
    for picture in pictures:
        try:
            if picture.refused:
                raise picture.refused
            # Only the small native face is kept, so that waiting requests take little memory.
            found.append(images.to_native(decoded(picture.data), faces.side, faces.colour))
        except Refused as refused:
            found.append(refused)
    return found


def decoded(data: bytes | memoryview) -> np.ndarray:
    """Pixels of a JPEG or PNG, upright: (H, W) uint8 if gray, (H, W, 3) uint8 RGB if coloured. Raises Refused."""
    check_pixels(data)
    pixels = images.decoded(data)
    if pixels is None:
        raise Refused(400, "the picture is damaged")
    return pixels


def check_pixels(data: bytes | memoryview) -> None:
    """Refuse what is neither JPEG nor PNG, and too many pixels, by the picture's header alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise Refused(413, f"the picture has too many pixels: at most {MAX_PIXELS:,} are allowed") from None
    except UnidentifiedImageError:
        raise Refused(400, "neither a JPEG nor a PNG") from None  # Pillow's own words hold a memory address
    except Exception:
        # Damaged chunks end in errors of many kinds.
        raise Refused(400, "the picture is damaged") from None
    if width * height > MAX_PIXELS:
        raise Refused(413, f"{width}×{height} pixels are too many: at most {MAX_PIXELS:,} are allowed")


def lines(
    pictures: Sequence[Picture],
    faces: Sequence[np.ndarray | Refused],
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> str:
    """A line of JSON for each picture; ``probabilities`` (N, classes) are those of the N faces that there are."""
    rows = iter(probabilities.astype(np.float64).round(DECIMALS).tolist())
    answered = []
    for picture, face in zip(pictures, faces, strict=True):
        answer: dict[str, object] = {"id": picture.id}
        if isinstance(face, Refused):
            answer["error"] = str(face)
        else:
            row = next(rows)
            answer["emotion"] = classes[row.index(max(row))]
            answer["probabilities"] = dict(zip(classes, row, strict=True))
        answered.append(json.dumps(answer, allow_nan=False) + "\n")
    return "".join(answered)
