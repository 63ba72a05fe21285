"""Photographs of several people, as a folder of pictures from the web holds them."""

from pathlib import Path

import cv2
import numpy as np

from tests.helpers.faces import drawn_frame, person


def write_photograph(path: Path, people: int, seed: int = 0, face_height: float = 150.0) -> Path:
    """A picture of so many people side by side, in rows of eight."""
    columns = min(people, 8) or 1
    step = face_height * 1.35
    places = [
        (person(seed + number), ((number % columns + 0.5) * step, (number // columns + 0.5) * step), face_height)
        for number in range(people)
    ]
    size = (round(columns * step), round(max(-(-people // columns), 1) * step))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, drawn_frame(places, size))[1].tobytes())
    return path


def write_wild_folder(folder: Path) -> Path:
    """Flickr30k's layout, with nested folders and whatever else one finds: see ``test_face_dataset``."""
    images = folder / "flickr30k-images"
    for number, people in enumerate((2, 3)):
        write_photograph(images / f"{1000 + number}.jpg", people, seed=10 * number)
    write_photograph(images / "more" / "1000.jpg", 1, seed=30)
    write_photograph(images / "nobody.jpg", 0)
    write_photograph(images / "crowd.png", 40, seed=40, face_height=110)
    whole = (images / "1000.jpg").read_bytes()
    (images / "damaged.jpg").write_bytes(whole[: len(whole) // 3])
    # Its header alone says that it is huge.
    header = bytearray(cv2.imencode(".bmp", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    header[18:26] = (20_000).to_bytes(4, "little") * 2
    (images / "huge.bmp").write_bytes(bytes(header))
    (folder / "results_20130124.token").write_text("1000.jpg#0\tTwo people .\n", encoding="utf-8")
    (folder / "results.csv").write_text("image_name| comment_number| comment\n", encoding="utf-8")
    return folder
