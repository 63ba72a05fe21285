"""Files of visitors: stored under names of the dashboard's own, within a limit, and refused in one sentence."""

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from fer.app.settings import MEBIBYTE
from fer.core.image_decoding import HEAD_BYTES, IMAGE_SUFFIXES, is_image_content
from fer.core.io import atomic_write
from fer.core.visible import make_visible
from fer.errors import DataError
from fer.video.media import TEXT_BYTES, VIDEO_SUFFIXES

MAX_NAME_LENGTH = 80
# A hundred pictures of a camera are one visit; a folder of thousands is for infer.py itself.
MAX_FILES = 100
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Upload:
    """A file of a visitor.

    Attributes:
        name: What the visitor calls it, to be shown and never to be opened.
        path: Where it lies.
        size: Its bytes.
    """

    name: str
    path: Path
    size: int


def store_upload(file: BinaryIO, name: str, size: int, folder: Path, stored: list[Upload], max_bytes: int) -> Upload:
    """Store a visitor's file.

    Args:
        file: What was uploaded.
        name: What the visitor calls it.
        size: Its bytes.
        folder: The visitor's own directory.
        stored: What lies there already.
        max_bytes: How much all of them may be together.

    Returns:
        The stored file, whose name tells nothing of the visitor's but a known suffix.

    Raises:
        DataError: It is no video and no picture, too much, or there is no room for it.

    Examples:
        >>> store_upload(file, "holiday.mp4", 1_000_000, folder, [], max_bytes=500 << 20).path.name
        'upload-1.mp4'
    """
    shown = shorten_name(name)
    if len(stored) >= MAX_FILES:
        raise DataError(f"{shown}: more than {MAX_FILES} files at a time are too many; analyse these first")
    if not size:
        raise DataError(f"{shown}: is empty; choose another file")
    if sum(upload.size for upload in stored) + size > max_bytes:
        raise DataError(
            f"{shown}: all files together may have {max_bytes // MEBIBYTE:,} MB here; choose a shorter clip, or "
            "analyse the files one by one"
        )
    suffix = PurePath(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        suffix = ""
        head = file.read(TEXT_BYTES)
        # As infer.py does with files whose names say nothing: what has no zero byte is taken for text.
        if not is_image_content(head[:HEAD_BYTES]) and b"\0" not in head:
            raise DataError(f"{shown}: is no video and no picture; choose a file such as MP4, MOV, WebM, JPEG or PNG")
        file.seek(0)
    path = folder / f"upload-{_find_number(stored)}{suffix}"
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as target:
            shutil.copyfileobj(file, target, MEBIBYTE)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise DataError(
            f"{shown}: there is no room for it on the server; try again later, or ask who runs it"
        ) from None
    return Upload(shown, path, size)


def _find_number(stored: list[Upload]) -> int:
    """The first number from 1 after those of the stored files."""
    return 1 + max((int(upload.path.stem.rpartition("-")[2]) for upload in stored), default=0)


def shorten_name(name: str) -> str:
    """A file's name as it may be shown: without folders, control characters and endless length."""
    # Browsers of Windows may send a whole path.
    text = make_visible(name.replace("\\", "/").rpartition("/")[2]).encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[: MAX_NAME_LENGTH // 2]}…{text[-MAX_NAME_LENGTH // 2 :]}"
