"""The stages extract and predict of infer.py: from videos to finished chunks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fer.bundle.predictor import ClipPredictor, Predictor
from fer.config import Config
from fer.core.progress import track_progress
from fer.core.system import resolve_thread_count
from fer.infer.classify import BatchClassifier, write_chunks
from fer.infer.covering import keeps_pictures
from fer.infer.device import InferencePlan, load_predictor
from fer.infer.extract import (
    FaceExtractor,
    FrameFaces,
    VideoEnd,
    count_detector_threads,
)
from fer.infer.frame_counts import count_frames, estimate_frames
from fer.infer.inputs import MediaFetcher
from fer.infer.route import uses_transform
from fer.infer.saved_crops import insert_pending_crops
from fer.infer.shares import list_numbers
from fer.infer.track_ids import TrackAssigner
from fer.infer.transform.stage import run_batch_transform
from fer.infer.window_classifier import WindowClassifier
from fer.infer.windows import WindowFormat, compute_reach
from fer.registry.resolve import ResolvedModel, get_region
from fer.video.media import Media


def extract_and_predict(
    config: Config,
    run_directory: Path,
    media: Sequence[Media],
    model: ResolvedModel | None,
    window: WindowFormat | None = None,
) -> InferencePlan | None:
    """Finish the chunks of every video.

    In this process decoding, detection and classification run at the same time, each in its threads. Batch transform
    begins when all faces are extracted.

    Args:
        config: The configuration, whose stages are done.
        run_directory: The run, whose finished chunks stay.
        media: What it looks at.
        model: The model; None where faces are only extracted.
        window: What the model looks at where it is a temporal one.

    Returns:
        How faces were classified in this process; None where they were not.

    Raises:
        UserError: Something that a user can correct.
    """
    cfg = config.extraction
    own = [media[number] for number in list_numbers(cfg, len(media))]
    detector_threads, classifier_threads = split_threads(config)
    by_transform = model is not None and uses_transform(config)
    classifies_here = model is not None and not by_transform
    context_s = 0.0 if window is None else compute_reach(window)[0]
    items: Iterator[FrameFaces | VideoEnd] = iter(())
    if "extract" in cfg.stages:
        fetcher = MediaFetcher(get_region(config), keep=cfg.annotate)
        # Without classification in this process, what comes after starts from saved crops.
        extractor = FaceExtractor(cfg, run_directory, detector_threads, not classifies_here, fetcher, context_s)
        items = extractor.extract(media)
    if classifies_here:
        items = insert_pending_crops(run_directory, range(len(media)), items, context_s)
    items = track_progress(items, estimate_frames(cfg, own), "Frames", "frames", size=count_frames)
    assigner = TrackAssigner(run_directory, cfg.max_missed)
    if model is None or by_transform:
        write_chunks(assigner, ((item, None) for item in items))
        if model is not None:
            run_batch_transform(config, run_directory, len(media), model)
        return None
    predictor, plan = load_predictor(str(model.bundle), config.inference, classifier_threads)
    classifier = build_classifier(predictor, plan.batch_size, config, assigner)
    write_chunks(
        assigner, classifier.classify(items), predictor.columns, cfg.smoothing, pictures=keeps_pictures(config)
    )
    return plan


def build_classifier(
    predictor: Predictor, batch_size: int, config: Config, assigner: TrackAssigner
) -> BatchClassifier | WindowClassifier:
    """What classifies the faces of a run: one by one, or with a temporal model by windows over their tracks."""
    window = predictor.description.temporal
    if window is None:
        return BatchClassifier(predictor, batch_size, config.inference.flip)
    assert isinstance(predictor, ClipPredictor)
    return WindowClassifier(
        predictor, window, batch_size, config.inference.flip, config.extraction.max_missed, assigner
    )


def split_threads(config: Config) -> tuple[int, int]:
    """Threads for detection and for classification. Together they fill the cores that the run may use."""
    count = resolve_thread_count(config.trainer.threads)
    detector_threads = count_detector_threads(config.extraction, count)
    return detector_threads, count if config.extraction.stages == ("predict",) else max(count // 2, 1)
