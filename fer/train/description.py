"""The content of a run's bundle.yaml."""

from typing import Any

from fer.bundle.calibration import CALIBRATION, dump_calibration
from fer.bundle.io import FaceFormat, build_description
from fer.metrics.calibration import Calibration
from fer.models.clip_network import ClipNetwork
from fer.models.network import FaceNetwork
from fer.runs.run_directory import Run
from fer.train.evaluation import summary_metrics
from fer.train.inputs import PreparedData


def build_run_description(
    run: Run,
    data: PreparedData,
    network: FaceNetwork | ClipNetwork,
    calibration: Calibration,
    uncertainty: dict[str, Any],
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Return the content of a run's bundle.yaml, less the hash of the weights.

    Args:
        run: The run.
        data: Its data.
        network: The trained network.
        calibration: How its logits become probabilities.
        uncertainty: The entries on uncertainty.
        metrics: Content of metrics.json.
    """
    facts = {
        CALIBRATION: dump_calibration(calibration),
        "metrics": {split: summary_metrics(metrics[split]) for split in ("val", "test")},
        "data_fingerprint": data.store.fingerprint,
        "config_sha256": run.config_sha256,
        **uncertainty,
    }
    faces = FaceFormat(data.store.side, data.store.colour)
    return build_description(network, data.manifest.classes, faces, calibration.temperature, facts)
