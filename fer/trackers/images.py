"""The sheet of training samples, which a training draws for its trackers."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer.core.io import atomic_write

SAMPLES_FILE = "samples.png"
CELL, GAP, CAPTION_WIDTH, FONT_SIZE = 72, 4, 92, 14  # pixels
INK, PAPER = (33, 37, 41), (255, 255, 255)


def write_sample_sheet(samples: Sequence[tuple[np.ndarray, str]], path: Path) -> None:
    """Write a PNG of captioned images, a row for each run of neighbours with the same caption.

    Args:
        samples: (image, caption); images are (H, W) or (H, W, 3) of uint8.
        path: The PNG file.
    """
    rows = [(caption, [image for image, _ in group]) for caption, group in groupby(samples, lambda sample: sample[1])]
    columns = max((len(images) for _, images in rows), default=0)
    sheet = Image.new("RGB", (CAPTION_WIDTH + columns * (CELL + GAP) + GAP, len(rows) * (CELL + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_SIZE)
    for row, (caption, images) in enumerate(rows):
        top = GAP + row * (CELL + GAP)
        draw.text((CAPTION_WIDTH - 8, top + CELL / 2), caption, INK, font, anchor="rm")
        for column, image in enumerate(images):
            face = Image.fromarray(image).convert("RGB").resize((CELL, CELL))
            sheet.paste(face, (CAPTION_WIDTH + column * (CELL + GAP), top))
    with atomic_write(path) as temporary:
        sheet.save(temporary, "png")
