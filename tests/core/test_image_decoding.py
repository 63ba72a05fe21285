"""One rule for every picture: formats, kinds of colour, orientations, damage."""

import io
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.core.image_decoding import (
    DAMAGED,
    HEAD_BYTES,
    decode_image,
    is_image_content,
    is_moving_image,
    read_image_header,
)
from fer.errors import DataError

SMOOTH = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8), (0, 0), 4)
COLOUR = cv2.normalize(SMOOTH, None, 0, 255, cv2.NORM_MINMAX)
GRAY = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY)


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def difference(data: bytes, expected: np.ndarray) -> int:
    pixels, header = decode_image(data), read_image_header(data)
    assert pixels.shape == expected.shape and pixels.dtype == np.uint8
    assert (header.height, header.width) == expected.shape[:2] and header.colour == (expected.ndim == 3)
    return int(np.abs(pixels.astype(int) - expected).max())


FORMATS = {
    **{kind: ({}, 0) for kind in ("PNG", "BMP", "TIFF", "PPM", "QOI", "SGI", "TGA", "PCX", "DIB", "JPEG2000")},
    "JPEG": ({"quality": 100, "subsampling": 0}, 4),
    "WEBP": ({"lossless": True}, 0),
    "AVIF": ({"quality": 100, "subsampling": "4:4:4"}, 8),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_decoded_whatever_its_name_and_its_half_is_damaged(kind: str) -> None:
    options, tolerance = FORMATS[kind]
    data = save(Image.fromarray(COLOUR), kind, **options)
    assert difference(data, COLOUR) <= tolerance
    for fraction in (0.5, 0.9):
        with pytest.raises(DataError, match=f"{DAMAGED}|not an image"):
            decode_image(data[: int(len(data) * fraction)])
    # A few old formats have no mark by which a file without a suffix could be known.
    assert is_image_content(data[:HEAD_BYTES]) or kind in ("TGA", "PCX", "DIB")


def test_a_gif_is_decoded_as_its_palette_says() -> None:
    image = Image.fromarray(COLOUR).quantize(64)
    assert difference(save(image, "GIF"), np.asarray(image.convert("RGB"))) == 0


def palette_image() -> Image.Image:
    return Image.fromarray(COLOUR).quantize(64)


ALPHA = (GRAY > 100).astype(np.uint8) * 255
SOFT = cv2.GaussianBlur(ALPHA, (0, 0), 3)


def with_alpha(pixels: np.ndarray, alpha: np.ndarray = ALPHA) -> Image.Image:
    image = Image.fromarray(pixels)
    image.putalpha(Image.fromarray(alpha))
    return image


def on_white(pixels: np.ndarray, alpha: np.ndarray = ALPHA) -> np.ndarray:
    opacity = alpha.reshape(*alpha.shape, *[1] * (pixels.ndim - 2)) / 255
    return np.rint(pixels * opacity + 255 * (1 - opacity)).astype(np.uint8)


def palette_on_white(opacities: dict[int, int]) -> np.ndarray:
    image = palette_image()
    alpha = np.array([opacities.get(index, 255) for index in range(256)], np.uint8)[np.asarray(image)]
    return on_white(np.asarray(image.convert("RGB")), alpha)


WIDE = GRAY.astype(np.uint16) * 257
WIDE_COLOUR = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
CMYK = Image.fromarray(COLOUR).convert("CMYK")
KINDS: dict[str, tuple[Callable[[], bytes], np.ndarray, int]] = {
    "gray": (lambda: save(Image.fromarray(GRAY), "PNG"), GRAY, 0),
    "gray and alpha": (lambda: save(with_alpha(GRAY), "PNG"), on_white(GRAY), 0),
    "gray and alpha TIFF": (lambda: save(with_alpha(GRAY), "TIFF"), on_white(GRAY), 0),
    "gray, half transparent": (lambda: save(with_alpha(GRAY, SOFT), "PNG"), on_white(GRAY, SOFT), 0),
    "RGBA": (lambda: save(with_alpha(COLOUR), "PNG"), on_white(COLOUR), 0),
    "RGBA, half transparent": (lambda: save(with_alpha(COLOUR, SOFT), "PNG"), on_white(COLOUR, SOFT), 0),
    "RGBA WebP": (lambda: save(with_alpha(COLOUR), "WEBP", lossless=True, exact=True), on_white(COLOUR), 0),
    "RGBA WebP, half transparent": (
        lambda: save(with_alpha(COLOUR, SOFT), "WEBP", lossless=True, exact=True),
        on_white(COLOUR, SOFT),
        0,
    ),
    "RGBA AVIF": (
        lambda: save(with_alpha(COLOUR), "AVIF", quality=100, subsampling="4:4:4"),
        on_white(COLOUR),
        8,
    ),
    **{
        f"RGBA {kind}": (partial(save, with_alpha(COLOUR, SOFT), kind), on_white(COLOUR, SOFT), 0)
        for kind in ("TIFF", "TGA", "QOI", "SGI", "JPEG2000")
    },
    "RGBA TGA whose fourth channel is empty": (
        lambda: save(with_alpha(COLOUR, np.zeros_like(GRAY)), "TGA"),
        COLOUR,
        0,
    ),
    "RGBA PNG of which nothing is seen": (
        lambda: save(with_alpha(COLOUR, np.zeros_like(GRAY)), "PNG"),
        np.full_like(COLOUR, 255),
        0,
    ),
    "gray with a transparent level": (
        lambda: save(Image.fromarray(GRAY), "PNG", transparency=int(GRAY[9, 9])),
        np.where(GRAY == GRAY[9, 9], 255, GRAY).astype(np.uint8),
        0,
    ),
    "RGB with a transparent colour": (
        lambda: save(Image.fromarray(COLOUR), "PNG", transparency=tuple(map(int, COLOUR[9, 9]))),
        np.where((COLOUR == COLOUR[9, 9]).all(-1, keepdims=True), 255, COLOUR).astype(np.uint8),
        0,
    ),
    "1 bit with a transparent level": (
        lambda: save(Image.fromarray(GRAY > 100), "PNG", transparency=0),
        np.full_like(GRAY, 255),
        0,
    ),
    "16 bits with a transparent level": (
        lambda: save(Image.fromarray(WIDE), "PNG", transparency=int(WIDE[9, 9])),
        np.where(GRAY == GRAY[9, 9], 255, GRAY).astype(np.uint8),
        0,
    ),
    "GIF with a transparent colour": (
        lambda: save(palette_image(), "GIF", transparency=3),
        palette_on_white({3: 0}),
        0,
    ),
    "palette": (lambda: save(palette_image(), "PNG"), np.asarray(palette_image().convert("RGB")), 0),
    "palette with a transparent colour": (
        lambda: save(palette_image(), "PNG", transparency=3),
        palette_on_white({3: 0}),
        0,
    ),
    "palette with half-transparent colours": (
        lambda: save(palette_image(), "PNG", transparency=bytes(range(64))),
        palette_on_white({index: index for index in range(64)}),
        0,
    ),
    "1 bit": (lambda: save(Image.fromarray(GRAY > 100), "PNG"), (GRAY > 100).astype(np.uint8) * 255, 0),
    "1 bit fax": (
        lambda: save(Image.fromarray(GRAY > 100), "TIFF", compression="group4"),
        (GRAY > 100).astype(np.uint8) * 255,
        0,
    ),
    "16 bits PNG": (lambda: cv2.imencode(".png", WIDE)[1].tobytes(), GRAY, 0),
    "16 bits TIFF": (lambda: cv2.imencode(".tiff", WIDE)[1].tobytes(), GRAY, 0),
    "16 bits PGM": (lambda: cv2.imencode(".pgm", WIDE)[1].tobytes(), GRAY, 0),
    "16 bits RGB PNG": (lambda: cv2.imencode(".png", WIDE_COLOUR)[1].tobytes(), COLOUR, 0),
    "16 bits RGB TIFF": (lambda: cv2.imencode(".tiff", WIDE_COLOUR)[1].tobytes(), COLOUR, 0),
    "CMYK TIFF": (lambda: save(CMYK, "TIFF"), np.asarray(CMYK.convert("RGB")), 0),
    "CMYK JPEG, inverted as Adobe does": (
        lambda: save(CMYK, "JPEG", quality=100),
        np.asarray(CMYK.convert("RGB")),
        2,
    ),
    "YCbCr TIFF": (lambda: save(Image.fromarray(COLOUR).convert("YCbCr"), "TIFF"), COLOUR, 3),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_colour_becomes_8_bits_gray_or_rgb(kind: str) -> None:
    encode, expected, tolerance = KINDS[kind]
    assert difference(encode(), expected) <= tolerance


def test_numbers_without_a_known_white_are_refused() -> None:
    with pytest.raises(DataError, match="numbers of 32 bits; save it with 8 or 16 bits"):
        decode_image(cv2.imencode(".tiff", GRAY.astype(np.float32))[1].tobytes())
    with pytest.raises(DataError, match="JPEG 2000 has more than 8 bits a channel"):
        decode_image(cv2.imencode(".jp2", WIDE_COLOUR)[1].tobytes())


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_heic_is_named_with_what_to_do(brand: bytes) -> None:
    data = b"\0\0\0\x18ftyp" + brand + bytes(100)
    assert is_image_content(data[:HEAD_BYTES])
    with pytest.raises(DataError, match="^HEIC images cannot be read; convert it to JPEG or PNG$"):
        decode_image(data)


STORED = {
    **{1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180},
    **{4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90},
    **{7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270},
}


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_turned_upright(kind: str, orientation: int) -> None:
    options, tolerance = FORMATS[kind]
    turn = STORED[orientation]
    stored = Image.fromarray(COLOUR) if turn is None else Image.fromarray(COLOUR).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(save(stored, kind, exif=exif, **options), COLOUR) <= tolerance


JPEGS = [
    *({"quality": 90}, {"quality": 40, "progressive": True}, {"quality": 75, "restart_marker_blocks": 3}),
    {"quality": 95, "subsampling": 0, "optimize": True},
]


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("seed", range(6))
def test_a_jpeg_is_whole_without_its_end_marker_and_damaged_without_more(options: dict[str, object], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*rng.integers(20, 90, 2), 3), dtype=np.uint8)
    if seed % 2:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 5)
    data = save(Image.fromarray(pixels), "JPEG", **options)
    assert data.endswith(b"\xff\xd9")
    expected = np.asarray(Image.open(io.BytesIO(data)))
    for whole in (data, data[:-2], data[:-1], data + b"trailer of a camera", data + bytes(500)):
        assert np.array_equal(decode_image(whole), expected)
    for fraction in (0.2, 0.4, 0.5, 0.6, 0.8, 0.9, 0.97):
        cut = data[: int(len(data) * fraction)]
        for damaged in (cut, cut + bytes(len(data) - len(cut))):
            with pytest.raises(DataError, match=f"^{DAMAGED}"):
                decode_image(damaged)


