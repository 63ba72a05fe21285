"""Who is who from one sampled frame to the next, by place and motion alone."""

from collections.abc import Sequence

import numpy as np
import supervision as sv
from trackers import OCSORTTracker

from fer.video.detectors import Face

# Heads move between samples, so boxes count as larger than they are, by this part of their size to each side. Of SORT,
# ByteTrack and OC-SORT at several reaches and overlaps, this kept all ids on 25 made-up courses of passing, hiding,
# swaying and walking people at few and many samples; without reach each tracker failed nine or ten of them.
_REACH = 0.5
_LEAST_OVERLAP = 0.05  # intersection over union of the widened boxes that may be the same person


class FaceTracker:
    """Gives the faces of one video lasting ids: 0, 1, 2… in the order of their first appearance.

    A person keeps the id over up to ``max_missed`` sampled frames without the face. Time is counted in samples, so
    that the same settings serve one frame a second and all of them. The association is OC-SORT's (Cao and others
    2023, "Observation-Centric SORT"), from Roboflow's trackers; unlike there, a face has its id from the first frame
    on, because a row of the emotion table cannot wait for the next one.
    """

    def __init__(self, max_missed: int = 2) -> None:
        self._tracker = OCSORTTracker(
            lost_track_buffer=max_missed,
            frame_rate=30.0,  # the unit of the buffer: one step is one sample
            minimum_consecutive_frames=1,
            minimum_iou_threshold=_LEAST_OVERLAP,
            high_conf_det_threshold=0.0,
        )
        self._next_id = 0

    def update(self, faces: Sequence[Face]) -> list[int]:
        """Ids of the faces of the next sampled frame, in their order. Call it for frames without faces, too."""
        detections = sv.Detections(
            xyxy=np.array([_widen_box(face) for face in faces], np.float64).reshape(-1, 4),
            data={"place": np.arange(len(faces))},
        )
        tracked = self._tracker.update(detections)
        if not faces:
            return []
        indices = np.asarray(tracked.data["place"])
        ids = np.full(len(faces), -1)
        ids[indices] = tracked.tracker_id
        # The tracks that began with this frame stand in the order of the faces that have none.
        new_tracks = [track for track in self._tracker.tracks if track.tracker_id < 0]
        for track, place in zip(new_tracks, indices[ids[indices] < 0], strict=True):
            track.tracker_id = ids[place] = self._next_id
            self._next_id += 1
        return [int(track) for track in ids]


def _widen_box(face: Face) -> tuple[float, float, float, float]:
    """Left, top, right and bottom edge of the box that counts for the association."""
    x, y = _REACH * face.width, _REACH * face.height
    return face.x - x, face.y - y, face.x + face.width + x, face.y + face.height + y
