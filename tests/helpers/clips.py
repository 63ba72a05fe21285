"""Clips whose every frame carries its number in its pixels, and what PyAV reads in them: the truth to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

BITS, CELL = 8, 16
WIDTH, HEIGHT = BITS * CELL, 64


def numbered(number: int) -> np.ndarray:
    """(64, 128, 3) uint8: the bits of ``number`` as bright and dark columns above a black foot."""
    bits = [number >> bit & 1 for bit in range(BITS)]
    gray = np.repeat(np.where(bits, 220, 30).astype(np.uint8), CELL)[None].repeat(HEIGHT, 0)
    gray[-16:] = 0
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)


def number_in(bgr: np.ndarray) -> int:
    """The number that an upright frame carries."""
    assert bgr.shape == (HEIGHT, WIDTH, 3) and bgr.dtype == np.uint8
    assert bgr[-8:].mean() < 20
    columns = bgr[8:40].mean(axis=(0, 2)).reshape(BITS, CELL)[:, 4:-4].mean(axis=1)
    return sum(int(column > 125) << bit for bit, column in enumerate(columns))


def write_clip(
    path: Path,
    pts: Sequence[int],
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    turned: int = 0,
    sound_s: float = 0.0,
    container_options: dict[str, str] | None = None,
    shown: Sequence[int] | None = None,
) -> Path:
    """A clip of ``numbered`` frames at the given timestamps: 0, 1, 2…, or the numbers ``shown``.

    ``turned`` is how the camera was held: degrees, clockwise, by which a player has to turn the stored picture.
    With ``sound_s`` a silent track of so many seconds lies beside it, from time 0 on.
    """
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(25), options=options or {})
        sideways = turned % 180 != 0
        stream.width, stream.height = (HEIGHT, WIDTH) if sideways else (WIDTH, HEIGHT)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = time_base
        if turned:
            stream.set_display_rotation(-turned)
        sound = container.add_stream("aac", rate=44100) if sound_s else None
        if sound is not None:
            for start in range(0, int(44100 * sound_s), 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts, silence.time_base = 44100, start, Fraction(1, 44100)
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
        for number, stamp in zip(shown or range(len(pts)), pts, strict=True):
            stored = np.ascontiguousarray(np.rot90(numbered(number % 256), turned // 90))
            frame = av.VideoFrame.from_ndarray(stored, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True)
class Truth:
    times: list[float]
    numbers: list[int]


def decoded(path: Path) -> Truth:
    """All frames as PyAV decodes them: seconds since the file's earliest stream begins, and their numbers."""
    with av.open(str(path)) as container:
        zero = (container.start_time or 0) / av.time_base
        times, numbers = [], []
        for frame in container.decode(video=0):
            times.append(float(frame.pts * frame.time_base) - zero)
            upright = np.rot90(frame.to_ndarray(format="bgr24"), frame.rotation // 90)
            numbers.append(number_in(upright))
    return Truth(times, numbers)
