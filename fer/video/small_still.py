"""Small images at once: that of a face takes as long to be opened as to be decoded."""

from pathlib import Path

import numpy as np

from fer.core.image_decoding import HEAD_BYTES, IMAGE_SUFFIXES, decode_still, is_image_content
from fer.errors import DataError
from fer.video.probe import ImageInfo
from fer.video.refusals import BEGINNING_BYTES, read_beginning


def decode_small_still(path: Path) -> tuple[ImageInfo, np.ndarray] | None:
    """Look into a small image and decode it, opening it once.

    Args:
        path: The file.

    Returns:
        What it declares, and the pixels as those of ``decode_image``; None of all else, and of what is damaged, of
        which ``open_video`` and ``iter_frames`` tell more.

    Raises:
        VideoError: No frame will come out of it.
    """
    start = read_beginning(path)
    if len(start) == BEGINNING_BYTES or path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    if not is_image_content(start[:HEAD_BYTES]):
        return None
    try:
        decoded = decode_still(start)
    except DataError:
        return None
    if decoded is None:
        return None
    pixels, name = decoded
    height, width = pixels.shape[:2]
    return ImageInfo(path, width, height, 0.0, 1, 0.0, 0, name.lower(), 0.0), pixels
