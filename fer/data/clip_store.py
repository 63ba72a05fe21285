"""The faces of all clips of a run, extracted once into the same memory-mapped file of bytes as images are."""

import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pandas as pd

from fer.core.documents import read_json_object
from fer.core.image import to_native
from fer.core.prefetch import map_in_threads
from fer.core.progress import track_progress
from fer.data.clips.extraction import ClipFrames, ClipOptions, build_unusable_clip, extract_clips
from fer.data.clips.index import ClipIndex
from fer.data.clips.media import DrawnClips, VideoClips
from fer.data.image_store import ImageStore, fingerprint_sources, hash_look
from fer.data.sources.base import Source
from fer.data.store_folder import build_folder_once
from fer.errors import DataError
from fer.video.detectors import Detector

VERSION = 1
COLUMNS = ["content_hash", "perceptual_hash", "problem", "unfit", "people"]
log = logging.getLogger(__name__)


def open_clip_store(sources: Sequence[Source], largest_side: int, cache_dir: str, options: ClipOptions) -> ImageStore:
    """Open the store of the sources' clips, after building it where the cache has none.

    A clip is a row of the store's index, with two columns beside those of images: `unfit`, why a clip that can be read
    cannot be used ("" if it can), and `people`, how many are seen in it. `content_hash` is that of all its frames,
    `perceptual_hash` that of the middle one.

    Args:
        sources: The data sets, of clips all of them.
        largest_side: The network's input size, pixels.
        cache_dir: Directory of decoded images, shared between runs.
        options: How faces are extracted.

    Raises:
        DataError: Some sources are of images, or the cached files are damaged.
    """
    refuse_mixed_sources(sources)
    fingerprint, side, _ = fingerprint_sources(sources)
    side = min(side, largest_side, options.max_side)
    key = hashlib.sha256(f"{fingerprint}/{options.identity}".encode()).hexdigest()
    folder = Path(cache_dir) / f"{key[:20]}-{side}x3-clips-v{VERSION}"
    if not folder.is_dir():
        build_folder_once(folder, lambda unfinished: _build_store(sources, side, options, folder, unfinished))
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        starts = np.load(folder / "starts.npy", allow_pickle=False)
        times = np.load(folder / "times.npy", allow_pickle=False)
        index = pd.read_parquet(folder / "index.parquet")
        meta = read_json_object(folder / "store.json")
        if images.shape != (meta["frames"], side, side, 3) or not len(images) == len(times) == starts[-1]:
            raise ValueError("it does not hold what its name says")
        if not len(index) == len(starts) - 1 == meta["clips"]:
            raise ValueError("it does not hold what its name says")
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise DataError(f"{folder}: the cached clips cannot be read ({error}); remove this directory") from None
    return ImageStore(images, index, fingerprint, side, True, ClipIndex(starts, times))


def refuse_mixed_sources(sources: Sequence[Source]) -> None:
    """Refuse clips beside images. Raises DataError."""
    images = [source.name for source in sources if source.clips is None]
    clips = [source.name for source in sources if source.clips is not None]
    if images and clips:
        raise DataError(
            f"dataset.sources: {', '.join(clips)} has clips and {', '.join(images)} has images, which no network takes "
            "both; train on one of them"
        )


@dataclass(frozen=True)
class _Job:
    """Clips that are read together: those of one video, or one that is drawn."""

    source: Source
    paths: list[str]


def _list_jobs(sources: Sequence[Source]) -> Iterator[_Job]:
    for source in sources:
        paths = source.table["path"].tolist()
        if isinstance(source.clips, VideoClips):
            spans = source.clips.spans
            for _, group in itertools.groupby(paths, key=lambda path: spans[path].video):
                yield _Job(source, list(group))
        else:
            yield from (_Job(source, [path]) for path in paths)


def _build_store(sources: Sequence[Source], side: int, options: ClipOptions, folder: Path, unfinished: Path) -> None:
    """Extract every clip into the directory ``unfinished``, which becomes ``folder``."""
    total = sum(len(source.table) for source in sources)
    log.info("Extracting the faces of %d clips once into %s (%d×%d)", total, folder, side, side)
    # A video a thread scales better than all threads on one frame.
    cv2.setNumThreads(1)
    detectors = [options.make_detector() for _ in range(options.threads)]
    workers: list[Callable[[_Job], list[ClipFrames]]] = [
        partial(_extract_job, detector, options, side, unfinished) for detector in detectors
    ]
    results = map_in_threads(_list_jobs(sources), workers)
    rows, times, starts = list[tuple[Any, ...]](), list[np.ndarray](), [0]
    with (unfinished / "images.npy").open("wb") as file:
        _write_header(file, 0, side)
        for clips in track_progress(results, total, "Extracting clips", "clips", len):
            for clip in clips:
                rows.append((*_write_frames(file, clip), clip.problem, clip.unfit, clip.people))
                times.append(clip.times)
                starts.append(starts[-1] + len(clip.times))
        # How many frames there are shows only now.
        file.seek(0)
        _write_header(file, starts[-1], side)
    np.save(unfinished / "starts.npy", np.array(starts, np.int64))
    np.save(unfinished / "times.npy", np.concatenate(times).astype(np.float32))
    pd.DataFrame(rows, columns=COLUMNS).to_parquet(unfinished / "index.parquet", index=False)
    meta = {"clips": total, "frames": starts[-1], "extraction": options.identity}
    (unfinished / "store.json").write_text(json.dumps(meta), encoding="utf-8")


def _write_header(file: IO[bytes], frames: int, side: int) -> None:
    """Write the header of an array; NumPy makes it as long for any number of frames."""
    shape = (frames, side, side, 3)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _write_frames(file: IO[bytes], clip: ClipFrames) -> tuple[str, str]:
    """Write the frames of a clip; returns the hash of their pixels and that of the look of the middle one."""
    hasher, look = hashlib.sha256(), ""
    for number, frame in enumerate(clip.frames()):
        file.write(data := frame.tobytes())
        hasher.update(str(frame.shape).encode() + data)
        if number == len(clip.times) // 2:
            look = hash_look(frame)
    return (hasher.hexdigest()[:32], look) if len(clip.times) else ("", "")


def _extract_job(detector: Detector, options: ClipOptions, side: int, folder: Path, job: _Job) -> list[ClipFrames]:
    clips = job.source.clips
    if isinstance(clips, DrawnClips):
        return [_draw_clip(clips, path, side, options.min_frames) for path in job.paths]
    assert clips is not None, "the sources have clips"
    spans = [clips.spans[path] for path in job.paths]
    try:
        with clips.open_video(spans[0].video) as path:
            return extract_clips(path, spans, detector, options, side, folder)
    except DataError as error:
        return [build_unusable_clip(str(error))] * len(spans)


def _draw_clip(clips: DrawnClips, path: str, side: int, min_frames: int) -> ClipFrames:
    drawn, times = clips.draw(path)
    if len(times) < min_frames:
        return build_unusable_clip(unfit=f"it has fewer than dataset.clips.min_frames={min_frames} frames")
    frames = [to_native(frame, side, True) for frame in drawn]
    return ClipFrames(times.astype(np.float32), lambda: iter(frames))
