"""`python -m benchmarks.image_inputs`: every kind of picture against two independent decoders.

The pictures are drawn here and written by Pillow or OpenCV. Each is decoded as training, infer.py and the server do,
and by OpenCV's and FFmpeg's own readers; the tables of docs/reference/inputs-images.md are what is printed.
"""

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from fer.core.image_decoding import decode_image
from fer.errors import DataError

SIZE = (120, 96)
SMOOTH = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8), (0, 0), 5)
COLOUR = cv2.normalize(SMOOTH, np.empty_like(SMOOTH), 0, 255, cv2.NORM_MINMAX)
GRAY = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY)
WIDE_GRAY = GRAY.astype(np.uint16) * 257
WIDE_COLOUR = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
# Without smaller chroma planes, which every decoder enlarges in its own way.
FULL_CHROMA: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
}
STORED: dict[int, Image.Transpose | None] = {
    **{1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180},
    **{4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90},
    **{7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270},
}


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture with Pillow."""
    content = io.BytesIO()
    image.save(content, kind, **{**FULL_CHROMA.get(kind, {}), **options})
    return content.getvalue()


def add_alpha(pixels: np.ndarray) -> Image.Image:
    """A picture that is transparent where it is dark."""
    image = Image.fromarray(pixels)
    image.putalpha(Image.fromarray((GRAY > 100).astype(np.uint8) * 255))
    return image


def build_pictures() -> Iterator[tuple[str, str, bytes]]:
    """Yield (suffixes, kind of colour, bytes) of every picture."""
    colour, gray = Image.fromarray(COLOUR), Image.fromarray(GRAY)
    palette, cmyk = colour.quantize(64), colour.convert("CMYK")
    yield ".jpg .jpeg .jpe .jfif", "colour", save(colour, "JPEG")
    yield ".jpg", "progressive", save(colour, "JPEG", progressive=True)
    yield ".jpg", "gray", save(gray, "JPEG")
    yield ".jpg", "CMYK, inverted as Adobe writes it", save(cmyk, "JPEG", quality=100)
    for suffix, kind in ((".png", "PNG"), (".tif .tiff", "TIFF"), (".webp", "WEBP"), (".bmp .dib", "BMP")):
        yield suffix, "colour", save(colour, kind)
    for suffix, kind in ((".ppm .pnm", "PPM"), (".tga", "TGA"), (".pcx", "PCX"), (".sgi", "SGI"), (".qoi", "QOI")):
        yield suffix, "colour", save(colour, kind)
    yield ".jp2", "colour", save(colour, "JPEG2000")
    yield ".avif", "colour", save(colour, "AVIF")
    yield ".gif", "palette", save(palette, "GIF")
    yield ".png", "gray", save(gray, "PNG")
    yield ".pgm .pnm", "gray", save(gray, "PPM")
    yield ".png", "gray and alpha", save(add_alpha(GRAY), "PNG")
    yield ".png", "RGB and alpha", save(add_alpha(COLOUR), "PNG")
    yield ".webp", "RGB and alpha", save(add_alpha(COLOUR), "WEBP")
    yield ".png", "palette", save(palette, "PNG")
    yield ".png", "palette, one colour transparent", save(palette, "PNG", transparency=3)
    yield ".png", "1 bit", save(Image.fromarray(GRAY > 100), "PNG")
    yield ".tif", "1 bit, fax", save(Image.fromarray(GRAY > 100), "TIFF", compression="group4")
    yield ".tif", "CMYK", save(cmyk, "TIFF")
    yield ".tif", "colour, JPEG inside", save(colour, "TIFF", compression="jpeg", quality=95)
    for suffix in (".png", ".tiff", ".pgm"):
        yield suffix, "gray of 16 bits", cv2.imencode(suffix, WIDE_GRAY)[1].tobytes()
    for suffix in (".png", ".tiff", ".ppm"):
        yield suffix, "colour of 16 bits", cv2.imencode(suffix, WIDE_COLOUR)[1].tobytes()


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 as (H, W, 3)."""
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels


