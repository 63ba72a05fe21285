"""SageMaker's model card and model quality report, as JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fer.bundle.model_card import FORBIDDEN_USES, INTENDED_USE, collect_licence_terms
from fer.registry.base import Candidate
from fer.registry.gate import APPROVED, PENDING

CARD_STATUS: dict[str, str] = {APPROVED: "Approved", PENDING: "PendingReview"}
MAX_SHORT_TEXT, MAX_LONG_TEXT = 1024, 2048  # characters that the card's schema allows
LIMITATIONS = (
    "Faces unlike those of the training data: other ages, skin colours, poses, light, resolution. Even annotators "
    "disagree about many faces."
)
RISK = "The model classifies faces of people, and a wrong classification may harm them."
SPLIT_TITLES = {"test": "Test part", "val": "Validation part, on which the epoch was chosen"}


def get_card_status(status: str) -> str:
    """Return the status of the model card for a status of the gate."""
    return CARD_STATUS.get(status, "Draft")


def build_card_content(candidate: Candidate, package_uri: str, image: str) -> str:
    """Return the content of a version's model card, by SageMaker's schema for those of model packages.

    Args:
        candidate: The registered model.
        package_uri: s3:// URI of its model.tar.gz.
        image: Image of the container that serves it.
    """
    description = candidate.description
    # An ensemble says by which data its networks were trained; of a single one the settings do.
    terms = description.get("licence_terms") or collect_licence_terms(
        candidate.settings.get("dataset", {}).get("sources", {})
    )
    content = {
        # Name, version and container are the version's own.
        "model_overview": {"model_artifact": [package_uri]},
        "intended_uses": {
            "purpose_of_model": "The emotion that annotators would see in a face, not what a person feels.",
            "intended_uses": f"{INTENDED_USE}\nNot to be used:\n{FORBIDDEN_USES}"[:MAX_LONG_TEXT],
            "factors_affecting_model_efficiency": LIMITATIONS,
            "risk_rating": "High",
            "explanations_for_risk_rating": RISK,
        },
        "training_details": {
            "training_observations": " ".join(["Trained on:", *terms])[:MAX_SHORT_TEXT],
            "training_job_details": {
                "user_provided_hyper_parameters": [
                    {"name": name, "value": str(value)}
                    for name, value in _collect_hyperparameters(candidate.settings).items()
                ]
            },
        },
        "evaluation_details": [
            _build_evaluation(title, candidate.metrics[split])
            for split, title in SPLIT_TITLES.items()
            if candidate.metrics.get(split)
        ],
        "additional_information": {
            "ethical_considerations": FORBIDDEN_USES[:MAX_LONG_TEXT],
            "caveats_and_recommendations": " ".join(candidate.verdict.reasons)[:MAX_LONG_TEXT],
            "custom_details": {
                name: value[:MAX_SHORT_TEXT]
                for name, value in {
                    "model_description": f"Facial expression of a face: {description['architecture']}, "
                    f"{description['image_size']} pixels, classes {', '.join(description['classes'])}.",
                    "container_image": image,
                    **candidate.build_properties(),
                }.items()
            },
        },
    }
    return json.dumps(content, ensure_ascii=False)


def _collect_hyperparameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a run's sections model, optimizer and trainer, by dotted key."""
    return {
        f"{section}.{key}": value
        for section in ("model", "optimizer", "trainer")
        for key, value in settings.get(section, {}).items()
        if isinstance(value, int | float | str)
    }


def _build_evaluation(title: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of evaluation_details, with intervals as notes."""
    overall = [
        _build_metric(name, metrics[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1") if name in metrics
    ]
    if metrics.get("ece_calibrated") is not None:
        overall.append({"name": "calibration_error", "type": "number", "value": metrics["ece_calibrated"]})
    groups = [{"name": "whole", "metric_data": overall}]
    for name, class_metrics in metrics.get("per_class", {}).items():
        values = [
            _build_metric(key, class_metrics[key])
            for key in ("precision", "recall", "f1")
            if class_metrics[key]["value"] is not None
        ]
        if values:
            groups.append({"name": name, "metric_data": values})
    return {"name": title, "evaluation_observation": f"{metrics['samples']} images.", "metric_groups": groups}


def _build_metric(name: str, interval: Mapping[str, float]) -> dict[str, Any]:
    notes = f"95 % interval {interval['low']:.3f} to {interval['high']:.3f}"
    return {"name": name, "type": "number", "value": interval["value"], "notes": notes}


def build_quality_report(metrics: Mapping[str, Any]) -> str:
    """Return the metrics of the test split, else validation, as SageMaker Model Monitor's multiclass report.

    Args:
        metrics: Content of metrics.json.
    """
    split_metrics = metrics.get("test") or metrics.get("val") or {}
    report: dict[str, Any] = {}
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        if name in split_metrics:
            report[name] = _build_statistic(split_metrics[name]["value"], split_metrics["samples"])
    if "confusion_matrix" in split_metrics:
        classes = list(split_metrics["per_class"])
        counts = np.array(split_metrics["confusion_matrix"])
        report["confusion_matrix"] = {
            true: dict(zip(classes, row, strict=True)) for true, row in zip(classes, counts.tolist(), strict=True)
        }
        class_fractions = counts.sum(1) / counts.sum()
        for key in ("precision", "recall", "f1"):
            values = [split_metrics["per_class"][name][key]["value"] or 0.0 for name in classes]
            report[f"weighted_{key}"] = _build_statistic(float(class_fractions @ values), split_metrics["samples"])
    return json.dumps({"version": 0.0, "multiclass_classification_metrics": report}, indent=2) + "\n"


def _build_statistic(value: float, count: int) -> dict[str, float]:
    """Return a proportion with its standard deviation over ``count`` images."""
    return {"value": value, "standard_deviation": math.sqrt(value * (1 - value) / max(count, 1))}
