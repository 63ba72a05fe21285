"""Numbers, pictures, colours and figures that the pages are made of."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import fer.reports
from fer.reports import figures, formats
from fer.reports.colors import CSS_OF_STAND_IN, EMOTION_COLOURS, emotion_colour
from fer.reports.images import png_data_uri

STYLE = (Path(fer.reports.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#\w{6});", block))
    for block in re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)[:2]
)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast(theme: dict[str, str]) -> None:
    for text, ground in [
        ("ink", "paper"),
        ("muted", "paper"),
        ("link", "paper"),
        ("ink", "notice"),
        ("ink", "tile"),
        ("muted", "tile"),  # zeros of a confusion matrix
        ("ink", "matrix"),  # its fullest cell
    ]:
        assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
    for curve in ("first-curve", "second-curve", "muted"):
        assert contrast(theme[curve], theme["paper"]) >= 3, curve
    for emotion, colour in EMOTION_COLOURS.items():
        assert contrast(colour, theme["paper"]) >= 3, emotion


def test_each_emotion_has_its_own_colour() -> None:
    assert len(EMOTION_COLOURS) == len(set(EMOTION_COLOURS.values())) == 8
    assert emotion_colour("boredom") == EMOTION_COLOURS["neutral"]


def test_numbers() -> None:
    assert formats.percent(0.86149) == "86.1\u00a0%"
    assert formats.percent(1.0) == "100.0\u00a0%"
    assert formats.decimals(0.0005) == "0.001"
    assert formats.significant(0.00025) == "0.00025"
    assert formats.significant(92.36) == "92.4"
    assert formats.significant(12345.6) == "12,346"
    assert formats.count(28558) == "28,558"
    assert formats.interval({"value": 0.8, "low": 0.7996, "high": 1.0}) == "80.0–100.0"
    assert formats.duration(8.24) == "8.2\u00a0s"
    assert formats.duration(754) == "12\u00a0min 34\u00a0s"
    assert formats.duration(7260) == "2\u00a0h 1\u00a0min"


@pytest.mark.parametrize("write", [formats.percent, formats.decimals, formats.significant])
def test_missing_numbers_are_a_dash(write: Callable[[float | None], str]) -> None:
    assert write(None) == write(float("nan")) == "–"


def test_interval_without_bounds_is_empty() -> None:
    assert formats.interval({"value": None, "low": None, "high": None}) == ""
    assert formats.interval({"value": 0.5, "low": float("nan"), "high": 0.6}) == ""
    assert formats.duration(float("nan")) == "–"


def decoded(uri: str) -> np.ndarray:
    scheme, content = uri.split(",")
    assert scheme == "data:image/png;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image if image.ndim == 2 else image[..., ::-1]


def test_pictures_keep_their_pixels_and_channel_order() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    assert np.array_equal(decoded(png_data_uri(image)), image)
    assert np.array_equal(decoded(png_data_uri(image[..., 0])), image[..., 0])


def test_gray_in_three_channels_is_stored_as_gray() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    assert png_data_uri(np.dstack([gray, gray, gray])) == png_data_uri(gray)


@pytest.mark.parametrize(
    ("shape", "stored"), [((144, 144), (144, 144)), ((288, 216), (144, 108)), ((2000, 2), (144, 1))]
)
def test_large_pictures_are_shrunk(shape: tuple[int, int], stored: tuple[int, int]) -> None:
    assert decoded(png_data_uri(np.full(shape, 7, np.uint8))).shape == stored


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=re.escape("a picture is (H, W) or (H, W, 3) of uint8, not")):
        png_data_uri(image)


def test_confusion_matrix_tints_rows_and_writes_counts() -> None:
    svg = figures.draw_confusion_matrix(np.array([[3, 1], [0, 0]]), ["anger", "fear"], "test")
    assert re.findall(r"fill: var\(--matrix\); opacity: ([\d.]+)", svg) == ["0.75", "0.25"]
    assert re.findall(r"<text[^>]*>(\d+)</text>", svg) == ["3", "1", "0", "0"]
    assert 'aria-label="Confusion matrix, test. Share of each true class classified correctly: ' in svg


def test_class_bars_use_the_colours_of_the_emotions() -> None:
    svg = figures.draw_class_bars(pd.Series({"anger": 30, "contempt": 10}), 0.75, "train")
    fills = re.findall(r"fill: (#\w{6})", svg)
    assert fills == [EMOTION_COLOURS["anger"], EMOTION_COLOURS["contempt"]]
    assert "30 · 75.0\u00a0%" in svg and "10 · 25.0\u00a0%" in svg


def test_figures_take_font_and_colours_from_the_page() -> None:
    svg = figures.draw_confusion_matrix(np.eye(2, dtype=int), ["anger", "fear"], "test")
    assert "font-family" not in svg and "<style" not in svg and "xmlns" not in svg
    assert not any(stand_in in svg for stand_in in CSS_OF_STAND_IN)
    assert "currentColor" in svg
    for variable in re.findall(r"var\(--([\w-]+)\)", " ".join(CSS_OF_STAND_IN.values())):
        assert variable in LIGHT and variable in DARK


def test_loss_curves_tell_the_objective_from_cross_entropy() -> None:
    """With label smoothing, for instance, training minimises another function than the one that is compared."""
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.5], "val_loss": [1.9, 1.4]})
    same = figures.draw_loss_curves(history.assign(val_objective=history["val_loss"] + 1e-9), 2)
    assert "validation" in same and "cross-entropy" not in same
    other = figures.draw_loss_curves(history.assign(val_objective=[2.2, 1.7]), 2)
    assert "validation 2.2 at epoch 1" in other and "cross-entropy 1.9 at epoch 1" in other
