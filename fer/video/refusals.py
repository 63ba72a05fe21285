"""Why a file is no video: what its first bytes tell, before FFmpeg has tried it and after."""

import os
from pathlib import Path

import av

from fer.core.image_decoding import IMAGE_SUFFIXES
from fer.errors import DataError

NO_IMAGE = "this is no image, whatever its name says, or a damaged one; export it again as JPEG or PNG"
# What is read of every file; most images of a face are smaller.
BEGINNING_BYTES = 1 << 16
# How playlists begin; FFmpeg draws any other text (tty).
PLAYLISTS = {b"#EXTM3U": "hls", b"ffconcat": "concat", b"v=0": "sdp", b"<": "dash"}
ARCHIVES = {b"PK\x03\x04": "ZIP", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR", b"\x1f\x8b": "gzip", b"BZh": "bzip2"}


class VideoError(DataError):
    """A video or image cannot be read.

    Attributes:
        reason: Why, without the path.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def read_beginning(path: Path) -> bytes:
    """The first bytes of a file. Raises VideoError for what cannot be read, and for what is certainly no video."""
    try:
        if not path.is_file():
            if path.is_dir():
                raise VideoError(path, "this is a directory")
            raise VideoError(path, "this is no regular file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            start = file.read(BEGINNING_BYTES)
    except PermissionError:
        raise VideoError(path, "there is no permission to read this file") from None
    except OSError as error:
        raise VideoError(path, f"this file cannot be read ({error.strerror})") from None
    if not start:
        raise VideoError(path, "this file is empty (0 bytes)")
    if not start.strip(b"\0"):
        raise VideoError(path, "this file begins with nothing but zeros: its copy was broken off")
    for signature, kind in ARCHIVES.items():
        if start.startswith(signature):
            raise VideoError(path, f"this is a {kind} archive, not a video: unpack it first")
    return start


def explain_error(path: Path, error: av.FFmpegError) -> str:
    """Why FFmpeg cannot read a file, in words."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return NO_IMAGE
    with path.open("rb") as file:
        start = file.read(1 << 12)
    if isinstance(error, av.ArgumentError) and b"\0" not in start:
        text = start.lstrip(b"\xef\xbb\xbf \r\n")
        kind = next((kind for mark, kind in PLAYLISTS.items() if text.startswith(mark)), "tty")
        return f"this is a text or a playlist ({kind}), not a video"
    if start[4:8] == b"ftyp":
        return "this MP4 or MOV has no index (moov): its recording or its copy was broken off"
    return f"this is no video, or it is damaged ({error.strerror or os.strerror(error.errno or 0)})"
