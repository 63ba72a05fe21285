"""The figures of monitoring.json as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer.reports.formats import decimals, percent, significant

NAMES = {
    "brightness": "Brightness",
    "sharpness": "Sharpness",
    "face_size": "Face size, pixels",
    "confidence": "Confidence",
    "emotion": "Predicted classes",
}
# The scale of indices ends here, or behind the largest of them: what is called a shift (0.25) is then well to be seen.
LEAST_SCALE = 0.5
BAR, GAP, HEIGHT = 9, 2, 34  # CSS pixels
LOWEST = 0.35  # share of a bin that reaches the top, if none is larger


@dataclass(frozen=True)
class Bin:
    """A bar of a small histogram, in pixels: the batch's share from the bottom, and the baseline's as a line."""

    x: int
    top: float
    height: float
    line: float


@dataclass(frozen=True)
class Drift:
    """A quantity's row; ``scaled`` are index and limits as shares of the scale's length, None without limits."""

    name: str
    psi: float | None
    interval: str
    means: tuple[str, str]
    scaled: dict[str, float] | None
    bins: list[Bin]
    note: str | None


def shown_monitoring(monitoring: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs: figures, class shares, drift and labels; ``monitoring`` is monitoring.json's content."""
    drift = monitoring["drift"]
    limit = monitoring["limits"]["max_psi"]
    scale = max([LEAST_SCALE, limit or 0, *(own["high"] or 0 for own in (drift or {}).values())])
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
        "faces": next((own["faces"] for own in (drift or {}).values()), None),
        "baseline_faces": next((own["baseline"] for own in (drift or {}).values()), None),
        "min_faces": monitoring["limits"]["min_faces"],
        "drift": [drift_row(name, own, scale) for name, own in (drift or {}).items()],
        "limit": limit,
        "limit_scaled": None if limit is None else limit / scale,
        "scale": scale,
        "width": BAR + GAP,
        "bar": BAR,
        "height": HEIGHT,
        "labels": monitoring["labels"],
    }


def drift_row(name: str, own: Mapping[str, Any], scale: float) -> Drift:
    known = own["low"] is not None
    return Drift(
        name=NAMES.get(name, name),
        psi=own["psi"],
        interval=f"{decimals(own['low'])}–{decimals(own['high'])}" if known else "",
        means=(shown_mean(name, own["mean"]), shown_mean(name, own["baseline_mean"])),
        scaled={
            "value": own["psi"] / scale,
            "low": own["low"] / scale,
            "high": own["high"] / scale,
        }
        if known
        else None,
        bins=bins_of(own["shares"], own["baseline_shares"]),
        note=own["note"],
    )


def shown_mean(name: str, value: float | None) -> str:
    """Brightness and confidence in percent, the others as numbers."""
    return percent(value) if name in ("brightness", "confidence") else significant(value)


def bins_of(shares: list[float], baseline: list[float]) -> list[Bin]:
    tallest = max([LOWEST, *shares, *baseline])
    return [
        Bin(
            x=number * (BAR + GAP),
            top=round(HEIGHT * (1 - share / tallest), 1),
            height=round(HEIGHT * share / tallest, 1),
            line=round(HEIGHT * (1 - usual / tallest), 1),
        )
        for number, (share, usual) in enumerate(zip(shares, baseline, strict=True))
    ]