@pytest.mark.parametrize("side", [1, 3, 7, 8])
def test_a_jpeg_of_a_few_pixels_is_whole(side: int) -> None:
    content = cv2.imencode(".jpg", np.full((side, side, 3), 90, np.uint8))[1].tobytes()
    assert decode_image(content).shape[:2] == (side, side)


def test_a_truncated_jpeg_with_an_end_marker_is_damaged_too() -> None:
    data = save(Image.fromarray(COLOUR), "JPEG", quality=90)
    with pytest.raises(DataError, match=f"^{DAMAGED}$"):
        decode_image(data[: len(data) // 2] + b"\xff\xd9")


def test_a_png_whose_pixels_were_changed_is_damaged() -> None:
    # Stored without compression, so that nothing but the checksum tells.
    data = bytearray(save(Image.fromarray(GRAY), "PNG", compress_level=0))
    data[data.index(b"IDAT") + 1000] ^= 1
    with pytest.raises(DataError, match=f"^{DAMAGED}$"):
        decode_image(bytes(data))


def test_only_moving_pictures_are_animated() -> None:
    frames = [Image.fromarray(COLOUR), Image.fromarray(COLOUR[::-1].copy())]
    for kind in ("GIF", "WEBP", "PNG", "AVIF"):
        moving = save(frames[0], kind, save_all=True, append_images=frames[1:])
        still = save(frames[0], kind)
        assert is_moving_image(io.BytesIO(moving)) and not is_moving_image(io.BytesIO(still))
    pages = save(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    assert not is_moving_image(io.BytesIO(pages)) and difference(pages, COLOUR) == 0


class CountingFile(io.BytesIO):
    """A file that counts the bytes that were read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "PPM", "GIF"])
def test_the_header_is_known_without_reading_the_picture(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    file = CountingFile(save(Image.fromarray(noise), kind))
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("the pixels were decoded"))
    header = read_image_header(file)
    assert (header.width, header.height) == (900, 700)
    if kind != "GIF":  # whether it moves is said behind its first picture
        assert file.count < 70_000
        file.count = 0
        assert not is_moving_image(file) and file.count < 70_000


def test_an_orientation_behind_the_pixels_of_a_png_is_read() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = save(Image.fromarray(COLOUR), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4
    size = 12 + int.from_bytes(data[start : start + 4], "big")
    late = data[:start] + data[start + size : -12] + data[start : start + size] + data[-12:]
    for content in (data, late):
        header = read_image_header(content)
        assert (header.width, header.height) == COLOUR.shape[:2]
        assert np.array_equal(decode_image(content), np.rot90(COLOUR, -1))
