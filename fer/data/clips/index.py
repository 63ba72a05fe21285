"""Which frames of the store belong to which clip, and the window of a clip that a network sees."""

from dataclasses import dataclass

import numpy as np

from fer.core.time_grid import select_frames

# Where the window lies that a clip is judged by: in the middle.
MIDDLE = 0.5


@dataclass(frozen=True)
class ClipIndex:
    """The clips of a store, in the order of its index.

    Attributes:
        starts: (N + 1,) int64, clip i is frames starts[i]:starts[i + 1]; the two are equal where a clip has none.
        times: (M,) float32, seconds of each frame since the beginning of its clip, rising within a clip.
    """

    starts: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def get_frames(self, clip: int) -> slice:
        """The frames of a clip."""
        return slice(int(self.starts[clip]), int(self.starts[clip + 1]))


@dataclass(frozen=True)
class ClipWindows:
    """Windows of clips: ``length`` points of time, ``step_s`` seconds apart, each with its nearest frame.

    Examples:
        >>> frames, mask = ClipWindows(store.clips, length=16, step_s=0.125).select(rows, np.full(len(rows), MIDDLE))
        >>> store.images[frames].shape
        (64, 16, 96, 96, 3)
    """

    clips: ClipIndex
    length: int
    step_s: float

    def select(self, rows: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Select the frames of one window of each clip.

        A point of every window is a frame's own time, as in inference.

        Args:
            rows: Clips (N,), each of one frame at least.
            places: Where the window lies, (N,) from 0, its earliest place, to 1, the latest. A clip that is shorter
                than the window lies within it, at this place.

        Returns:
            Frames of the store (N, length) int64, and whether there is one within half a step (N, length); where there
            is none the nearest one stands for it.
        """
        frames = np.empty((len(rows), self.length), np.int64)
        mask = np.empty(frames.shape, bool)
        points = np.arange(self.length) * self.step_s
        for number, (clip, place) in enumerate(zip(rows, places, strict=True)):
            span = self.clips.get_frames(clip)
            times = self.clips.times[span].astype(np.float64)
            chosen, mask[number] = select_frames(times, self._find_start(times, place) + points, self.step_s)
            frames[number] = span.start + chosen
        return frames, mask

    def _find_start(self, times: np.ndarray, place: float) -> float:
        """The first point of the window at a place."""
        last_start = times[-1] - (self.length - 1) * self.step_s
        candidates = times[times <= last_start + 1e-3 * self.step_s]
        if not len(candidates):
            covered = int((times[-1] - times[0]) / self.step_s + 1e-3) + 1
            candidates = times[0] - np.arange(self.length - covered + 1) * self.step_s
        return float(candidates[min(int(place * len(candidates)), len(candidates) - 1)])
