"""Track ids in the rows of a run: lasting ones, chunk after chunk, also after a kill."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fer.infer.chunk_store import ChunkStore
from fer.video.detectors import Face
from fer.video.tracker import FaceTracker

# What the ids depend on.
TRACKING_COLUMNS = ["frame", "time_s", "status", "face_x", "face_y", "face_w", "face_h", "det_score"]


class TrackAssigner:
    """Gives track ids to the faces of videos that come one after the other, each in the order of its frames.

    Args:
        run_directory: The run, whose finished chunks say where a killed run has stopped.
        max_missed: A person keeps the id over so many sampled frames without the face; None goes by seconds.
    """

    def __init__(self, run_directory: Path, max_missed: int | None) -> None:
        self.run_directory, self.max_missed = run_directory, max_missed
        self.video = -1
        self.tracker = FaceTracker(max_missed)

    def assign_ids(self, video: int, rows: Sequence[dict[str, Any]]) -> None:
        """Set ``track_id`` in the rows of the video's next frames; None where there is no face."""
        if video != self.video:
            self._restore_tracker(video)
        for row, track_id in zip(rows, self._track_rows(rows), strict=True):
            row["track_id"] = track_id

    def _restore_tracker(self, video: int) -> None:
        """Go through what a killed run has finished of the video: ids must go on as if it had not been killed."""
        self.video, self.tracker = video, FaceTracker(self.max_missed)
        store = ChunkStore.for_video(self.run_directory, video)
        for file in store.list_chunks():
            rows = store.read_chunk(file, TRACKING_COLUMNS).to_dict("records")
            self._track_rows([{str(key): value for key, value in row.items()} for row in rows])

    def _track_rows(self, rows: Sequence[dict[str, Any]]) -> list[int | None]:
        ids: list[int | None] = []
        for _, frame_rows in groupby(rows, lambda row: row["frame"]):
            frame = list(frame_rows)
            faces = [
                Face(row["face_x"], row["face_y"], row["face_w"], row["face_h"], row["det_score"])
                for row in frame
                if row["status"] in ("ok", "low_quality")
            ]
            if frame[0]["status"] != "decode_error":
                frame_ids = self.tracker.update(faces, float(frame[0]["time_s"]))
            ids += frame_ids if faces else [None]
        return ids
