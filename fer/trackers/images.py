"""Pictures of a run: what trackers show beside the figures."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer.core.io import atomic_write

# Where pictures and what is remembered lie in a run directory, and the one picture that the training itself draws.
SAMPLES_FILE = "samples.png"
CELL, GAP, LABELS, HEAD, LETTERS = 72, 4, 92, 64, 14
INK, MUTED, PAPER = (33, 37, 41), (110, 117, 125), (255, 255, 255)
# Of a cell that holds none, and all, of its row's images.
LIGHT, DARK = np.array([241, 243, 245]), np.array([31, 98, 168])


def draw_confusion_matrix(matrix: Sequence[Sequence[int]], classes: Sequence[str], title: str) -> Image.Image:
    """Counts by true class (rows) and predicted class (columns), tinted by their share of the row."""
    side = LABELS + len(classes) * (CELL + GAP)
    sheet = Image.new("RGB", (side + GAP, side - LABELS + HEAD + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(LETTERS)
    draw.text((GAP, 8), f"{title}: rows true, columns predicted", INK, font)
    for row, (name, counts) in enumerate(zip(classes, matrix, strict=True)):
        top = HEAD + row * (CELL + GAP)
        draw.text((LABELS - 8, top + CELL / 2), name, INK, font, anchor="rm")
        draw.text((LABELS + row * (CELL + GAP) + CELL / 2, HEAD - 8), name, INK, font, anchor="ms")
        for column, count in enumerate(counts):
            fraction = count / max(sum(counts), 1)
            left = LABELS + column * (CELL + GAP)
            tint = tuple(int(part) for part in LIGHT + (DARK - LIGHT) * fraction)
            draw.rectangle((left, top, left + CELL, top + CELL), tint)
            ink = PAPER if fraction > 0.5 else INK if count else MUTED
            draw.text((left + CELL / 2, top + CELL / 2), str(count), ink, font, anchor="mm")
    return sheet


def write_sample_sheet(samples: Sequence[tuple[np.ndarray, str]], path: Path) -> None:
    """Write a PNG of images, (H, W) or (H, W, 3) of uint8: a row for each run of neighbours with the same caption."""
    rows = [(caption, [image for image, _ in group]) for caption, group in groupby(samples, lambda sample: sample[1])]
    most = max((len(images) for _, images in rows), default=0)
    sheet = Image.new("RGB", (LABELS + most * (CELL + GAP) + GAP, len(rows) * (CELL + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(LETTERS)
    for row, (caption, images) in enumerate(rows):
        top = GAP + row * (CELL + GAP)
        draw.text((LABELS - 8, top + CELL / 2), caption, INK, font, anchor="rm")
        for column, image in enumerate(images):
            face = Image.fromarray(image).convert("RGB").resize((CELL, CELL))
            sheet.paste(face, (LABELS + column * (CELL + GAP), top))
    with atomic_write(path) as temporary:
        sheet.save(temporary, "png")
