"""From what a user names (files, directories, globs) to the videos and images to look at."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fer.errors import DataError

VIDEO_SUFFIXES = {
    *(".3gp", ".asf", ".avi", ".f4v", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
}
IMAGE_SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Media:
    """A video or image to look at.

    Attributes:
        path: The file.
        name: What tells it from all others of the run; tables and pages show it.
        kind: Whether it is a video or an image.
        remote: Where the file is fetched from when its turn comes, s3://BUCKET/KEY; empty for a file of this machine.
    """

    path: Path
    name: str
    kind: Literal["video", "image"]
    remote: str = ""


def find_media(inputs: Sequence[str]) -> list[Media]:
    """Find the videos and images that a user names.

    Args:
        inputs: Files, directories (searched with all below them, in order of name, hidden names left out) and globs
            (``**`` reaches below). Directories and globs give the files with a known suffix; a file named outright is
            taken whatever its suffix, and opening it decides.

    Returns:
        The files in the order of the inputs, each once.

    Raises:
        DataError: An input gives nothing.

    Examples:
        >>> [item.name for item in find_media(["clips/"])]
        ['a.mp4', 'b.mp4']
    """
    paths: dict[Path, None] = {}
    for pattern in inputs:
        files = [Path(os.path.abspath(file)) for file in _expand_input(pattern)]
        if not files:
            suffixes = " ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES))
            raise DataError(f"{pattern}: no video or image there (looked for the suffixes {suffixes})")
        paths |= dict.fromkeys(files)
    if not paths:
        raise DataError("no input is given: name a video, an image, a directory or a glob")
    names = make_unique_names(list(paths))
    return [Media(path, name, get_media_kind(path)) for path, name in zip(paths, names, strict=True)]


def _expand_input(pattern: str) -> Iterator[Path]:
    """Files that one input means. A name that exists is taken as it is, glob characters or not."""
    path = Path(pattern).expanduser()
    if path.is_dir():
        yield from _walk_files(path)
    elif path.exists():
        yield path
    elif glob.has_magic(pattern):
        for match in sorted(glob.glob(_escape_directories(path), recursive=True)):
            if os.path.isdir(match):
                # `**` lists the files below by itself.
                yield from _walk_files(Path(match)) if "**" not in pattern else ()
            elif is_media(Path(match)):
                yield Path(match)
    else:
        raise DataError(f"{pattern}: there is no such file or directory, and it is no glob")


def _escape_directories(path: Path) -> str:
    """A glob in which the directories that exist as they are written (`session [1]/`) stand for themselves alone."""
    known = next(parent for parent in path.parents if parent.is_dir())
    return str(Path(glob.escape(str(known)), path.relative_to(known)))


def _walk_files(directory: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: this directory cannot be read ({error.strerror})") from None

    for folder, below, files in os.walk(directory, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        # Hidden files next to videos are a file manager's (macOS writes ._clip.mp4), never a recording.
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith(".") and is_media(Path(name)))


def is_media(path: Path) -> bool:
    """Whether the suffix is one of videos or images."""
    return path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES


def get_media_kind(path: Path) -> Literal["video", "image"]:
    """What the suffix stands for; a video where it is not known."""
    return "image" if path.suffix.lower() in IMAGE_SUFFIXES else "video"


def make_unique_names(paths: Sequence[Path]) -> list[str]:
    """For each of different absolute paths the shortest ending, in whole components, that no other path shares."""
    names = [""] * len(paths)
    pending, length = list(range(len(paths))), 0
    while pending:
        length += 1
        endings = {index: paths[index].parts[-length:] for index in pending}
        # Those already named differ from the rest in fewer components, so they need no comparison any more.
        counts = Counter(endings.values())
        for index, parts in endings.items():
            if counts[parts] == 1:
                # A name that is not UTF-8 could not be written to a table.
                names[index] = Path(*parts).as_posix().encode(errors="backslashreplace").decode()
        pending = [index for index, parts in endings.items() if counts[parts] > 1]
    return names
