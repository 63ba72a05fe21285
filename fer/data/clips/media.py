"""Where the frames of a source's clips come from: parts of video files, or drawings."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ClipSpan:
    """A stretch of a video.

    Attributes:
        video: Name of the file.
        start_s: Where it begins on the clock of a player, seconds.
        end_s: Where it ends; None where the video does.
    """

    video: str
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class VideoClips:
    """Clips of video files, in which faces are still to be found.

    Attributes:
        spans: The stretch of each clip, by the path of the source's table; those of a video follow each other there.
        open_video: Has a video as a file of this machine for as long as it is read. Raises DataError.
    """

    spans: Mapping[str, ClipSpan]
    open_video: Callable[[str], AbstractContextManager[Path]]


@dataclass(frozen=True)
class DrawnClips:
    """Clips that are drawn as faces.

    Attributes:
        draw: Gives, for a path of the source's table, frames (T, h, w, 3) uint8 RGB and their seconds (T,).
    """

    draw: Callable[[str], tuple[np.ndarray, np.ndarray]]
