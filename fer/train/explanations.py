"""What the report of a training shows of where the network looked (``trainer.explain``)."""

import logging

import numpy as np

from fer.config import Config
from fer.core.extras import require_packages
from fer.errors import UserError
from fer.explain.report_maps import FACES_PER_CLASS, average_classes, explain_mistakes
from fer.models.clip_network import ClipNetwork
from fer.models.network import FaceNetwork
from fer.reports.training import ReportExplanations
from fer.train.evaluation import EvaluationResult
from fer.train.report import MAX_ERRORS

log = logging.getLogger(__name__)


def explain_results(
    config: Config, network: FaceNetwork | ClipNetwork, images: np.ndarray, results: dict[str, EvaluationResult]
) -> ReportExplanations | None:
    """Explain the most confident mistakes of the test part, or of validation, and average over faces of each class.

    Args:
        config: The run's configuration; nothing is done without ``trainer.explain``.
        network: The network that was evaluated.
        images: Those of the store, (M, h, w, C) uint8, as the network takes them.
        results: The evaluation of each split.
    """
    result = results.get("test") or results.get("val")
    # Of clips it was refused before anything started.
    if not config.trainer.explain or result is None or not isinstance(network, FaceNetwork):
        return None
    try:
        require_packages("captum", purpose="trainer.explain=true")
    except UserError as error:
        # Weights are there after hours: a report without maps is better than none.
        log.warning("%s", error)
        return ReportExplanations(problem=str(error))
    log.info("Explaining mistakes and classes")
    predicted = result.probabilities.argmax(1)
    target = dict(zip(result.samples.index.tolist(), predicted.tolist(), strict=True))
    rows = [row for row, _ in result.top_errors(MAX_ERRORS)]
    mistakes = explain_mistakes(network, images[rows], [target[row] for row in rows])
    chosen = _choose_recognised(result, predicted)
    return ReportExplanations(
        mistakes=mistakes,
        averages=average_classes(
            network, images[result.samples.index[chosen].to_numpy()], result.labels[chosen].tolist(), result.classes
        ),
    )


def _choose_recognised(result: EvaluationResult, predicted: np.ndarray) -> np.ndarray:
    """Positions of some faces of each class that are recognised, the surest first."""
    confidence = result.probabilities.max(1)
    chosen = []
    for label in range(len(result.classes)):
        right = np.flatnonzero((result.labels == label) & (predicted == label))
        chosen.append(right[np.argsort(-confidence[right], kind="stable")][:FACES_PER_CLASS])
    return np.concatenate(chosen).astype(int)
