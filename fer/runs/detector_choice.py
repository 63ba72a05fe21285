"""Which detector a run takes: the choice of `extraction.detector.kind=auto`, and the file of its weights."""

import logging
from pathlib import Path
from typing import Any

from fer.config import Extraction
from fer.config.extraction import AutoDetector, HaarDetector, YuNetDetector
from fer.core.io import compute_sha256
from fer.errors import ModelError, PreconditionError
from fer.video.detectors import Detector, make_detector
from fer.video.detectors import YuNetDetector as YuNet
from fer.video.detectors.yunet import choose_runtime, find_cached_weights, find_weights

# Without a network the choice must not keep anybody waiting; the file has 233 kB.
MAX_FETCH_SECONDS = 5.0
log = logging.getLogger(__name__)


def pin_detector(config: Extraction, is_drawn: bool | None = None) -> tuple[Extraction, dict[str, Any]]:
    """Choose the detector, so that run.yaml names it and a replay takes the same.

    Args:
        config: Section `extraction`.
        is_drawn: Whether it is for a drawn clip alone; None takes it from the section's input.

    Returns:
        The section with a detector and a runtime that are no longer ``auto``, and with the SHA-256 of its weights; and
        what provenance.json says of it: ``kind``, ``weights``, ``weights_sha256`` and ``warning``.

    Raises:
        PreconditionError: The weights have another SHA-256 than the configuration asks for.
        ModelError: There are no weights, and the configuration leaves no choice.
    """
    weights, warning, detector = None, None, config.detector
    if isinstance(detector, AutoDetector):
        try:
            weights = _find_auto_weights(config, detector, is_drawn)
        except ModelError as error:
            if detector.weights is not None:
                # A file that was named is wanted.
                raise
            warning = (
                f"extraction.detector.kind=auto: faces are found by Haar, which overlooks those that are turned or "
                f"partly hidden, because {error}"
            )
            log.warning("%s", warning)
            detector = HaarDetector(kind="haar", min_size=detector.min_size, margin=detector.margin)
        else:
            detector = YuNetDetector(kind="yunet", **detector.model_dump(exclude={"kind"}))
    elif isinstance(detector, YuNetDetector):
        weights = fetch_detector_weights(config)
    facts = {"kind": detector.kind, "weights": weights and str(weights), "weights_sha256": None, "warning": warning}
    if isinstance(detector, YuNetDetector) and weights is not None:
        facts["weights_sha256"] = compute_sha256(weights)
        runtime = choose_runtime(weights) if detector.runtime == "auto" else detector.runtime
        detector = detector.model_copy(update={"weights_sha256": facts["weights_sha256"], "runtime": runtime})
    return config.model_copy(update={"detector": detector}), facts


def _find_auto_weights(config: Extraction, detector: AutoDetector, is_drawn: bool | None) -> Path:
    """YuNet's file. Raises ModelError, for a drawn clip without a try: infer.py alone downloads nothing."""
    cache = Path(config.cache_dir)
    if is_drawn is None:
        is_drawn = config.input is None and config.study is None
    if is_drawn and detector.weights is None and find_cached_weights(cache) is None:
        raise ModelError(
            f"{cache} does not hold YuNet's weights, which are not downloaded for a drawn clip; name videos with "
            "extraction.input=…, or choose extraction.detector.kind=haar"
        )
    return find_weights(detector.weights, cache, max_seconds=MAX_FETCH_SECONDS)


def find_landmark_detector(config: Extraction) -> YuNet | None:
    """YuNet for what needs eye points beside the detection: nothing is downloaded, and None says it is not at hand.

    Raises:
        ModelError: The file that the configuration names cannot be used.
    """
    section = config.detector if isinstance(config.detector, AutoDetector | YuNetDetector) else None
    cache = Path(config.cache_dir)
    weights = find_weights(section.weights, cache) if section and section.weights else find_cached_weights(cache)
    # Runs that were saved before there was a choice have figures that OpenCV computed.
    runtime = section.runtime if section else "opencv"
    return None if weights is None else YuNet(weights, min_score=0.5, runtime=runtime)


def fetch_detector_weights(config: Extraction) -> Path | None:
    """The file of the detector's weights, downloaded if need be; None where it has none.

    Raises:
        PreconditionError: It has another SHA-256 than the configuration asks for.
        ModelError: It cannot be had.
    """
    detector = config.detector
    if not isinstance(detector, YuNetDetector):
        return None
    path, wanted = find_weights(detector.weights, Path(config.cache_dir)), detector.weights_sha256
    if wanted is not None and (digest := compute_sha256(path)) != wanted:
        raise PreconditionError(
            f"extraction.detector.weights={path}: has the SHA-256 {digest}, but extraction.detector.weights_sha256 "
            f"asks for {wanted}; name the file that has it (extraction.detector.weights=FILE), or take this one with "
            "extraction.detector.weights_sha256=null"
        )
    return path


def build_detector(config: Extraction) -> Detector:
    """Make the detector of a section of ``pin_detector``. Raises ModelError."""
    options = config.detector.model_dump(exclude={"margin", "align", "weights_sha256"})
    if weights := fetch_detector_weights(config):
        options |= {"weights": weights, "every_face": config.faces == "all"}
    return make_detector(**options)
