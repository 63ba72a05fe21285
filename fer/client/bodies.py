"""From pictures to the bodies of requests: archives of some pictures each."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fer.core.bounded_stream import format_size
from fer.core.io import read_at_most
from fer.errors import DataError

ARCHIVE = "application/x-tar"
# Pictures of one request: far below what servers and the proxies before them take (32 MB on Cloud Run).
MAX_BATCH_BYTES = 8 << 20
# The server takes no larger request.
MAX_PICTURE_BYTES = 100 << 20
PNG_MAGIC = b"\x89PNG"


@dataclass(frozen=True)
class Picture:
    """A picture that is to be classified.

    Args:
        name: The path of its file, or its number from 0.
        data: Its JPEG or PNG.
    """

    name: str
    data: bytes


@dataclass(frozen=True)
class Batch:
    """Pictures of one request."""

    pictures: tuple[Picture, ...]


def read_picture(number: int, picture: Path | bytes) -> Picture:
    """Return a picture with its name. Raises DataError where its file cannot be read."""
    if isinstance(picture, bytes):
        return Picture(str(number), picture)
    try:
        data = read_at_most(picture, MAX_PICTURE_BYTES)
    except OSError as error:
        raise DataError(f"{picture}: cannot be read ({error.strerror})") from None
    if data is None:
        raise DataError(f"{picture}: has more than {format_size(MAX_PICTURE_BYTES)}, which no server takes")
    return Picture(str(picture), data)


def iter_batches(pictures: Iterable[Path | bytes], size: int) -> Iterator[Batch]:
    """Yield batches of at most ``size`` pictures and MAX_BATCH_BYTES, a larger picture by itself. Raises DataError."""
    chosen: list[Picture] = []
    total = 0
    for number, picture in enumerate(pictures):
        read = read_picture(number, picture)
        if chosen and (len(chosen) == size or total + len(read.data) > MAX_BATCH_BYTES):
            yield Batch(tuple(chosen))
            chosen, total = [], 0
        chosen.append(read)
        total += len(read.data)
    if chosen:
        yield Batch(tuple(chosen))


def split_batch(batch: Batch) -> tuple[Batch, Batch]:
    """Return the two halves of a batch of several pictures."""
    middle = len(batch.pictures) // 2
    return Batch(batch.pictures[:middle]), Batch(batch.pictures[middle:])


def write_archive(batch: Batch) -> bytes:
    """Return a tar archive of a batch, whose members are named by their number in it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number, picture in enumerate(batch.pictures):
            suffix = "png" if picture.data.startswith(PNG_MAGIC) else "jpg"
            member = tarfile.TarInfo(f"{number}.{suffix}")
            member.size = len(picture.data)
            archive.addfile(member, io.BytesIO(picture.data))
    return stream.getvalue()
