"""All images of a run, decoded once into a memory-mapped file of bytes."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from fer.core.documents import read_json_object
from fer.core.image import to_gray, to_native
from fer.core.progress import track_progress
from fer.data.clips.index import ClipIndex
from fer.data.decoding import decode, read_header
from fer.data.sources.base import ImageInfo, Source
from fer.data.store_folder import build_folder_once
from fer.errors import DataError

VERSION = 2
UNREADABLE = "unreadable"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageStore:
    """The decoded images of all sources, or the frames of their clips.

    Attributes:
        images: (N, side, side, 1 or 3) uint8, a memory map, in the order of the sources' rows; of clips (M, side, side,
            3), clip after clip.
        index: A row an image: `content_hash`, `perceptual_hash` (64 bits in hexadecimal) and `problem`, which says
            why an image cannot be used ("" if it can). A row a clip where there are clips, see ``fer.data.clip_store``.
        fingerprint: SHA-256 that identifies images and labels together.
        side: Height and width of the images, pixels.
        colour: Whether the images are RGB.
        clips: Which of the images are the frames of which clip; None where each is by itself.
    """

    images: np.ndarray
    index: pd.DataFrame
    fingerprint: str
    side: int
    colour: bool
    clips: ClipIndex | None = None


def open_image_store(sources: Sequence[Source], largest_side: int, cache_dir: str) -> ImageStore:
    """Open the store of the sources' images, after building it where the cache has none.

    The cache is keyed by the fingerprint of the data, so changed data are decoded anew.

    Args:
        sources: The data sets.
        largest_side: The network's input size, pixels. Images keep their native resolution (the largest of the
            sources) up to this.
        cache_dir: Directory of decoded images, shared between runs.

    Raises:
        DataError: The cached files are damaged.

    Examples:
        >>> store = open_image_store([read_source("faces", "folder", root="faces.zip", class_map={})], 224, ".cache")
        >>> store.images.shape
        (2800, 64, 64, 1)
    """
    fingerprint, side, colour = fingerprint_sources(sources)
    side = min(side, largest_side)
    name = f"{fingerprint[:20]}-{side}x{3 if colour else 1}-v{VERSION}"
    folder = Path(cache_dir) / name
    if not folder.is_dir():
        build_folder_once(folder, lambda unfinished: _build_store(sources, side, colour, folder, unfinished))
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        index = pd.read_parquet(folder / "index.parquet")
        meta = read_json_object(folder / "store.json")
        if not len(images) == len(index) == meta["images"] or images.shape[1:] != (side, side, 3 if colour else 1):
            raise ValueError("it does not hold what its name says")
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise DataError(f"{folder}: the cached images cannot be read ({error}); remove this directory") from None
    return ImageStore(images, index, fingerprint, side, colour)


def fingerprint_sources(sources: Sequence[Source]) -> tuple[str, int, bool]:
    """Read every image once, without decoding it.

    Returns:
        SHA-256 over every image's bytes, name, official split and label or votes; the largest native side in pixels;
        whether any image has colour.
    """
    hasher = hashlib.sha256()
    side, colour = 1, False
    total = sum(len(source.table) for source in sources)
    rows = track_progress(_iter_source_rows(sources), total, "Reading images")
    for source, path, labels in rows:
        try:
            info = source.get_info(path) if source.get_info else _inspect_image(source.read(path))
            digest, side, colour = info.digest, max(side, info.side), colour or info.colour
        except DataError:
            digest = UNREADABLE
        hasher.update(f"{source.name}\0{path}\0{labels}\0{digest}\n".encode())
    return hasher.hexdigest(), side, colour


def _iter_source_rows(sources: Sequence[Source]) -> Iterator[tuple[Source, str, str]]:
    """Yield (source, path, official split and labels as text) of every row of every source."""
    for source in sources:
        labels = source.table.drop(columns="path")
        for path, row in zip(source.table["path"], labels.itertuples(index=False), strict=True):
            yield source, path, str(tuple(row))


def _inspect_image(data: bytes | np.ndarray) -> ImageInfo:
    """Describe an image by its bytes or pixels. Raises DataError where it is none."""
    side, colour = read_header(data)
    return ImageInfo(hashlib.sha256(data if isinstance(data, bytes) else data.tobytes()).hexdigest(), side, colour)


def hash_pixels(pixels: np.ndarray) -> str:
    """Hash pixels, whatever file format held them; gray stored as three equal channels counts as gray."""
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return hashlib.sha256(str(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:32]


def hash_look(pixels: np.ndarray) -> str:
    """Hash what an image looks like, 64 bits in hexadecimal: those of similar images differ in few bits."""
    return str(imagehash.phash(Image.fromarray(to_gray(pixels))))


def _build_store(sources: Sequence[Source], side: int, colour: bool, folder: Path, unfinished: Path) -> None:
    """Decode every image into the directory ``unfinished``, which becomes ``folder``."""
    total = sum(len(source.table) for source in sources)
    log.info("Decoding %d images once into %s (%d×%d, %s)", total, folder, side, side, "colour" if colour else "gray")
    shape = (total, side, side, 3 if colour else 1)
    rows = []
    # Written, not mapped: on a full disk a mapped page would end the process instead of raising an error.
    with (unfinished / "images.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for source, path, _ in track_progress(_iter_source_rows(sources), total, "Decoding images"):
            try:
                pixels = decode(source.read(path))
            except DataError as error:
                file.write(bytes(math.prod(shape[1:])))
                rows.append(("", "", str(error)))
                continue
            file.write(to_native(pixels, side, colour).tobytes())
            rows.append((hash_pixels(pixels), hash_look(pixels), ""))
    index = pd.DataFrame(rows, columns=["content_hash", "perceptual_hash", "problem"])
    index.to_parquet(unfinished / "index.parquet", index=False)
    (unfinished / "store.json").write_text(json.dumps({"images": total}), encoding="utf-8")


def convert_images(store: ImageStore, side: int, colour: bool) -> np.ndarray:
    """Convert the store's images to another native resolution and colour, those of a bundle's training faces."""
    if (store.side, store.colour) == (side, colour):
        return store.images
    single = [image if store.colour else image[..., 0] for image in store.images]
    return np.stack([to_native(image, side, colour) for image in single])
