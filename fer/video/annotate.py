"""A video with boxes and emotions drawn in."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer.core.io import atomic_write
from fer.video.annotated_copies import AnnotatedCopies
from fer.video.encoding import encode_video
from fer.video.media import Media
from fer.video.probe import is_image
from fer.video.reader import Frame, iter_frames
from fer.video.sampling import AllFramesSampler

_COLOUR = (80, 220, 80)  # BGR
_UNCLASSIFIED_COLOUR = (120, 120, 120)


def annotate(item: Media, rows: pd.DataFrame, copies: AnnotatedCopies, frames: Iterator[Frame] | None = None) -> Path:
    """Draw the faces of each sampled frame, with their emotions, until the next sampled frame.

    Args:
        item: The video or image.
        rows: Its rows of the emotion table.
        copies: Where the copy is written, and an earlier one is removed.
        frames: All its frames as they are to be shown; None reads them.

    Returns:
        The new file: an MP4 with the source's timestamps and no sound, or a PNG for an image.
    """
    # By the content, not by the suffix: pictures may be animated.
    is_still = is_image(item.path)
    path = copies.build_path(item, ".png" if is_still else ".mp4")
    frames = iter_frames(item.path, AllFramesSampler()) if frames is None else frames
    rows_by_frame = {int(str(frame)): frame_rows for frame, frame_rows in rows.groupby("frame")}
    with atomic_write(path) as temporary:
        if is_still:
            for bgr, _ in _iter_annotated_frames(frames, rows_by_frame):
                temporary.write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
        else:
            encode_video(_iter_annotated_frames(frames, rows_by_frame), temporary)
    for earlier in copies.list_all(item):
        if earlier != path:
            earlier.unlink(missing_ok=True)
    return path


def _iter_annotated_frames(
    frames: Iterator[Frame], rows_by_frame: Mapping[int, pd.DataFrame]
) -> Iterator[tuple[np.ndarray, float]]:
    """All frames with the faces of the last sampled one, and their times in seconds."""
    current: pd.DataFrame | None = None
    for frame in frames:
        if frame.bgr is None:
            continue
        current = rows_by_frame.get(frame.index, current)
        if current is not None:
            _draw_faces(frame.bgr, current)
        yield frame.bgr, frame.time_s


def _draw_faces(bgr: np.ndarray, rows: pd.DataFrame) -> None:
    """Boxes with id, emotion and confidence of one frame's rows, in place."""
    for row in rows[rows["face_x"].notna()].to_dict("records"):
        x, y = int(row["face_x"]), int(row["face_y"])
        classified = row["status"] == "ok"
        colour = _COLOUR if classified else _UNCLASSIFIED_COLOUR
        cv2.rectangle(bgr, (x, y), (x + int(row["face_w"]), y + int(row["face_h"])), colour, 2)
        text = f"{row['track_id']} {row['emotion']} {row['confidence']:.2f}" if classified else str(row["reason"])
        cv2.putText(bgr, text, (x, max(y - 6, 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
