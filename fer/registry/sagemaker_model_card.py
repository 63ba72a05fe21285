"""SageMaker's forms of a model's facts: its model card and its quality report, as JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fer.bundle.model_card import FORBIDDEN_USES, INTENDED_USE, licences
from fer.registry.base import Candidate
from fer.registry.gate import APPROVED, PENDING

CARD_STATUS: dict[str, str] = {APPROVED: "Approved", PENDING: "PendingReview"}
SHORT, LONG = 1024, 2048  # longest texts of the schema, characters
LIMITS = (
    "Faces unlike those of the training data: other ages, skin colours, poses, light, resolution. Even annotators "
    "disagree about many faces."
)
RISK = "The model judges faces of people, and a wrong judgement may harm them."
TITLES = {"test": "Test part", "val": "Validation part, on which the epoch was chosen"}


def card_status(status: str) -> str:
    """The model card's status that goes with a verdict."""
    return CARD_STATUS.get(status, "Draft")


def card_content(candidate: Candidate, package: str, image: str) -> str:
    """A card by SageMaker's model card schema; ``package`` is the address of model.tar.gz."""
    about = candidate.description
    sources = candidate.settings.get("dataset", {}).get("sources", {})
    content = {
        "model_overview": {
            "model_name": candidate.name,
            "model_description": f"Facial expression of a face: {about['architecture']}, {about['image_size']} pixels, "
            f"classes {', '.join(about['classes'])}."[:SHORT],
            "algorithm_type": "Convolutional neural network",
            "problem_type": "Multiclass image classification",
            "model_artifact": [package],
            "inference_environment": {"container_image": [image]},
        },
        "intended_uses": {
            "purpose_of_model": "The emotion that annotators would see in a face, not what a person feels.",
            "intended_uses": f"{INTENDED_USE}\nNot to be used:\n{FORBIDDEN_USES}"[:LONG],
            "factors_affecting_model_efficiency": LIMITS,
            "risk_rating": "High",
            "explanations_for_risk_rating": RISK,
        },
        "training_details": {
            "training_observations": " ".join(["Trained on:", *licences(sources)])[:SHORT],
            "training_job_details": {
                "user_provided_hyper_parameters": [
                    {"name": name, "value": str(value)} for name, value in hyper_parameters(candidate.settings).items()
                ]
            },
        },
        "evaluation_details": [
            evaluation(title, candidate.metrics[part]) for part, title in TITLES.items() if candidate.metrics.get(part)
        ],
        "additional_information": {
            "ethical_considerations": FORBIDDEN_USES[:LONG],
            "caveats_and_recommendations": " ".join(candidate.verdict.reasons)[:LONG],
            "custom_details": {name: value[:SHORT] for name, value in candidate.properties().items()},
        },
    }
    return json.dumps(content, ensure_ascii=False)


def hyper_parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a run's optimizer, model and training."""
    return {
        f"{section}.{key}": value
        for section in ("model", "optimizer", "trainer")
        for key, value in settings.get(section, {}).items()
        if isinstance(value, int | float | str)
    }


def evaluation(title: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of evaluation_details, intervals in the notes."""
    whole = [metric(name, figures[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1") if name in figures]
    if figures.get("ece_calibrated") is not None:
        whole.append({"name": "calibration_error", "type": "number", "value": figures["ece_calibrated"]})
    groups = [{"name": "whole", "metric_data": whole}]
    for name, own in figures.get("per_class", {}).items():
        shown = [metric(key, own[key]) for key in ("precision", "recall", "f1") if own[key]["value"] is not None]
        if shown:
            groups.append({"name": name, "metric_data": shown})
    return {"name": title, "evaluation_observation": f"{figures['samples']} images.", "metric_groups": groups}


def metric(name: str, figure: Mapping[str, float]) -> dict[str, Any]:
    notes = f"95 % interval {figure['low']:.3f} to {figure['high']:.3f}"
    return {"name": name, "type": "number", "value": figure["value"], "notes": notes}


def quality(metrics: Mapping[str, Any]) -> str:
    """The figures of the test part, else validation, as SageMaker Model Monitor's multiclass report has them."""
    figures = metrics.get("test") or metrics.get("val") or {}
    found: dict[str, Any] = {}
    for name in ("accuracy", "macro_f1", "balanced_accuracy"):
        if name in figures:
            found[name] = spread(figures[name]["value"], figures["samples"])
    if "confusion_matrix" in figures:
        classes = list(figures["per_class"])
        counts = np.array(figures["confusion_matrix"])
        found["confusion_matrix"] = {
            true: dict(zip(classes, row, strict=True)) for true, row in zip(classes, counts.tolist(), strict=True)
        }
        shares = counts.sum(1) / counts.sum()
        for key in ("precision", "recall", "f1"):
            values = [figures["per_class"][name][key]["value"] or 0.0 for name in classes]
            found[f"weighted_{key}"] = spread(float(shares @ values), figures["samples"])
    return json.dumps({"version": 0.0, "multiclass_classification_metrics": found}, indent=2) + "\n"


def spread(value: float, count: int) -> dict[str, float]:
    """A share and the standard deviation that it has on so many images."""
    return {"value": value, "standard_deviation": math.sqrt(value * (1 - value) / max(count, 1))}
