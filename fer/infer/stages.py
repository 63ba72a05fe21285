"""The stages extract and predict of infer.py: faces of videos, and their probabilities."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from fer.config import Config, Extraction, SageMakerAws
from fer.core.progress import progress
from fer.core.system import thread_count
from fer.infer.classify import Judging, keep, saved_crops
from fer.infer.extract import Ended, Seen, VideoFaces
from fer.infer.inputs import Fetching
from fer.infer.track_ids import Following
from fer.infer.transform.stage import transform
from fer.registry.resolve import Model, region_of
from fer.serving import Predictor
from fer.video.media import Media
from fer.video.reader import VideoError, open_video


def route_of(config: Config) -> str:
    """process or transform."""
    if config.inference.route != "auto":
        return config.inference.route
    return "transform" if isinstance(config.aws, SageMakerAws) else "process"


def extract_and_predict(config: Config, run_directory: Path, media: Sequence[Media], model: Model | None) -> None:
    """Finish every video's pieces; ``model`` is needed for judging. Raises UserError.

    In this process decoding, detection and judging run at the same time, each in its threads. Batch transform begins
    when all faces are extracted.
    """
    chosen = config.extraction
    detecting, judging = threads_of(config)
    items: Iterator[Seen | Ended] = iter(())
    by_transform = model is not None and route_of(config) == "transform"
    if model is not None and not by_transform:
        items = saved_crops(run_directory, len(media))
    if "extract" in chosen.stages:
        present = Fetching(region_of(config), kept=chosen.annotate)
        # Crops are what prediction goes on with where it is not done at once.
        faces = VideoFaces(chosen, run_directory, detecting, model is None or by_transform, present)
        items = chain(items, faces.seen(media))
    shown = progress(items, expected_frames(chosen, media), "Frames", "frames", size=frames_in)
    following = Following(run_directory, chosen.max_missed)
    if model is None or by_transform:
        keep(following, ((item, None) for item in shown))
        if model is not None:
            transform(config, run_directory, len(media), model)
        return
    predictor = Predictor.load(str(model.bundle), runtime=config.inference.runtime, threads=judging)
    judged = Judging(predictor, config.inference.batch_size, config.inference.flip).judged(shown)
    keep(following, judged, predictor.classes)


def threads_of(config: Config) -> tuple[int, int]:
    """Threads for detection and for judging. Together they fill the cores that the run may use."""
    count = thread_count(config.trainer.threads)
    detecting = detecting_threads(config.extraction, count)
    return detecting, count if config.extraction.stages == ("predict",) else max(count // 2, 1)


def detecting_threads(config: Extraction, count: int) -> int:
    """Threads for detection, of ``count`` for all.

    Haar takes many times as long as all the rest, YuNet about as long.
    """
    return {"haar": count, "yunet": max(count // 2, 1), "none": 1}[config.detector.kind]


def frames_in(item: Seen | Ended) -> int:
    return len({row["frame"] for row in item.rows}) if isinstance(item, Seen) else 0


def expected_frames(config: Extraction, media: Sequence[Media]) -> int:
    """About how many frames will be sampled, for the time that is left; unreadable videos count as none."""
    total = 0.0
    for item in media:
        if item.kind == "image":
            total += 1
            continue
        try:
            info = open_video(item.path)
        except VideoError:
            continue
        match config.sampling:
            case "interval":
                total += max(info.duration_s * min(config.fps, info.fps or config.fps), 1)
            case "every_n":
                total += max(info.frames / config.every_n, 1)
            case _:
                total += info.frames
    return math.ceil(total)
