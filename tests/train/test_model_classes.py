"""A model on data with other classes than its own: which images count, and what is said."""

import numpy as np
import pandas as pd
import pytest

from fer.config.compose import load_overrides
from fer.data.manifest import Manifest
from fer.data.sources.base import VOTE_COLUMNS
from fer.emotions import CONTEMPT, EMOTIONS
from fer.errors import DataError, UserError
from fer.metrics.calibration import Calibration
from fer.models.network import FaceNetwork
from fer.train.evaluation import EvaluationResult, evaluate
from fer.train.model_classes import check_protocol_classes, describe_other_classes
from fer.train.trainer import build_splits
from tests.helpers.networks import SMALL, faces, lively

EIGHT = (*EMOTIONS, CONTEMPT)


def manifest(labels: list[str], classes: tuple[str, ...]) -> Manifest:
    samples = pd.DataFrame(
        {
            "sample_id": [f"a/{number}" for number in range(len(labels))],
            "source": "a",
            "split": "test",
            "label": labels,
            "duplicate_group": range(len(labels)),
            **dict.fromkeys(VOTE_COLUMNS, np.nan),
        }
    )
    return Manifest(samples, samples.head(0), classes)


def judge(labels: list[str], data: tuple[str, ...], model: tuple[str, ...]) -> tuple[EvaluationResult, list[str]]:
    network = lively(FaceNetwork(SMALL, len(model), 32, 0.0))
    images = np.stack([face.mean(-1, keepdims=True).astype(np.uint8) for face in faces(len(labels), 32)])
    table = manifest(labels, data)
    results, _ = evaluate(network, images, table, ["val", "test"], Calibration(1.0), model)
    return results["test"], describe_other_classes(model, table, results)


def test_images_of_a_class_that_the_model_lacks_are_left_out() -> None:
    labels = [*EMOTIONS, CONTEMPT, CONTEMPT, "anger"]
    with_them, lines = judge(labels, EIGHT, EMOTIONS)
    assert with_them.samples["label"].tolist() == [*EMOTIONS, "anger"]
    right = int((with_them.probabilities.argmax(1) == with_them.labels).sum())
    assert lines == [
        "The model has no such class, so these test images are left out of all figures: 2 of contempt. Counted as "
        f"mistakes, accuracy would be {right / 10:.4f}."
    ]
    # As the data without them are evaluated.
    assert with_them.metrics()["per_class"].keys() == set(EMOTIONS)


def test_a_class_without_images_is_only_ever_a_mistake() -> None:
    result, lines = judge(list(EMOTIONS), EMOTIONS, EIGHT)
    metrics = result.metrics()
    assert len(metrics["confusion_matrix"]) == 8
    assert metrics["per_class"][CONTEMPT]["samples"] == 0
    assert metrics["per_class"][CONTEMPT]["recall"]["value"] is None
    assert metrics["samples"] == 7
    assert [line[:40] for line in lines] == ["The test part has no image of contempt: "]


def test_data_without_any_class_of_the_model_are_refused() -> None:
    with pytest.raises(DataError, match="no image to evaluate is of a class that the model has: anger, disgust"):
        judge([CONTEMPT], EIGHT, EMOTIONS)


def test_a_protocol_wants_a_model_of_its_classes() -> None:
    config = load_overrides(["evaluation.protocol=ferplus8", "model_uri=RUN"], "infer")
    check_protocol_classes(config, EIGHT)
    with pytest.raises(UserError, match=r"ferplus8 is of 8 classes, and model_uri=RUN has 7; take the protocol"):
        check_protocol_classes(config, EMOTIONS)
    check_protocol_classes(load_overrides([]), EMOTIONS)


def test_a_training_gets_no_test_image() -> None:
    table = manifest(["anger"] * 9, EMOTIONS)
    table.samples["split"] = np.repeat(["train", "val", "test"], 3)
    table.samples["weight"] = 1.0
    for name in EMOTIONS:
        table.samples[f"target_{name}"] = float(name == "anger")
    rows = [split.rows.tolist() for split in build_splits(table)]
    assert rows == [[0, 1, 2], [3, 4, 5]]
