"""Faces that a run must not keep or show are covered (``extraction.blur``)."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import pandas as pd

from fer.config import Config, Extraction
from fer.config.extraction import YuNetDetector
from fer.core.io import atomic_write
from fer.core.system import resolve_thread_count
from fer.infer.extract import FRAMES
from fer.infer.inputs import MediaFetcher
from fer.infer.video_stores import open_video_stores
from fer.runs.detector_choice import fetch_detector_weights
from fer.study.respondents import select_respondent_rows
from fer.video.detectors.yunet import find_cached_weights
from fer.video.face_cover import Box, KnownFaces, iter_covered_frames, plan_cover
from fer.video.face_finder import FaceFinder
from fer.video.media import Media
from fer.video.reader import Frame, VideoError

_BOX_COLUMNS = ["frame", "face_x", "face_y", "face_w", "face_h"]
# What tells whose face a row is of.
_PERSON_COLUMNS = ["video", "track_id", "status", "reason"]
log = logging.getLogger(__name__)


def keeps_pictures(config: Config) -> bool:
    """Whether a run keeps and shows pictures of faces; a study's does not unless it is asked to."""
    if config.extraction.blur == "all":
        return False
    return config.extraction.study is None if config.report.faces is None else config.report.faces


def collect_boxes(rows: pd.DataFrame) -> dict[int, list[Box]]:
    """Boxes of the faces by frame, from rows of an emotion table."""
    boxes: dict[int, list[Box]] = {}
    for frame, x, y, width, height in rows.loc[rows["face_x"].notna(), _BOX_COLUMNS].itertuples(index=False):
        boxes.setdefault(int(frame), []).append((x, y, x + width, y + height))
    return boxes


class FaceCoverer:
    """Covers faces in the videos of a run: all, or all but the analysed ones; in a study's, all but the respondent's.

    Args:
        config: The configuration, with a detector of ``pin_detector`` and a ``blur`` other than ``none``.
    """

    def __init__(self, config: Config) -> None:
        weights = _find_weights(config.extraction)
        if weights is None:
            log.warning(
                "extraction.blur=%s: faces are found by Haar, which overlooks those that are turned or partly hidden; "
                "extraction.detector.weights=FILE names YuNet's file",
                config.extraction.blur,
            )
        detector = config.extraction.detector
        runtime = detector.runtime if isinstance(detector, YuNetDetector) else "auto"
        self._finders = [FaceFinder(weights, runtime) for _ in range(resolve_thread_count(config.trainer.threads))]
        self._keeps_analysed = config.extraction.blur == "others"
        self._is_study = config.extraction.study is not None

    def iter_frames(self, item: Media, rows: pd.DataFrame) -> Iterator[Frame]:
        """All frames of a video or image, covered. Raises VideoError.

        Args:
            item: The video or image.
            rows: Its rows of the emotion table: the faces that were analysed.
        """
        analysed = collect_boxes(rows)
        visible = self._find_visible(rows)
        keep = KnownFaces(visible) if self._keeps_analysed else ()
        plan = plan_cover(item.path, self._finders, keep, f"Covering {item.name}")
        # What the analysis took for a face is one, also where this search finds none.
        for frame, boxes in analysed.items():
            plan.hidden.setdefault(frame, []).extend(box for box in boxes if box not in visible.get(frame, ()))
        return iter_covered_frames(item.path, plan, self._finders)

    def _find_visible(self, rows: pd.DataFrame) -> dict[int, list[Box]]:
        """Boxes of the faces that stay. Whoever is largest in a frame for a moment is not the one who is recorded."""
        if not self._keeps_analysed:
            return {}
        return collect_boxes(select_respondent_rows(rows) if self._is_study else rows)


def _find_weights(config: Extraction) -> Path | None:
    """YuNet's file, where the run has one or it is at hand: nothing is downloaded for this."""
    if isinstance(config.detector, YuNetDetector):
        return fetch_detector_weights(config)
    return find_cached_weights(Path(config.cache_dir))


def save_covered_frames(config: Config, run_directory: Path, media: Sequence[Media], fetch: MediaFetcher) -> None:
    """Write the sampled frames of all videos with their faces covered; those that are there stay.

    Each video is read once more, because a face is found by the frames around it as well.

    Args:
        config: The configuration.
        run_directory: The run, whose chunks are finished.
        media: What it looks at.
        fetch: Has the file of a video on this machine for as long as it is read.
    """
    coverer: FaceCoverer | None = None
    for number, store in open_video_stores(run_directory, range(len(media))).items():
        item, rows = media[number], store.read([*_PERSON_COLUMNS, *_BOX_COLUMNS])
        if rows.empty:
            continue
        folder = run_directory / FRAMES / f"{number:05d}"
        wanted = set(rows.loc[rows["status"] != "decode_error", "frame"].astype(int))
        wanted -= {int(path.stem) for path in folder.glob("*.jpg")}
        if not wanted:
            continue
        coverer = coverer or FaceCoverer(config)
        try:
            with fetch(item):
                for frame in coverer.iter_frames(item, rows):
                    if frame.index in wanted and frame.bgr is not None:
                        with atomic_write(folder / f"{frame.index:08d}.jpg") as temporary:
                            temporary.write_bytes(cv2.imencode(".jpg", frame.bgr)[1].tobytes())
        except VideoError as error:
            log.warning("%s: its frames are not kept: %s", item.name, error.reason)
