"""Types and ranges of those figures of a metrics.json, or of a bundle.yaml, by which models are judged and shown."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class _Interval(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    value: Share | None
    low: Share | None = None
    high: Share | None = None
    samples: Count | None = None


class _Worst(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    group: str
    value: Share


class _Grouping(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    worst: _Worst | None


class _ClassMetrics(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    samples: Count
    precision: _Interval
    recall: _Interval
    f1: _Interval


class _Split(TypedDict, total=False):
    samples: Count
    accuracy: _Interval | Share | None
    balanced_accuracy: _Interval | Share | None
    macro_f1: _Interval | Share | None
    ece_calibrated: Share | None
    per_class: dict[str, _ClassMetrics]
    recall: dict[str, _Interval]
    groups: dict[str, _Grouping] | None


class _Metrics(TypedDict, total=False):
    test: _Split | None
    val: _Split | None
    weights_sha256: str


_ADAPTER = TypeAdapter(_Metrics)


def check_metrics(metrics: Mapping[str, Any]) -> None:
    """Check the figures that others rely on; further ones may be anything.

    Args:
        metrics: The content of metrics.json, or the entry `metrics` of a bundle.yaml.

    Raises:
        ValueError: A figure has a wrong type, or is no share where it must be one.
    """
    try:
        _ADAPTER.validate_python(dict(metrics))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
