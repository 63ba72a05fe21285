"""Small drawn clips of people at known places."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from fer.synthetic import FaceActions, Identity, Scene, paste_face

WIDTH, HEIGHT = 320, 240
# Person, and the middle of the face.
Place = tuple[int, tuple[float, float]]
LEFT, RIGHT = (80.0, 120.0), (240.0, 120.0)


@cache
def draw_people(places: tuple[Place, ...], face_height: float = 110.0) -> np.ndarray:
    """(240, 320, 3) uint8 BGR with a drawn face at each place."""
    canvas = np.full((HEIGHT, WIDTH, 3), 170, np.uint8)
    canvas[::8] = 150
    for person, center in places:
        identity = Identity.sample(np.random.default_rng(person))
        paste_face(canvas, FaceActions(), identity, Scene(), center, face_height)
    return cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR)


def write_face_clip(
    path: Path,
    frames: Sequence[tuple[Place, ...]],
    stamps: Sequence[int] | None = None,
    fps: int = 10,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    sound: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A clip with the people of each frame; ``stamps`` are its times in 1/fps s, by default 0, 1, 2…"""
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        odd = size[0] % 2 or size[1] % 2
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p" if odd else "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        voice = container.add_stream("aac", rate=44100) if sound else None
        for stamp, places in zip(stamps or range(len(frames)), frames, strict=True):
            frame = av.VideoFrame.from_ndarray(cv2.resize(draw_people(places), size), "bgr24")
            frame.pts, frame.time_base = stamp, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice is not None:
            for start in range(0, 44100 * len(frames) // fps, 1024):
                wave = np.sin(np.arange(start, start + 1024) * 0.06)[None].astype(np.float32) / 2
                heard = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = 44100, start, Fraction(1, 44100)
                container.mux(voice.encode(heard))
            container.mux(voice.encode())
    return path
