"""`python -m fer.synthetic FILE.png`: a sheet of the drawn data set, a column an emotion, to look at."""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from fer.core.installation import format_documentation, get_program_name
from fer.emotions import EMOTIONS
from fer.synthetic.dataset import SyntheticFace, draw_dataset_face

_MARGIN = 6
_CAPTION = 18


def _draw_sheet(seed: int, rows: int, size: int, captions: bool) -> np.ndarray:
    """Draw the first ``rows`` faces of each intended emotion, (height, width, 3) uint8 RGB.

    With ``captions`` each face stands above the two leading votes of its annotators.
    """
    faces_by_emotion: dict[str, list[SyntheticFace]] = {emotion: [] for emotion in EMOTIONS}
    index = 0
    while any(len(faces) < rows for faces in faces_by_emotion.values()):
        face = draw_dataset_face(seed, index, size)
        if len(faces_by_emotion[face.emotion]) < rows:
            faces_by_emotion[face.emotion].append(face)
        index += 1
    step_x, step_y = size + _MARGIN, size + _MARGIN + (_CAPTION if captions else 0)
    canvas = np.full((_CAPTION + rows * step_y, len(EMOTIONS) * step_x + _MARGIN, 3), 255, np.uint8)
    for column, emotion in enumerate(EMOTIONS):
        left = _MARGIN + column * step_x
        _draw_caption(canvas, emotion, left, _CAPTION - 5, size)
        for row, face in enumerate(faces_by_emotion[emotion]):
            top = _CAPTION + row * step_y
            canvas[top : top + size, left : left + size] = face.image
            if captions:
                votes = sorted(face.votes.items(), key=lambda item: -item[1])[:2]
                text = " ".join(f"{name[:3]} {count}" for name, count in votes if count)
                _draw_caption(canvas, text, left, top + size + _CAPTION - 5, size)
    return canvas


def _draw_caption(canvas: np.ndarray, text: str, left: int, baseline: int, size: int) -> None:
    """Write small dark text at a pixel, narrow enough for a face of ``size`` pixels."""
    scale = min(0.4, size / 260)
    cv2.putText(canvas, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, (60, 60, 60), 1, cv2.LINE_AA)


def main() -> int:
    """Write the sheet."""
    program = get_program_name("python -m fer.synthetic")
    parser = argparse.ArgumentParser(prog=program, description=format_documentation(__doc__))
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--size", type=int, default=96, help="pixels of a face")
    parser.add_argument("--votes", action="store_true", help="write each face's two leading votes below it")
    args = parser.parse_args()
    image = _draw_sheet(args.seed, args.rows, args.size, args.votes)
    if args.file.suffix != ".png" or not cv2.imwrite(str(args.file), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        print(f"{program}: {args.file}: cannot be written; name a .png file", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
