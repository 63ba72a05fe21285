"""The content of a SageMaker model card: the keys and lengths of its JSON schema that moto does not check."""

import json
from typing import Any

from moto.sagemaker.exceptions import ValidationError

ANY = 100_000  # characters of a whole card
OVERVIEW = {"model_id": 1024, "model_name": 1024, "model_description": 1024, "model_creator": 1024, "model_owner": 1024}
USES = ("purpose_of_model", "intended_uses", "factors_affecting_model_efficiency", "explanations_for_risk_rating")
# Longest text of each key of each section.
SECTIONS: dict[str, dict[str, int]] = {
    "model_overview": {
        **OVERVIEW,
        **dict.fromkeys(
            ("model_version", "problem_type", "algorithm_type", "model_artifact", "inference_environment"), ANY
        ),
    },
    "intended_uses": {**dict.fromkeys(USES, 2048), "risk_rating": ANY},
    "business_details": dict.fromkeys(("business_problem", "business_stakeholders", "line_of_business"), 2048),
    "training_details": {"objective_function": ANY, "training_observations": 1024, "training_job_details": ANY},
    "additional_information": {
        **dict.fromkeys(("ethical_considerations", "caveats_and_recommendations"), 2048),
        "custom_details": ANY,
    },
    "model_package_details": {},  # not looked into
}
EVALUATION = {"name", "evaluation_observation", "evaluation_job_arn", "datasets", "metadata", "metric_groups"}
METRICS = {"number", "string", "boolean", "linear_graph", "bar_chart", "matrix"}
RISKS = {"High", "Medium", "Low", "Unknown"}


# What the schema of a model package's own card has of the overview; details of the package it has none.
PACKAGE_OVERVIEW = {"model_creator", "model_artifact"}


def check_package_card(card: dict[str, str]) -> None:
    """Refuse the card of a model package that is not of the simplified schema."""
    if (text := card.get("ModelCardContent")) is None:
        return
    check_card(text)
    content = json.loads(text)
    refuse("model_package_details" in content, "#: extraneous key [model_package_details] is not permitted")
    for key in set(content.get("model_overview", {})) - PACKAGE_OVERVIEW:
        refuse(True, f"#/model_overview: extraneous key [{key}] is not permitted")


def check_card(content: str) -> None:
    """Refuse a card that is not of the schema."""
    try:
        card = json.loads(content)
    except ValueError:
        raise ValidationError("Model card content is not valid JSON") from None
    if not isinstance(card, dict):
        raise ValidationError("Model card content is not a JSON object")
    for name, section in card.items():
        if name == "evaluation_details":
            for evaluation in section:
                check_evaluation(evaluation)
            continue
        known = SECTIONS.get(name, {})
        refuse(name not in SECTIONS, f"#: extraneous key [{name}] is not permitted")
        for key, value in section.items() if name != "model_package_details" else ():
            refuse(key not in known, f"#/{name}: extraneous key [{key}] is not permitted")
            check_text(f"#/{name}/{key}", value, known[key])
    uses = card.get("intended_uses", {})
    refuse(uses.get("risk_rating", "Unknown") not in RISKS, "#/intended_uses/risk_rating: is not a valid enum value")
    for key, value in card.get("additional_information", {}).get("custom_details", {}).items():
        refuse(not isinstance(value, str), f"#/additional_information/custom_details/{key}: expected type: String")
        check_text(f"#/additional_information/custom_details/{key}", value, 1024)


def check_evaluation(evaluation: dict[str, Any]) -> None:
    place = "#/evaluation_details"
    refuse("name" not in evaluation, f"{place}: required key [name] not found")
    for key in set(evaluation) - EVALUATION:
        refuse(True, f"{place}: extraneous key [{key}] is not permitted")
    check_text(f"{place}/evaluation_observation", evaluation.get("evaluation_observation", ""), 2096)
    for group in evaluation.get("metric_groups", []):
        refuse(
            "name" not in group or "metric_data" not in group, f"{place}/metric_groups: name or metric_data not found"
        )
        for metric in group["metric_data"]:
            lacking = {"name", "type", "value"} - set(metric)
            refuse(bool(lacking), f"{place}/metric_data: required key {sorted(lacking)} not found")
            refuse(metric["type"] not in METRICS, f"{place}/metric_data/type: is not a valid enum value")
            number = isinstance(metric["value"], int | float) and not isinstance(metric["value"], bool)
            refuse(metric["type"] == "number" and not number, f"{place}/metric_data/value: expected type: Number")


def check_text(place: str, value: Any, longest: int) -> None:
    if isinstance(value, str):
        refuse(len(value) > longest, f"{place}: expected maxLength: {longest}, actual: {len(value)}")


def refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise ValidationError(f"Model card content does not match the schema: {why}")
