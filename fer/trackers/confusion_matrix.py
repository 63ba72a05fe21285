"""The confusion matrix as an image, for trackers that show images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay

SIDE_INCHES = 6.4  # at Matplotlib's 100 dots an inch


def draw_confusion_matrix(matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> Image.Image:
    """Draw counts by true class (rows) and predicted class (columns), tinted by their fraction of the row."""
    counts = np.asarray(matrix)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    display = ConfusionMatrixDisplay(fractions, display_labels=classes)
    display.plot(
        ax=figure.add_subplot(), cmap="Blues", colorbar=False, xticks_rotation=45, im_kw={"vmin": 0, "vmax": 1}
    )
    for cell, count in zip(display.text_.flat, counts.flat, strict=True):
        cell.set_text(str(count))
    display.ax_.set(title=title, xlabel="predicted class", ylabel="true class")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