def put_on_white(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 as (H, W, 3) on white."""
    opacity = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)


def decode_with_opencv(data: bytes) -> np.ndarray | None:
    """Decode by OpenCV's readers, (H, W, 3) RGB on white; None where it has none."""
    layers = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if layers is not None and layers.ndim == 3 and layers.shape[2] == 4 and layers.dtype == np.uint8:
        return put_on_white(cv2.cvtColor(layers, cv2.COLOR_BGRA2RGBA))
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def decode_with_ffmpeg(data: bytes) -> np.ndarray | None:
    """Decode by FFmpeg's own decoders, (H, W, 3) RGB on white; None where it has none."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "picture")
            path.write_bytes(data)
            with av.open(str(path)) as container:
                frame = next(container.decode(video=0))
                if frame.format.name in ("gray16le", "gray16be", "ya16be", "rgb48be", "rgb48le"):
                    # swscale dithers what has more than 8 bits; here the upper 8 are compared.
                    return to_rgb((frame.to_ndarray().astype(np.uint16) >> 8).astype(np.uint8))
                return put_on_white(frame.to_ndarray(format="rgba"))
    except (av.FFmpegError, StopIteration, ValueError):
        return None


def compare(data: bytes, decode: Callable[[bytes], np.ndarray | None]) -> str:
    """The largest difference of a pixel, in levels of 255, or a dash where the other cannot decode."""
    other = decode(data)
    ours = to_rgb(decode_image(data))
    if other is None or other.shape != ours.shape:
        return "–"
    return str(np.abs(ours.astype(int) - other).max())


def describe_damage(data: bytes) -> str:
    """What is said about damaged bytes."""
    try:
        decode_image(data)
    except DataError as error:
        return str(error)
    return "whole"


def main() -> None:
    """Print the three tables."""
    print("| suffixes | kind | decoded to | against OpenCV | against FFmpeg |\n| --- | --- | --- | --- | --- |")
    for suffixes, kind, data in build_pictures():
        channels = "RGB" if decode_image(data).ndim == 3 else "gray"
        print(f"| {suffixes} | {kind} | {channels} | {compare(data, decode_with_opencv)} ", end="")
        print(f"| {compare(data, decode_with_ffmpeg)} |")
    print("\n| Exif orientation | " + " | ".join(map(str, STORED)) + " |\n| --- |" + " --- |" * len(STORED))
    for kind in ("JPEG", "TIFF", "PNG", "WEBP", "AVIF"):
        cells = []
        for orientation, turn in STORED.items():
            exif = Image.Exif()
            exif[0x0112] = orientation
            upright = Image.fromarray(COLOUR)
            stored = upright if turn is None else upright.transpose(turn)
            ours = decode_image(save(stored, kind, exif=exif))
            cells.append(str(np.abs(ours.astype(int) - COLOUR).max()))
        print(f"| {kind} | " + " | ".join(cells) + " |")
    jpeg, progressive = (save(Image.fromarray(COLOUR), "JPEG", progressive=p) for p in (False, True))
    print("\n| file | said of it |\n| --- | --- |")
    for name, data in {
        "JPEG, half of it": jpeg[: len(jpeg) // 2],
        "JPEG, half of it, the rest zeros": jpeg[: len(jpeg) // 2] + bytes(len(jpeg) // 2),
        "JPEG, half of it with an end marker": jpeg[: len(jpeg) // 2] + jpeg[-2:],
        "progressive JPEG, 90 % of it": progressive[: len(progressive) * 9 // 10],
        "JPEG without its end marker": jpeg[:-2],
        "progressive JPEG without its end marker": progressive[:-2],
        "JPEG with bytes behind its end": jpeg + b"trailer",
        "PNG, half of it": (png := save(Image.fromarray(COLOUR), "PNG"))[: len(png) // 2],
        "WebP, half of it": (webp := save(Image.fromarray(COLOUR), "WEBP"))[: len(webp) // 2],
        "HEIC": b"\0\0\0\x18ftypheic" + bytes(100),
        "gray of 32 bits (TIFF)": cv2.imencode(".tiff", GRAY.astype(np.float32))[1].tobytes(),
        "a text": b"no image at all",
    }.items():
        print(f"| {name} | {describe_damage(data)} |")


if __name__ == "__main__":
    main()
