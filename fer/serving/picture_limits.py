"""What the pictures of a request may cost, by their headers alone: before anything of them is decoded."""

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image, UnidentifiedImageError

from fer.core.image_pieces import has_too_many_chunks
from fer.serving.requests import EncodedImage, RequestError

# Crops of faces are far smaller; 32 megapixels are a whole photograph, and 96 MB once it is decoded.
MAX_PIXELS = 32_000_000
# Of all pictures of a request: 10,000 crops of 160 pixels, or eight whole photographs.
MAX_REQUEST_PIXELS = 256_000_000
# No encoder needs more bytes for a picture: 16 bits of four channels, and whatever a camera writes beside them.
MAX_BYTES_PER_PIXEL, MAX_METADATA_BYTES = 8, 16 << 20
# Pieces of a file beside its pixels. Pillow needs 40 µs for a piece, however small,
# and 3 ms to unpack a colour profile, so that a file of nothing else would take it minutes.
MAX_PIECES = 512
# Each scan of a progressive JPEG passes over all pixels, even if it is a few bytes long. Encoders write about 10.
USUAL_SCANS, MAX_SCANS = 10, 24
NEITHER = "neither a JPEG nor a PNG"
_START_OF_SCAN = b"\xff\xda"
# Markers behind which Pillow expects no length.
_BARE_MARKERS = frozenset((0x00, 0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)))


def measure_images(images: Sequence[EncodedImage]) -> list[EncodedImage]:
    """Return images with the pixels that decoding them takes, or with the reason why they are not to be decoded."""
    return [image if image.error else _measure_image(image) for image in images]


def _measure_image(image: EncodedImage) -> EncodedImage:
    try:
        return replace(image, cost=measure_picture(image.data))
    except RequestError as error:
        return replace(image, error=error)


def check_cost(images: Sequence[EncodedImage]) -> None:
    """Refuse pictures that together have too many pixels. Raises RequestError."""
    cost = sum(image.cost for image in images)
    if cost > MAX_REQUEST_PIXELS:
        raise RequestError(
            413,
            f"the pictures have {cost:,} pixels together: at most {MAX_REQUEST_PIXELS:,} make one request; send fewer",
        )


def split_by_cost(images: Sequence[EncodedImage], most_images: int, most_pixels: int) -> Iterator[list[EncodedImage]]:
    """Yield the images in their order, so many together; a larger one stands alone."""
    chunk: list[EncodedImage] = []
    cost = 0
    for image in images:
        if chunk and (len(chunk) == most_images or cost + image.cost > most_pixels):
            yield chunk
            chunk, cost = [], 0
        chunk.append(image)
        cost += image.cost
    if chunk:
        yield chunk


def measure_picture(data: bytes | memoryview) -> int:
    """Return the number of pixels that decoding a JPEG or PNG takes, by its header.

    Raises:
        RequestError: It is neither, is damaged, has too many pixels or is made to keep its reader busy.
    """
    data = bytes(data)
    if not data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        raise RequestError(400, NEITHER)  # at once: Pillow takes ten times as long to say so
    if has_too_many_chunks(io.BytesIO(data), MAX_PIECES) if data.startswith(b"\x89PNG") else _has_too_long_a_head(data):
        raise RequestError(413, "the picture consists of too many pieces, or they are too large; save it anew")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as header:
                width, height = header.size
    except Image.DecompressionBombError:
        raise RequestError(413, f"the picture has too many pixels: at most {MAX_PIXELS:,} are allowed") from None
    except UnidentifiedImageError:
        raise RequestError(400, NEITHER) from None  # Pillow's own message holds a memory address
    except Exception:
        # Damaged chunks end in errors of many kinds.
        raise RequestError(400, "the picture is damaged") from None
    pixels = width * height
    if pixels > MAX_PIXELS:
        raise RequestError(413, f"{width}×{height} pixels are too many: at most {MAX_PIXELS:,} are allowed")
    if len(data) > pixels * MAX_BYTES_PER_PIXEL + MAX_METADATA_BYTES:
        raise RequestError(413, f"{len(data):,} bytes are too many for {width}×{height} pixels; save it anew")
    return pixels * max(1, _count_scans(data) // USUAL_SCANS)


def _has_too_long_a_head(data: bytes) -> bool:
    """Whether a JPEG has more segments, more of other bytes between them, or larger ones, than cameras write."""
    place, pieces = 2, 0
    while pieces <= MAX_PIECES and place <= MAX_METADATA_BYTES:
        start = data.find(b"\xff", place)
        if not 0 <= start < len(data) - 1:
            return len(data) - place > MAX_PIECES
        # Pillow looks at each byte between two segments by itself.
        pieces += start - place + 1
        marker = data[start + 1]
        if marker == _START_OF_SCAN[1]:
            return pieces > MAX_PIECES
        place = start + 1 if marker == 0xFF else start + 2
        if marker not in _BARE_MARKERS and marker != 0xFF:
            place += max(2, int.from_bytes(data[place : place + 2], "big"))
    return True


def _count_scans(data: bytes) -> int:
    """Scans of a JPEG, those of a camera's small picture included; one for a PNG. Raises RequestError."""
    scans = data.count(_START_OF_SCAN) if data.startswith(b"\xff\xd8") else 1
    if scans > MAX_SCANS:
        raise RequestError(413, f"the picture has {scans} scans: at most {MAX_SCANS} are allowed; save it anew")
    return scans
