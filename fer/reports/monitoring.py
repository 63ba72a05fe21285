"""The content of monitoring.json as the page shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer.reports.formats import decimals, percent, significant

QUANTITY_NAMES = {
    "brightness": "Brightness",
    "sharpness": "Sharpness",
    "face_size": "Face size, pixels",
    "confidence": "Confidence",
    "emotion": "Predicted classes",
}
# The scale of indices ends here, or behind the largest of them, so that what counts as a shift (0.25) is well visible.
MIN_SCALE = 0.5
BAR, GAP, HEIGHT = 9, 2, 34  # CSS pixels
MIN_TOP_FRACTION = 0.35  # fraction of a bin that reaches the top, if none is larger


@dataclass(frozen=True)
class _HistogramBar:
    """A bar of a small histogram, in pixels: the batch's fraction from the bottom, and the baseline's as a line."""

    x: int
    top: float
    height: float
    line: float


@dataclass(frozen=True)
class _DriftRow:
    """A quantity's row; ``scaled`` are index and bounds as fractions of the scale's length, None without bounds."""

    name: str
    psi: float | None
    interval: str
    means: tuple[str, str]
    scaled: dict[str, float] | None
    bins: list[_HistogramBar]
    note: str | None


def build_monitoring_content(monitoring: Mapping[str, Any]) -> dict[str, Any]:
    """Build what the template needs: metrics, class shares, drift and labels of the content of monitoring.json."""
    drift = monitoring["drift"] or {}
    limit = monitoring["limits"]["max_psi"]
    scale = max([MIN_SCALE, limit or 0, *(result["high"] or 0 for result in drift.values())])
    shares, baseline_shares = monitoring["class_shares"], monitoring["baseline_class_shares"]
    return {
        "warnings": monitoring["warnings"],
        "counts": monitoring["counts"],
        "failures": monitoring["failures"],
        "images_per_s": monitoring["images_per_s"],
        "confidence": monitoring["confidence"]["mean"],
        "deciles": monitoring["confidence"]["deciles"],
        "classes": [
            {"emotion": name, "share": share, "baseline": (baseline_shares or {}).get(name)}
            for name, share in (shares or {}).items()
        ],
        "baseline": monitoring["baseline"],
        "faces": next((result["faces"] for result in drift.values()), None),
        "baseline_faces": next((result["baseline"] for result in drift.values()), None),
        "min_faces": monitoring["limits"]["min_faces"],
        "drift": [_build_drift_row(name, result, scale) for name, result in drift.items()],
        "limit": limit,
        "limit_scaled": None if limit is None else limit / scale,
        "scale": scale,
        "width": BAR + GAP,
        "bar": BAR,
        "height": HEIGHT,
        "labels": monitoring["labels"],
    }


def _build_drift_row(name: str, drift: Mapping[str, Any], scale: float) -> _DriftRow:
    known = drift["low"] is not None
    return _DriftRow(
        name=QUANTITY_NAMES.get(name, name),
        psi=drift["psi"],
        interval=f"{decimals(drift['low'])}–{decimals(drift['high'])}" if known else "",
        means=(_format_mean(name, drift["mean"]), _format_mean(name, drift["baseline_mean"])),
        scaled={
            "value": drift["psi"] / scale,
            "low": drift["low"] / scale,
            "high": drift["high"] / scale,
        }
        if known
        else None,
        bins=build_bins(drift["shares"], drift["baseline_shares"]),
        note=drift["note"],
    )


def _format_mean(name: str, value: float | None) -> str:
    """Brightness and confidence in percent, the others as numbers."""
    return percent(value) if name in ("brightness", "confidence") else significant(value)


def build_bins(fractions: list[float], baseline: list[float]) -> list[_HistogramBar]:
    """Build the bars of a histogram: the batch's fractions of bins beside the baseline's."""
    tallest = max([MIN_TOP_FRACTION, *fractions, *baseline])
    return [
        _HistogramBar(
            x=number * (BAR + GAP),
            top=round(HEIGHT * (1 - fraction / tallest), 1),
            height=round(HEIGHT * fraction / tallest, 1),
            line=round(HEIGHT * (1 - reference / tallest), 1),
        )
        for number, (fraction, reference) in enumerate(zip(fractions, baseline, strict=True))
    ]
