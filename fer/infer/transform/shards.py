"""Requests and answers of a batch transform: face crops in tar shards or one by one, and JSON Lines."""

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer.core.documents import parse_json, read_bounded_text
from fer.core.io import atomic_write
from fer.core.parquet import read_parquet
from fer.emotions import AFFECT
from fer.errors import DataError, shorten_error
from fer.serving.requests import MAX_IMAGES

INDEX = "index.parquet"
# Of single images: what a face loses at this quality moves its probabilities in the second or third decimal.
JPEG_QUALITY = 95
MEGABYTE = 1_000_000
TAR_BLOCK = 512
# Rows of probabilities must sum to 1 as far as floats of 32 bits do.
SUM_TOLERANCE = 1e-4
# Of one face: its name, and some dozen digits for each class.
MAX_ANSWER_BYTES = 16 << 10
CONTENT_TYPES = {"shard": "application/x-tar", "image": "image/jpeg"}

# By sample id: the columns of ``Predictor.predict_all``, or why there are none.
Answers = dict[str, np.ndarray | str]


@dataclass(frozen=True)
class Request:
    """One file to be sent, whose name is its key.

    Attributes:
        path: The file.
        sample_ids: Of the faces in it, in their order.
    """

    path: Path
    sample_ids: tuple[str, ...]

    @property
    def output_path(self) -> Path:
        """Where the answer lands: beside the key, as SageMaker names it."""
        return self.path.with_name(f"{self.path.name}.out")


def pack(crops: Iterable[tuple[str, Path]], folder: Path, packing: str, shard_mb: float) -> list[Request]:
    """Write face crops as requests.

    The same crops give the same bytes. The index, a row a sample with its key, is written last.

    Args:
        crops: Sample id and PNG file each.
        folder: Where the requests are written; a complete packing that is there stays.
        packing: One of CONTENT_TYPES: ``shard`` (tar files) or ``image`` (one JPEG each).
        shard_mb: Largest shard, megabytes.

    Returns:
        The requests in the order of their keys.

    Raises:
        DataError: A crop is missing or damaged, or an earlier index.
    """
    if not (folder / INDEX).is_file():
        files = _write_shards(crops, folder, shard_mb) if packing == "shard" else _write_images(crops, folder)
        rows = [(path.name, sample) for path, ids in files for sample in ids]
        with atomic_write(folder / INDEX) as temporary:
            pd.DataFrame(rows, columns=["key", "sample_id"]).to_parquet(temporary, index=False)
    try:
        index = read_parquet(folder / INDEX)
        groups = index.groupby("key", sort=True)["sample_id"]
        return [Request(folder / str(key), tuple(ids)) for key, ids in groups]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{folder / INDEX}: is damaged ({shorten_error(error)}); remove {folder} and resume, which packs anew"
        ) from None


def _write_shards(crops: Iterable[tuple[str, Path]], folder: Path, shard_mb: float) -> Iterator[tuple[Path, list[str]]]:
    """Tar files of at most ``shard_mb`` each (one crop that is larger stands alone), members `<sample id>.png`."""
    for number, members in enumerate(_group_by_size(crops, shard_mb * MEGABYTE)):
        path = folder / f"shard-{number:06d}.tar"
        with atomic_write(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample, content in members:
                entry = tarfile.TarInfo(f"{sample}.png")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        yield path, [sample for sample, _ in members]


def _group_by_size(crops: Iterable[tuple[str, Path]], max_bytes: float) -> Iterator[list[tuple[str, bytes]]]:
    """Sample ids and contents that fit together into a tar of ``max_bytes``, and that the server takes together."""
    members: list[tuple[str, bytes]] = []
    # A member takes its header and whole blocks; two empty blocks, filled up to a record, end the archive.
    end = tarfile.RECORDSIZE + 2 * TAR_BLOCK
    total = end
    for sample, path in crops:
        content = _read_bytes(path)
        size = TAR_BLOCK + -(-len(content) // TAR_BLOCK) * TAR_BLOCK
        if members and (total + size > max_bytes or len(members) == MAX_IMAGES):
            yield members
            members, total = [], end
        members.append((sample, content))
        total += size
    if members:
        yield members


def _write_images(crops: Iterable[tuple[str, Path]], folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """One JPEG each."""
    for sample, path in crops:
        bgr = cv2.imdecode(np.frombuffer(_read_bytes(path), np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise DataError(f"{path}: cannot be read; extract again in a new run")
        target = folder / f"{sample}.jpg"
        with atomic_write(target) as temporary:
            temporary.write_bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
        yield target, [sample]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: is missing; extract again in a new run") from None


def read_answers(request: Request, columns: Sequence[str]) -> Answers | None:
    """Read the answer to a request.

    Args:
        request: The request.
        columns: What an answer must be of: the classes, and behind them valence and arousal where the model has them.

    Returns:
        Each sample's answer; None where the file is missing or unsound.
    """
    if not request.output_path.is_file():
        return None
    result: Answers = {}
    try:
        text = read_bounded_text(request.output_path, MAX_ANSWER_BYTES * (1 + len(request.sample_ids)))
        for line_number, line in enumerate(text.splitlines()):
            answer = parse_json(line)
            # An image that is sent alone has no name of its own.
            sample = request.sample_ids[0] if request.path.suffix == ".jpg" and not line_number else str(answer["id"])
            if sample in result:
                return None
            result[sample] = str(answer["error"]) if "error" in answer else _parse_answer(answer, columns)
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError):
        return None
    return result if tuple(result) == request.sample_ids else None


def _parse_answer(answer: dict[str, Any], columns: Sequence[str]) -> np.ndarray:
    """(columns,) float32. Raises ValueError, KeyError or TypeError for what is no answer of this model."""
    affect = [name for name in AFFECT if name in columns]
    probabilities = _parse_probabilities(answer["probabilities"], [name for name in columns if name not in affect])
    values = np.array([float(answer[name]) for name in affect], np.float32)
    if not (np.abs(values) <= 1).all():
        raise ValueError("no valence or arousal")
    return np.concatenate((probabilities, values))


def _parse_probabilities(probabilities: dict[str, float], classes: Sequence[str]) -> np.ndarray:
    """(classes,) float32. Raises ValueError for what are no probabilities of these classes."""
    if list(probabilities) != list(classes):
        raise ValueError("other classes")
    row = np.array([float(probabilities[name]) for name in classes], np.float32)
    if not np.isfinite(row).all() or (row < 0).any() or abs(float(row.sum()) - 1) > SUM_TOLERANCE:
        raise ValueError("no probabilities")
    return row
