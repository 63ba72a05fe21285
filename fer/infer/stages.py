"""The stages extract and predict of infer.py: faces of videos, and their probabilities."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from fer.config import Config, Extraction, SageMakerAws
from fer.core.progress import track_progress
from fer.core.system import resolve_thread_count
from fer.infer.classify import BatchClassifier, iter_pending_crops, write_chunks
from fer.infer.extract import FaceExtractor, FrameFaces, VideoEnd
from fer.infer.inputs import MediaFetcher
from fer.infer.track_ids import TrackAssigner
from fer.infer.transform.stage import run_batch_transform
from fer.registry.resolve import ResolvedModel, get_region
from fer.serving import Predictor
from fer.video.media import Media
from fer.video.reader import VideoError, open_video


def resolve_route(config: Config) -> str:
    """Process or transform."""
    if config.inference.route != "auto":
        return config.inference.route
    return "transform" if isinstance(config.aws, SageMakerAws) else "process"


def extract_and_predict(
    config: Config, run_directory: Path, media: Sequence[Media], model: ResolvedModel | None
) -> None:
    """Finish every video's pieces; ``model`` is needed for judging. Raises UserError.

    In this process decoding, detection and judging run at the same time, each in its threads. Batch transform begins
    when all faces are extracted.
    """
    cfg = config.extraction
    detector_threads, classifier_threads = split_threads(config)
    items: Iterator[FrameFaces | VideoEnd] = iter(())
    by_transform = model is not None and resolve_route(config) == "transform"
    if model is not None and not by_transform:
        items = iter_pending_crops(run_directory, len(media))
    if "extract" in cfg.stages:
        fetcher = MediaFetcher(get_region(config), kept=cfg.annotate)
        # Crops are what prediction goes on with where it is not done at once.
        extractor = FaceExtractor(cfg, run_directory, detector_threads, model is None or by_transform, fetcher)
        items = chain(items, extractor.extract(media))
    shown = track_progress(items, estimate_frames(cfg, media), "Frames", "frames", size=count_frames)
    assigner = TrackAssigner(run_directory, cfg.max_missed)
    if model is None or by_transform:
        write_chunks(assigner, ((item, None) for item in shown))
        if model is not None:
            run_batch_transform(config, run_directory, len(media), model)
        return
    predictor = Predictor.load(str(model.bundle), runtime=config.inference.runtime, threads=classifier_threads)
    classified = BatchClassifier(predictor, config.inference.batch_size, config.inference.flip).classify(shown)
    write_chunks(assigner, classified, predictor.classes)


def split_threads(config: Config) -> tuple[int, int]:
    """Threads for detection and for judging. Together they fill the cores that the run may use."""
    count = resolve_thread_count(config.trainer.threads)
    detector_threads = count_detector_threads(config.extraction, count)
    return detector_threads, count if config.extraction.stages == ("predict",) else max(count // 2, 1)


def count_detector_threads(config: Extraction, count: int) -> int:
    """Threads for detection, of ``count`` for all.

    Haar takes many times as long as all the rest, YuNet about as long.
    """
    return {"haar": count, "yunet": max(count // 2, 1), "none": 1}[config.detector.kind]


def count_frames(item: FrameFaces | VideoEnd) -> int:
    return len({row["frame"] for row in item.rows}) if isinstance(item, FrameFaces) else 0


def estimate_frames(config: Extraction, media: Sequence[Media]) -> int:
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
