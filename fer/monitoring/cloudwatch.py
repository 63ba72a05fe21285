"""A batch's metrics for CloudWatch, and alarms on them."""

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fer.aws.client import AwsClient
from fer.errors import ConfigError
from fer.monitoring.drift import QUANTITIES
from fer.monitoring.report import Limits

MAX_DIMENSIONS = 30  # of CloudWatch, a metric
PERIOD_S = 300
MAX_ALARM_NAME, ALARM_HASH = 255, 16  # characters
DRIFT, FAILURES, ACCURACY, MACRO_F1 = "DriftLowerLimit", "FailureShare", "Accuracy", "MacroF1"


def publish_metrics(
    client: AwsClient, monitoring: Mapping[str, Any], namespace: str, dimensions: Mapping[str, str], model: str
) -> None:
    """Send the metrics of a batch with put_metric_data; CloudWatch gives them its own time.

    Fractions are from 0 to 1, as in monitoring.json. ``DriftLowerLimit`` is what alarms look at; like
    ``PopulationStabilityIndex`` it is not sent where there is no verdict. These are some 40 metrics, of 1,000 that a
    request may have.

    Args:
        client: Sends the request.
        monitoring: The content of monitoring.json.
        namespace: CloudWatch's namespace.
        dimensions: Added to every metric.
        model: The dimension `Model`.

    Raises:
        ConfigError: CloudWatch does not take the dimensions.
        CloudError: AWS refuses.
    """
    counts, labels = monitoring["counts"], monitoring["labels"] or {}
    metrics = [
        _build_metric("Videos", counts["videos"], "Count"),
        _build_metric("VideosWithProblems", monitoring["failures"]["videos"], "Count"),
        _build_metric("Frames", counts["frames"], "Count"),
        _build_metric("Faces", counts["faces"], "Count"),
        _build_metric(FAILURES, monitoring["failures"]["share"]),
        _build_metric("ImagesPerSecond", monitoring["images_per_s"], "Count/Second"),
        _build_metric("Confidence", monitoring["confidence"]["mean"]),
        _build_metric("LabelledFaces", labels.get("faces"), "Count"),
        _build_metric(ACCURACY, labels.get("accuracy", {}).get("value")),
        _build_metric(MACRO_F1, labels.get("macro_f1", {}).get("value")),
    ]
    for status, rows in counts["rows"].items():
        metrics.append(_build_metric("Rows", rows, "Count", Status=status))
    for name, share in (monitoring["class_shares"] or {}).items():
        metrics.append(_build_metric("ClassShare", share, Emotion=name))
    for name, drift in (monitoring["drift"] or {}).items():
        if drift["note"] is None:
            metrics.append(_build_metric("PopulationStabilityIndex", drift["psi"], Quantity=name))
            metrics.append(_build_metric(DRIFT, drift["low"], Quantity=name))
    common = _build_common_dimensions(dimensions, model)
    data = [
        {**metric, "Dimensions": _to_name_value_pairs({**common, **metric["Dimensions"]})}
        for metric in metrics
        if metric["Value"] is not None
    ]
    client.request("cloudwatch", "put_metric_data", {"Namespace": namespace, "MetricData": data})


def put_alarms(
    client: AwsClient,
    limits: Limits,
    namespace: str,
    dimensions: Mapping[str, str],
    model: str,
    topic: str | None,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Create or replace an alarm for each limit that is set.

    A batch without the metric, or no batch at all, raises none. An alarm that exists keeps the tags that it has.

    Args:
        client: Sends the requests.
        limits: Beyond which an alarm is raised; None sets none.
        namespace: CloudWatch's namespace.
        dimensions: Those of the metrics.
        model: The dimension `Model`.
        topic: ARN of the SNS topic that an alarm notifies; None notifies nobody.
        tags: Tags of alarms that are created.

    Returns:
        The alarms' names.

    Raises:
        ConfigError: CloudWatch does not take the dimensions.
        CloudError: AWS refuses.
    """
    above, below = "GreaterThanThreshold", "LessThanThreshold"
    specs: list[tuple[str, dict[str, str], str, float | None]] = [
        *((DRIFT, {"Quantity": name}, above, limits.max_psi) for name in QUANTITIES),
        (FAILURES, {}, above, limits.max_failures),
        (ACCURACY, {}, below, limits.min_accuracy),
        (MACRO_F1, {}, below, limits.min_macro_f1),
    ]
    common = _build_common_dimensions(dimensions, model)
    names = []
    for metric, extra, comparison, limit in specs:
        if limit is None:
            continue
        name = build_alarm_name(namespace, [*common.values(), metric, *extra.values()])
        client.request(
            "cloudwatch",
            "put_metric_alarm",
            {
                "AlarmName": name,
                "AlarmDescription": f"Batches classified by {common['Model']}: {metric} against inference.monitor"[
                    :1024
                ],
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": _to_name_value_pairs({**common, **extra}),
                # Of several batches in a period the worst counts.
                "Statistic": "Maximum" if comparison == above else "Minimum",
                "Period": PERIOD_S,
                "EvaluationPeriods": 1,
                "Threshold": limit,
                "ComparisonOperator": comparison,
                "TreatMissingData": "notBreaching",
                "AlarmActions": [topic] if topic else [],
                **({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]} if tags else {}),
            },
        )
        names.append(name)
    return names


def build_alarm_name(namespace: str, words: Sequence[str]) -> str:
    """Return the name of an alarm, which begins with the namespace: the rights to set it go by that.

    Args:
        namespace: CloudWatch's namespace.
        words: What tells the alarm from others; where they are too long, a hash of them stands for their end.
    """
    name = " ".join([namespace, *words])
    if len(name) <= MAX_ALARM_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:ALARM_HASH]
    return f"{name[: MAX_ALARM_NAME - ALARM_HASH - 1]} {digest}"


def _build_metric(name: str, value: float | None, unit: str = "None", **dimensions: str) -> dict[str, Any]:
    return {"MetricName": name, "Value": value, "Unit": unit, "Dimensions": dimensions}


def _build_common_dimensions(dimensions: Mapping[str, str], model: str) -> dict[str, str]:
    """All dimensions that every metric has. Raises ConfigError for those that CloudWatch does not take."""
    check_dimensions(dimensions)
    return {**dimensions, "Model": model.encode("ascii", "backslashreplace").decode()[-1024:]}


def check_dimensions(dimensions: Mapping[str, str]) -> None:
    """Raise ConfigError for dimensions that CloudWatch does not take."""
    # The model, and one of Emotion, Quantity and Status, come beside them.
    if len({*dimensions, "Model"}) > MAX_DIMENSIONS - 1:
        raise ConfigError(
            f"aws.cloudwatch.dimensions: has {len(dimensions)} entries, and CloudWatch takes {MAX_DIMENSIONS - 2} "
            "beside the model and the class; remove some"
        )
    for key, value in dimensions.items():
        for text, most in ((key, 255), (value, 1024)):
            if not text.isascii() or not text.isprintable() or not text.strip() or text[0] == ":" or len(text) > most:
                raise ConfigError(
                    f"aws.cloudwatch.dimensions: {key!r}={value!r} cannot be a dimension; CloudWatch takes printable "
                    "ASCII that does not begin with a colon"
                )


def _to_name_value_pairs(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]
