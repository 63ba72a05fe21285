"""Drawn frames as a video file."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from fer.core.io import atomic_write


def write_video(path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], fps: int) -> None:
    """Write (height, width, 3) uint8 RGB frames, completely or not at all; browsers play it and can seek in it."""
    with atomic_write(path) as tmp_path, av.open(str(tmp_path), "w", format="mp4") as container:
        # In frames as small as these x264's macroblock tree reads memory that nobody has set: other bytes each time.
        options = {"crf": "20", "preset": "veryfast", "g": str(2 * fps), "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
