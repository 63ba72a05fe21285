"""Tracking: who is who from one sampled frame to the next, by position and motion alone."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer.video.detectors import Face
from fer.video.gaps import tolerates_gap

if TYPE_CHECKING:
    from trackers import OCSORTTracker

# Heads move between samples, so boxes count as larger than they are, by this fraction of their size to each side. Of
# SORT, ByteTrack and OC-SORT at several reaches and overlaps, this kept all ids on 25 made-up courses of passing,
# hiding, swaying and walking people at few and many samples; without reach each tracker failed nine or ten of them.
_REACH = 0.5
_ENDLESS = 2**31
_DIRECTION_WEIGHT = 0.2  # of agreement in direction beside overlap
_LEAST_OVERLAP = 0.05  # intersection over union of the widened boxes that may be the same person


class FaceTracker:
    """Gives the faces of one video lasting ids: 0, 1, 2… in the order of their first appearance.

    Motion is counted in samples, so that the same settings serve one frame a second and all of them. The association is
    OC-SORT's (Cao and others 2023, "Observation-Centric SORT"), from Roboflow's trackers; unlike there, a face has its
    id from the first frame on, because a row of the emotion table cannot wait for the next one.

    Args:
        max_missed: A person keeps the id over up to so many sampled frames without the face; None goes by seconds, see
            ``fer.video.gaps``.

    Examples:
        >>> tracker, frames = FaceTracker(), iter_frames(path, IntervalSampler(5.0))
        >>> [tracker.update(detector.detect(frame.bgr), frame.time_s) for frame in frames]
        [[0], [0, 1], [1, 0]]
    """

    def __init__(self, max_missed: int | None = None) -> None:
        self.max_missed = max_missed
        self._tracker: OCSORTTracker | None = None
        # The first frame, until there is another: an image has no other, and needs nothing that is slow to import.
        self._first: tuple[Sequence[Face], float] | None = None
        self._next_id = 0
        # When the last samples were, as far back as someone who is missed may have been seen.
        self._times: deque[float] = deque()

    def update(self, faces: Sequence[Face], time_s: float) -> list[int]:
        """Follow the faces into the next sampled frame.

        Args:
            faces: The frame's faces; frames without any must be given, too.
            time_s: When the frame is shown, seconds.

        Returns:
            Their ids, in the same order.
        """
        if self._first is None:
            self._first = (faces, time_s)
            return list(range(len(faces)))
        if self._tracker is None:
            self._tracker = _build_tracker()
            self._follow(self._tracker, *self._first)
        return self._follow(self._tracker, faces, time_s)

    def _follow(self, tracker: "OCSORTTracker", faces: Sequence[Face], time_s: float) -> list[int]:
        import supervision as sv

        detections = sv.Detections(
            xyxy=np.array([_widen_box(face) for face in faces], np.float64).reshape(-1, 4),
            data={"index": np.arange(len(faces))},
        )
        # Directions of motion choose among several; computing them for one face and one track would change nothing.
        tracker.direction_consistency_weight = 0.0 if len(faces) < 2 and len(tracker.tracks) < 2 else _DIRECTION_WEIGHT
        tracked = tracker.update(detections)
        self._let_go(tracker, time_s)
        if not faces:
            return []
        indices = np.asarray(tracked.data["index"])
        ids = np.full(len(faces), -1)
        ids[indices] = tracked.tracker_id
        # The tracks that began with this frame stand in the order of the faces that have none.
        new_tracks = [track for track in tracker.tracks if track.tracker_id < 0]
        for track, index in zip(new_tracks, indices[ids[indices] < 0], strict=True):
            track.tracker_id = ids[index] = self._next_id
            self._next_id += 1
        return ids.tolist()

    def _let_go(self, tracker: "OCSORTTracker", time_s: float) -> None:
        """End the tracks of people who have been out of sight for too long."""
        self._times.append(time_s)
        kept, longest = [], 0
        for track in tracker.tracks:
            missed = track.time_since_update
            if tolerates_gap(self.max_missed, missed, time_s - self._times[-1 - missed]):
                kept.append(track)
                longest = max(longest, missed)
        tracker.tracks = kept
        while len(self._times) > longest + 1:
            self._times.popleft()


def _build_tracker() -> "OCSORTTracker":
    from trackers import OCSORTTracker

    return OCSORTTracker(
        lost_track_buffer=_ENDLESS,  # which of the lost are let go is decided here
        frame_rate=30.0,  # the unit of the buffer: one step is one sample
        minimum_consecutive_frames=1,
        minimum_iou_threshold=_LEAST_OVERLAP,
        high_conf_det_threshold=0.0,
    )


def _widen_box(face: Face) -> tuple[float, float, float, float]:
    """Left, top, right and bottom edge of the box that the association compares."""
    x, y = _REACH * face.width, _REACH * face.height
    return face.x - x, face.y - y, face.x + face.width + x, face.y + face.height + y
