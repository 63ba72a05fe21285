"""The sections of a training's report on groups, kinds of pictures, corruptions and labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer.reports.colors import FIRST_CURVE, MUTED, SECOND_CURVE
from fer.reports.formats import percent
from fer.reports.svg import create_axes, house_style, render_svg

_SPLITS = {"test": "test", "val": "validation"}
_TITLES = {
    "brightness": "Brightness, 0 to 1",
    "contrast": "Contrast, standard deviation, 0 to 0.5",
    "sharpness": "Sharpness, variance of the Laplacian at 48 pixels",
    "face_size": "Face size in the data set, pixels",
    "pose": "Turn of the head, degrees",
    "gaussian_blur": "Blur",
    "gaussian_noise": "Noise",
    "jpeg": "JPEG",
    "brighter": "Brighter",
    "darker": "Darker",
    "low_resolution": "Low resolution",
    "occlusion": "Occlusion",
    "shift": "Shift",
    "scale": "Scale",
    "rotation": "Rotation",
}
_KINDS = {"corruptions": "Corrupted pictures", "jitter": "Faces cropped otherwise"}


def build_audit_sections(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Build what the template ``audit.html.j2`` shows.

    Args:
        metrics: The content of metrics.json; sections without figures are left out.

    Returns:
        ``groupings``, ``robustness`` and ``label_issues``, of the test part where there is one.
    """
    split = next((name for name in _SPLITS if metrics.get(name)), None)
    figures = metrics[split] if split else {}
    groupings = [
        {
            "anchor": anchor,
            "title": title,
            "entries": [(_TITLES.get(name, name.capitalize()), entry) for name, entry in figures[key].items()],
            "left_out": [(_TITLES[name], why) for name, why in figures.get("slices_left_out", {}).items()]
            if key == "slices"
            else [],
        }
        for key, anchor, title in (("groups", "groups", "Groups"), ("slices", "slices", "Kinds of pictures"))
        if key in figures
    ]
    return {
        "split": _SPLITS.get(split or "", ""),
        "groupings": groupings,
        "robustness": _build_robustness(figures["robustness"]) if "robustness" in figures else None,
        "label_issues": metrics.get("label_issues"),
    }


def _build_robustness(figures: Mapping[str, Any]) -> dict[str, Any]:
    clean = figures["clean"]["accuracy"]["value"]
    return {
        "samples": figures["samples"],
        "clean": figures["clean"],
        "kinds": [
            {
                "title": title,
                "mean": figures[f"mean_{key}_accuracy"],
                "relative": figures[f"relative_{key}_accuracy"],
                "rows": [(_TITLES[name], row) for name, row in figures[key].items()],
                "curves": [
                    (_TITLES[name], row["unit"], _draw_curve(name, row, clean)) for name, row in figures[key].items()
                ],
            }
            for key, title in _KINDS.items()
        ],
    }


@house_style
def _draw_curve(name: str, row: Mapping[str, Any], clean: float) -> Markup:
    """Draw accuracy, with its interval, and balanced accuracy by severity, and the accuracy of clean pictures."""
    figure, axes = create_axes(300, 170, left=52, right=8, top=8, bottom=38)
    positions = np.arange(1, len(row["levels"]) + 1)
    axes.axhline(clean, color=MUTED, linewidth=1.25, linestyle=(0, (1, 2)))
    low, high = ([_to_float(value[end]) for value in row["accuracy"]] for end in ("low", "high"))
    axes.fill_between(positions, low, high, color=FIRST_CURVE, alpha=0.18, linewidth=0)
    for metric, colour in (("balanced_accuracy", SECOND_CURVE), ("accuracy", FIRST_CURVE)):
        values = [_to_float(value["value"]) for value in row[metric]]
        axes.plot(positions, values, color=colour, marker="o", markersize=4, markeredgewidth=0, clip_on=False)
    axes.set_xlim(0.75, len(positions) + 0.25)
    axes.set_ylim(0, 1)
    axes.set_xticks(positions, [f"{level:g}" for level in row["levels"]])
    axes.set_xlabel(row["unit"])
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.0f} %"))
    axes.grid(visible=True, axis="y")
    axes.spines["left"].set_visible(False)
    steps = (
        f"{level:g}: {percent(value['value'])}" for level, value in zip(row["levels"], row["accuracy"], strict=True)
    )
    alt = f"{_TITLES[name]}, {row['unit']}: accuracy {', '.join(steps)}; without it {percent(clean)}."
    return render_svg(figure, f"robustness-{name}", alt)


def _to_float(value: float | None) -> float:
    return np.nan if value is None else float(value)
