"""How a training's configuration says that faces of clips are extracted."""

import json
from typing import Any

from fer.config import Config
from fer.core.system import resolve_thread_count
from fer.data.clips.extraction import ClipOptions
from fer.data.image_store import ImageStore
from fer.data.sources import Source
from fer.runs.detector_choice import build_detector, pin_detector
from fer.video.detectors import make_detector


def pin_clip_detector(config: Config) -> Config:
    """Choose the detector where faces of video clips are to be found, so that run.yaml names it.

    Args:
        config: The configuration; what needs no detector is returned as it is.

    Raises:
        PreconditionError: The detector's weights have another SHA-256 than the configuration asks for.
        ModelError: They cannot be had.
    """
    if not _needs_detector(config):
        return config
    extraction, _ = pin_detector(config.extraction, is_drawn=False)
    return config.model_copy(update={"extraction": extraction})


def _needs_detector(config: Config) -> bool:
    return any(source.kind == "clips" for source in config.dataset.sources.values())


def build_clip_options(config: Config) -> ClipOptions:
    """Build the options of a configuration's clips. Raises as ``pin_clip_detector``."""
    cfg, extraction = config.dataset.clips, pin_clip_detector(config).extraction
    found = _needs_detector(config)
    facts: dict[str, Any] = extraction.detector.model_dump(exclude={"weights"}) if found else {"kind": "none"}
    if facts.get("runtime") == "opencv":
        # Stores of clips that were made before there was a choice are still found.
        del facts["runtime"]
    return ClipOptions(
        fps=cfg.fps,
        min_frames=cfg.min_frames,
        max_side=cfg.max_side,
        max_missed=cfg.max_missed,
        detector=json.dumps(facts, sort_keys=True),
        make_detector=(lambda: build_detector(extraction)) if found else (lambda: make_detector("none")),
        margin=facts.get("margin"),
        align=bool(facts.get("align")),
        threads=resolve_thread_count(config.trainer.threads),
    )


def describe_people(sources: list[Source], store: ImageStore) -> list[str]:
    """Say of each source how many of its clips show more than one person; nothing of images."""
    if store.clips is None:
        return []
    people = iter(store.index["people"] > 1)
    counts = {source.name: sum(next(people) for _ in range(len(source.table))) for source in sources}
    return [
        f"{name}: {count} clips show several people; the one who is seen in most frames is taken"
        for name, count in counts.items()
        if count
    ]
