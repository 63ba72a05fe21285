"""Windows of a temporal model: for each face, the features of the same person's faces around it in time."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from fer.core.time_grid import build_window_grid, select_frames
from fer.infer.extract import FrameFaces, VideoEnd
from fer.video.gaps import tolerates_gap

# Frames count as within half a step up to a rounding of times.
_SLACK = 0.01


class WindowFormat(Protocol):
    """What a temporal model looks at. See ``fer.bundle.metadata.TemporalFormat``."""

    @property
    def length(self) -> int:
        """Points of a window."""
        ...

    @property
    def step_s(self) -> float:
        """Seconds between them."""
        ...

    @property
    def position(self) -> str:
        """Which point is answered: `causal`, the last one, or `centred`."""
        ...


def compute_reach(window: WindowFormat) -> tuple[float, float]:
    """Seconds before and after a face from which its window may take others."""
    first, last = build_window_grid(0.0, window.length, window.step_s, window.position)[[0, -1]]
    half = (0.5 + _SLACK) * window.step_s
    # What is behind a causal window is never waited for.
    return half - float(first), float(last) + half if last > 0 else 0.0


@dataclass(frozen=True)
class Window:
    """What is seen of a person around a moment.

    Attributes:
        features: The features (V, D) of a face at each point of the grid, of V views of it; None at a masked point.
    """

    features: tuple[np.ndarray | None, ...]

    def stack(self) -> tuple[np.ndarray, np.ndarray]:
        """The features (T, V, D), zero where there is none, and where there is one (T,)."""
        seen = self._find_seen()
        filled = [np.zeros_like(seen) if features is None else features for features in self.features]
        return np.stack(filled), np.array([features is not None for features in self.features])

    def count_numbers(self) -> int:
        """Numbers that one view of the window has, T times D."""
        return len(self.features) * self._find_seen().shape[1]

    def _find_seen(self) -> np.ndarray:
        # The face itself is at its own point.
        return next(features for features in self.features if features is not None)


@dataclass(frozen=True, eq=False)
class _Face:
    """A usable face.

    Attributes:
        time_s: When it is seen.
        sample: In which of the sampled frames.
        previous_s: When the sampled frame before it was.
        features: Its features (V, D).
    """

    time_s: float
    sample: int
    previous_s: float
    features: np.ndarray


@dataclass
class _Video:
    """What is known of the video that is gone through: its people's latest faces by track id."""

    number: int = -1
    samples: int = 0
    time_s: float = -np.inf
    tracks: dict[int, deque[_Face]] = field(default_factory=dict)


class WindowSlider:
    """Forms the window of each face of videos that come one after the other, each in the order of its frames.

    A window is of one track of one video. It reaches over a gap without a usable face of the track that
    ``fer.video.gaps`` tolerates, whose points are masked; beyond a longer one it begins anew. Memory is bounded by the
    window: faces that no later one can reach are let go.

    Args:
        window: What the model looks at.
        max_missed: The longest gap, sampled frames; None goes by seconds.
    """

    def __init__(self, window: WindowFormat, max_missed: int | None) -> None:
        self.window, self.max_missed = window, max_missed
        self.back_s, self.ahead_s = compute_reach(window)
        self.video = _Video()
        # Frames whose windows may still get faces, with the faces of each.
        self.waiting: deque[tuple[FrameFaces, list[tuple[int, _Face]]]] = deque()

    def slide(
        self, items: Iterable[tuple[FrameFaces | VideoEnd, np.ndarray]]
    ) -> Iterator[tuple[FrameFaces | VideoEnd, list[Window]]]:
        """Yield the items in their order, each with the windows of its usable faces.

        A frame waits for those after it that its windows reach. Context is used up and not yielded.

        Args:
            items: Single frames, whose faces have their track ids, each with the features (faces, V, D) of its crops.
        """
        for item, features in items:
            if item.video != self.video.number:
                yield from self._release_all()
                self.video = _Video(item.video)
            if isinstance(item, VideoEnd):
                yield from self._release_all()
                yield item, []
                continue
            time_s = float(item.rows[0]["time_s"])
            # What was extracted earlier may come before a further extraction that looks at it again.
            if item.is_context and time_s <= self.video.time_s:
                continue
            faces = self._add_frame(item.rows, time_s, features)
            if not item.is_context:
                self.waiting.append((item, faces))
            yield from self._release(time_s)
        yield from self._release_all()

    def _add_frame(self, rows: list[dict[str, Any]], time_s: float, features: np.ndarray) -> list[tuple[int, _Face]]:
        """Take up the usable faces of the video's next frame."""
        video = self.video
        previous_s, video.samples, video.time_s = video.time_s, video.samples + 1, time_s
        ids = [int(row["track_id"]) for row in rows if row["status"] == "ok"]
        faces = [
            (number, _Face(time_s, video.samples, previous_s, own)) for number, own in zip(ids, features, strict=True)
        ]
        for number, face in faces:
            video.tracks.setdefault(number, deque()).append(face)
        return faces

    def _release(self, time_s: float) -> Iterator[tuple[FrameFaces, list[Window]]]:
        """Yield the frames that no face behind ``time_s`` can matter to, and let go what none can reach any more."""
        while self.waiting and self.waiting[0][0].rows[0]["time_s"] + self.ahead_s <= time_s:
            item, faces = self.waiting.popleft()
            yield item, [self._build_window(track_id, face) for track_id, face in faces]
        oldest = min(time_s, float(self.waiting[0][0].rows[0]["time_s"]) if self.waiting else time_s) - self.back_s
        for track_id, track in list(self.video.tracks.items()):
            while track and track[0].time_s < oldest:
                track.popleft()
            if not track:
                del self.video.tracks[track_id]

    def _release_all(self) -> Iterator[tuple[FrameFaces, list[Window]]]:
        """Yield the frames that wait for others, which do not come."""
        yield from self._release(np.inf)

    def _build_window(self, track_id: int, face: _Face) -> Window:
        """The window of a face, from the unbroken stretch of its track."""
        track = list(self.video.tracks[track_id])
        own = track.index(face)
        first, last = own, own
        while first > 0 and self._is_unbroken(track[first - 1], track[first]):
            first -= 1
        while last + 1 < len(track) and self._is_unbroken(track[last], track[last + 1]):
            last += 1
        stretch = track[first : last + 1]
        grid = build_window_grid(face.time_s, self.window.length, self.window.step_s, self.window.position)
        rows, mask = select_frames(np.array([other.time_s for other in stretch]), grid, self.window.step_s)
        return Window(
            tuple(stretch[row].features if seen else None for row, seen in zip(rows.tolist(), mask, strict=True))
        )

    def _is_unbroken(self, earlier: _Face, later: _Face) -> bool:
        missed = later.sample - earlier.sample - 1
        return tolerates_gap(self.max_missed, missed, later.previous_s - earlier.time_s)
