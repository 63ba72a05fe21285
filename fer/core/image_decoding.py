"""Decoding image files to upright 8-bit pixels by one rule, which training, infer.py and the server share.

The content decides, never the suffix. What an Exif orientation, a palette, transparency, CMYK or 16 bits become, and
which files count as damaged, is described in docs/reference/inputs-images.md.
"""

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer.core.image_pieces import has_too_many_pieces
from fer.core.jpeg import complete_jpeg
from fer.core.transparency import WHITE, lay_on_white
from fer.errors import DataError, shorten_error

# Pillow's readers of pictures; those that start other programs (EPS) or only describe a file are not among them.
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "DIB", "QOI", "SGI", "SUN"),
    *("PCX", "TGA"),
)
# Phones take photographs of up to 108 megapixels; more is an attack or a mistake.
MAX_PIXELS = 128_000_000
TOO_LARGE = f"more than {MAX_PIXELS:,} pixels are too many"
TOO_MANY_PIECES = "the image consists of too many pieces; save it anew"
DAMAGED = "the image is damaged"
# What a name says where nothing has been opened yet. HEIC and JPEG XL are images too, though they cannot be read.
IMAGE_SUFFIXES = frozenset(
    {
        *(".avif", ".bmp", ".dib", ".gif", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jp2", ".j2k", ".jpx", ".mpo"),
        *(".png", ".apng", ".pbm", ".pgm", ".ppm", ".pnm", ".pcx", ".qoi", ".sgi", ".ras", ".tga", ".tif", ".tiff"),
        *(".webp", ".heic", ".heif", ".hif", ".jxl"),
    }
)
# So many bytes from the beginning tell whether a file is an image.
HEAD_BYTES = 32
_GRAY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_ORIENTATION_TAG = 0x0112
# Bytes from the marker of the sizes to the bits of the first channel, less one.
_J2K_DEPTH_PLACE = 40
_PNG_DEPTH_PLACE = 24
_PNG = b"\x89PNG"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageHeader:
    """What an image file says of itself.

    Attributes:
        width: Pixels of the upright image.
        height: Pixels of the upright image.
        colour: Whether it is decoded to RGB; gray otherwise.
        format: Name of the format, as Pillow spells it.
    """

    width: int
    height: int
    colour: bool
    format: str


def read_image_header(source: bytes | memoryview | BinaryIO) -> ImageHeader:
    """Read an image's header without decoding it.

    Args:
        source: The bytes of the file, or the file itself, of which no more is read than the header.

    Raises:
        DataError: The bytes are no image; the message says why, without a name.
    """
    file = io.BytesIO(source) if isinstance(source, bytes | memoryview) else source
    with _open_image(file) as image:
        width, height = image.size
        # Pillow gives the size of a TIFF as it is upright already.
        if image.format != "TIFF" and _read_orientation(image, file) in (5, 6, 7, 8):
            width, height = height, width
        return ImageHeader(width, height, image.mode not in _GRAY_MODES, str(image.format))


def decode_image(data: bytes | memoryview) -> np.ndarray:
    """Decode an image file; of several frames or pages, the first.

    Args:
        data: The bytes of the file.

    Returns:
        (H, W) uint8 if it is gray, (H, W, 3) uint8 RGB if it is coloured, upright.

    Raises:
        DataError: The bytes are no image, or a damaged one; the message says which, without a name.
    """
    return _decode(bytes(data))[0]


def decode_still(data: bytes) -> tuple[np.ndarray, str] | None:
    """Decode what ``is_moving_image`` takes for a still image, and tell its format; None of a moving picture.

    Args:
        data: The bytes of the file.

    Raises:
        DataError: As ``decode_image`` does.
    """
    if is_animated_webp_head(data[:HEAD_BYTES]) or data.startswith(b"GIF8") or data[4:12] == b"ftypavis":
        return None
    pixels, image = _decode(data)
    return None if image.format == "PNG" and getattr(image, "is_animated", False) else (pixels, str(image.format))


def _decode(data: bytes) -> tuple[np.ndarray, Image.Image]:
    """The pixels, and the image that was opened for them."""
    if data.startswith(b"\xff\xd8"):
        completed = complete_jpeg(data)
        if completed is None:
            raise DataError(DAMAGED)
        data = completed
    if data.startswith(_PNG) and not _has_right_checksums(data):
        raise DataError(DAMAGED)
    with _open_image(io.BytesIO(data)) as image:
        _refuse_unknown_range(image, data)
        try:
            image.load()
            turn = _TURNS.get(_read_orientation(image))
            # The fourth channel of these is unused more often than not, and then 0 everywhere.
            if image.format in ("BMP", "DIB", "TGA") and image.mode == "RGBA" and not image.getchannel("A").getbbox():
                image.putalpha(255)
            depth = data[_PNG_DEPTH_PLACE] if image.format == "PNG" else 8
            return _convert_to_8_bits(image if turn is None else image.transpose(turn), depth), image
        except Exception:
            # Damaged data end in errors of many kinds, from OSError to struct.error.
            raise DataError(DAMAGED) from None


def is_image_content(head: bytes) -> bool:
    """Whether a file begins as images do, read or not: by its first ``HEAD_BYTES`` bytes."""
    if head[:2] == b"BM":
        return head[6:10] == bytes(4)
    if head[:1] == b"P" and head[1:2] in b"123456":
        return head[2:3].isspace()
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head.startswith(_SIGNATURES):
        return True
    signatures = [*_AVIF, *(mark for marks in _UNREADABLE_FORMATS.values() for mark in marks)]
    return any(head[place : place + len(mark)] == mark for place, mark in signatures)


def is_animated_webp_head(head: bytes) -> bool:
    """Whether the first ``HEAD_BYTES`` of a file are those of an animated WebP."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == HEAD_BYTES and bool(head[20] & 0b10)


def is_moving_image(file: BinaryIO) -> bool:
    """Whether an image file is a moving picture of several frames; no more of it is read than tells that.

    Raises:
        DataError: The file is no image.
    """
    head = file.read(HEAD_BYTES)
    if is_animated_webp_head(head):
        return True
    # Pillow would read the whole of an AVIF, of which `avis` is the moving kind.
    if not head.startswith((b"GIF8", _PNG)) and head[4:12] != b"ftypavis":
        return False
    with _open_image(file) as image:
        return bool(getattr(image, "is_animated", False))


@contextmanager
def _open_image(file: BinaryIO) -> Iterator[Image.Image]:
    if has_too_many_pieces(file):
        raise DataError(TOO_MANY_PIECES)
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit of pixels, and remarks about odd metadata
            image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        # Pillow's own message holds a memory address.
        file.seek(0)
        raise DataError(_explain_unknown(file.read(HEAD_BYTES))) from None
    except Image.DecompressionBombError:
        raise DataError(TOO_LARGE) from None
    except Exception as error:
        # Damaged headers end in errors of many kinds.
        raise DataError(f"{DAMAGED} ({shorten_error(error)[:80]})") from None
    with image, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if image.width * image.height > MAX_PIXELS:
            raise DataError(TOO_LARGE)
        yield image


def _explain_unknown(start: bytes) -> str:
    for name, marks in _UNREADABLE_FORMATS.items():
        if any(start[place : place + len(mark)] == mark for place, mark in marks):
            return f"{name} images cannot be read; convert it to JPEG or PNG"
    return DAMAGED if is_image_content(start) else "not an image"


def _read_orientation(image: Image.Image, undecoded: BinaryIO | None = None) -> int:
    """The Exif orientation, 1 where there is none; ``undecoded`` is the file where the pixels were not decoded yet."""
    try:
        # Pillow decodes the whole of a PNG to find what stands behind its pixels.
        early = undecoded is not None and image.format == "PNG" and not _has_late_metadata(undecoded)
        exif = Image.Image.getexif(image) if early else image.getexif()
        return int(exif.get(_ORIENTATION_TAG, 1))
    except Exception:
        return 1  # damaged metadata do not make the picture a damaged one


def _has_late_metadata(file: BinaryIO) -> bool:
    """Whether metadata that may hold an orientation stand behind the pixels of a PNG."""
    place, has_pixels = 8, False
    while file.seek(place) == place and len(head := file.read(8)) == 8:
        has_pixels = has_pixels or head[4:] == b"IDAT"
        if has_pixels and head[4:] in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
            return True
        place += 12 + int.from_bytes(head[:4], "big")
    return False


def _refuse_unknown_range(image: Image.Image, data: bytes) -> None:
    """Refuse numbers of 32 bits, of which nobody knows which is white. Pillow also reads 16-bit PGM into such."""
    if image.format == "JPEG2000" and image.mode[0] != "I" and _read_j2k_depth(data) > b"\x07":
        # Pillow 13 turns the white of these into black.
        raise DataError("this JPEG 2000 has more than 8 bits a channel; save it as PNG")
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        raise DataError("its pixels are numbers of 32 bits; save it with 8 or 16 bits a channel")
    if image.mode == "LAB":
        raise DataError("its colours are CIELAB; save it as RGB")


def _read_j2k_depth(data: bytes) -> bytes:
    """The bits of the first channel, less one; empty where the file does not tell them."""
    return data[data.find(b"\xff\x51") + _J2K_DEPTH_PLACE :][:1]


def _convert_to_8_bits(image: Image.Image, depth: int) -> np.ndarray:
    """Pixels on white; ``depth`` is in how many bits a file names the one colour that is transparent, if it does."""
    is_gray, key = image.mode in _GRAY_MODES, image.info.get("transparency")
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        return np.where(wide == (-1 if key is None else key), WHITE, wide >> 8).astype(np.uint8)
    if image.mode in ("1", "L", "RGB"):
        pixels = np.asarray(image.convert("L") if is_gray else image)
        return pixels if key is None else _hide_colour(pixels, key, depth)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L" if is_gray else "RGB"))
    layers = np.asarray(image.convert("LA" if is_gray else "RGBA"))
    return lay_on_white(layers[..., 0] if is_gray else layers[..., :3], layers[..., -1])


def _hide_colour(pixels: np.ndarray, key: int | tuple[int, ...], depth: int) -> np.ndarray:
    """White where a picture (H, W) or (H, W, 3) has the one colour that stands for transparent."""
    levels = np.array(key)
    levels = levels >> (depth - 8) if depth > 8 else levels * 255 // (2**depth - 1)
    hidden = (pixels == levels).reshape(*pixels.shape[:2], -1).all(axis=-1)
    shown = pixels.copy()
    shown[hidden] = WHITE
    return shown


def _has_right_checksums(data: bytes) -> bool:
    """Whether the pixels of a PNG have the checksums stored with them; Pillow does not compare them."""
    place = 8
    while place + 12 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + 8 + length
        if kind == b"IEND":
            return True  # whatever follows is not read, and may be long
        if kind == b"IDAT" and zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        place = end + 4
    return True


_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"qoif"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"\x01\xda\0\x01", b"\x01\xda\x01\x01", b"\x59\xa6\x6a\x95"),
)
_AVIF = ((4, b"ftypavif"), (4, b"ftypavis"))
_UNREADABLE_FORMATS = {
    "HEIC": [(4, b"ftyp" + brand) for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")],
    "JPEG XL": [(0, b"\xff\x0a"), (4, b"JXL ")],
}
