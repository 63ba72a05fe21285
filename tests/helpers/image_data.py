"""Pictures and data sets that the tests make."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.data.sources.base import Source, build_labelled_table, build_voted_table
from fer.emotions import FERPLUS_VOTES

Content = Mapping[str, bytes | str | None]


def noise(seed: int, side: int = 48, colour: bool = False) -> np.ndarray:
    """Random pixels: no two seeds look alike to a perceptual hash."""
    shape = (side, side, 3) if colour else (side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(seed: int, side: int = 48, colour: bool = False, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, noise(seed, side, colour))[1].tobytes()


@dataclass
class Laid:
    """Writes files into a fresh directory or .zip, with or without a folder around everything."""

    base: Path
    zipped: bool = False
    top: str = ""
    made: int = 0

    def __call__(self, content: Content) -> str:
        """The root. A value of None makes an empty directory."""
        self.made += 1
        root = self.base / f"laid-{self.made}"
        named = {self.top + name: data for name, data in content.items()}
        if self.zipped:
            with zipfile.ZipFile(root.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in named.items():
                    archive.writestr(name if data is not None else f"{name}/", data or b"")
            return str(root.with_suffix(".zip"))
        root.mkdir()
        for name, data in named.items():
            path = root / name
            (path if data is None else path.parent).mkdir(parents=True, exist_ok=True)
            if data is not None:
                path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(root)

    def rows(self, source: Source) -> list[tuple[str, str, str | None]]:
        """(path below the wrapping folder, part, label) of each sample, sorted."""
        table = source.table[["path", "part", "label"]].itertuples(index=False, name=None)
        return sorted((path.removeprefix(self.top), part, label) for path, part, label in table)


def array_source(
    images: Sequence[np.ndarray], parts: Sequence[str], labels: Sequence[Any], name: str = "drawn", **more: Any
) -> Source:
    """A source of pixels in memory, 00000.png and so on; labels are names of classes, or rows of ten votes."""
    paths = [f"{number:05d}.png" for number in range(len(images))]
    if isinstance(labels[0], str):
        table = build_labelled_table(paths, parts, labels)
    else:
        table = build_voted_table(paths, parts, np.array(labels), FERPLUS_VOTES)
    return Source(name, table, dict(zip(paths, images, strict=True)).__getitem__, **more)
