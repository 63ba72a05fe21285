"""Where the model looked at the strongest moments of videos (``extraction.explain``)."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fer.bundle.io import load_bundle, require_face_network
from fer.config import Config
from fer.core.run_layout import PARTS_DIR
from fer.errors import ModelError
from fer.explain.report_maps import MomentExplainer
from fer.infer.monitoring import MODEL
from fer.registry.resolve import fetch_model, pin_model_uri
from fer.reports.video_content import EmotionFigures, Peak, PersonFigures, VideoPage

log = logging.getLogger(__name__)


def explain_moments(
    config: Config, run_directory: Path, pages: Sequence[VideoPage]
) -> tuple[list[VideoPage], str | None]:
    """Add a Grad-CAM of its emotion to every strongest moment of which there is a picture.

    Args:
        config: The configuration of infer.py.
        run_directory: The run, where a model that comes in a package is unpacked.
        pages: What the report shows of each video.

    Returns:
        The pages, and why there are no maps where the architecture allows none.

    Raises:
        UserError: The model cannot be fetched again.
    """
    bundle = load_bundle(str(fetch_model(pin_model_uri(config), run_directory / PARTS_DIR / MODEL).bundle))
    try:
        network = require_face_network(bundle, "extraction.explain=true")
        explainer = MomentExplainer(network, bundle.description.faces)
    except ModelError as error:
        log.warning("%s", error)
        return list(pages), f"Strongest moments are not explained. {error}"
    classes = bundle.description.classes

    def explain_peak(peak: Peak) -> Peak:
        if peak.image is None or peak.emotion not in classes:
            return peak
        return replace(peak, explanation=explainer.draw(peak.image, classes.index(peak.emotion)))

    def explain_figures(figures: EmotionFigures) -> EmotionFigures:
        return replace(figures, peaks=[explain_peak(peak) for peak in figures.peaks])

    def explain_person(person: PersonFigures) -> PersonFigures:
        raw = None if person.raw is None else explain_figures(person.raw)
        return replace(person, smoothed=explain_figures(person.smoothed), raw=raw)

    return [replace(page, persons=[explain_person(person) for person in page.persons]) for page in pages], None
