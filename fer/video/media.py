"""From what a user names (files, directories, globs) to the videos and images to look at."""

import glob
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from fer.core.file_tree import is_hidden, walk_files
from fer.core.image_decoding import HEAD_BYTES, IMAGE_SUFFIXES, is_image_content
from fer.errors import DataError
from fer.video.probe import VideoError, is_image, open_video

# A file of another name is looked into.
VIDEO_SUFFIXES = {
    *(".264", ".265", ".3g2", ".3gp", ".amv", ".asf", ".avi", ".divx", ".dv", ".evo", ".f4v", ".flv", ".gif", ".h264"),
    *(".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mk3d", ".mkv", ".mod"),
    *(".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".tod"),
    *(".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m"),
}
MEDIA_SUFFIXES = VIDEO_SUFFIXES | IMAGE_SUFFIXES
# Formats that hold one picture or a moving one.
EITHER_SUFFIXES = {".apng", ".avif", ".gif", ".webp"}
MAX_LISTED = 5
# So much of a file without a zero byte is taken for text.
TEXT_BYTES = 4096
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Media:
    """A video or image to look at.

    Attributes:
        path: The file.
        name: What tells it from all others of the run; tables and pages show it.
        kind: Whether it is a video or an image.
        remote: Where the file is fetched from when its turn comes, s3://… or gs://…; empty for one of this machine.
    """

    path: Path
    name: str
    kind: Literal["video", "image"]
    remote: str = ""


def find_media(inputs: Sequence[str], left_out: list[str] | None = None) -> list[Media]:
    """Find the videos and images that a user names.

    Args:
        inputs: Files, directories (searched with all below them, in order of name, hidden names left out) and globs
            (``**`` reaches below). Directories and globs give the files with a known suffix, and those of another name
            whose content is a video or an image; what they leave out is counted in the log. A file named outright is
            taken whatever it is, and opening it decides.
        left_out: Gets the paths of what is left out.

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
        unused: list[Path] = []
        files = [Path(os.path.abspath(file)) for file in _expand_input(pattern, unused)]
        if not files:
            raise DataError(f"{pattern}: no video or image there, by suffix or by content (other files: {len(unused)})")
        if unused:
            names = [path.name for path in unused[:MAX_LISTED]] + ["…"] * (len(unused) > MAX_LISTED)
            log.warning("%s: %d files are no video or image: not used: %s", pattern, len(unused), ", ".join(names))
            if left_out is not None:
                left_out += map(str, unused)
        paths |= dict.fromkeys(files)
    if not paths:
        raise DataError("no input is given: name a video, an image, a directory or a glob")
    names = make_unique_names(list(paths))
    return [Media(path, name, get_media_kind(path)) for path, name in zip(paths, names, strict=True)]


def _expand_input(pattern: str, unused: list[Path]) -> Iterator[Path]:
    """Files that one input means. A name that exists is taken as it is, glob characters or not.

    Files that are no video and no image are appended to ``unused``.
    """
    check_input_is_there(pattern)
    path = Path(pattern).expanduser()
    if path.is_dir():
        yield from _select_media(_walk_files(path), unused)
    elif path.exists():
        yield path
    else:
        for match in sorted(glob.glob(_escape_directories(path), recursive=True)):
            if os.path.isdir(match):
                # `**` lists the files below by itself.
                yield from _select_media(_walk_files(Path(match)), unused) if "**" not in pattern else ()
            elif not is_hidden(PurePath(os.path.basename(match))) and not _lies_in_circles(match):
                yield from _select_media([Path(match)], unused)


def check_input_is_there(pattern: str) -> None:
    """Check that an input names what exists, or is a glob. Raises DataError."""
    if not Path(pattern).expanduser().exists() and not glob.has_magic(pattern):
        raise DataError(f"{pattern}: there is no such file or directory, and it is no glob")


def _lies_in_circles(path: str) -> bool:
    """Whether a path leads through a folder twice, by a link to one above it, which `**` follows."""
    above = [os.path.realpath(folder) for folder in Path(os.path.abspath(path)).parents]
    return len(set(above)) < len(above)


def _escape_directories(path: Path) -> str:
    """A glob in which the directories that exist as they are written (`session [1]/`) stand for themselves alone."""
    known = next(parent for parent in path.parents if parent.is_dir())
    return str(Path(glob.escape(str(known)), path.relative_to(known)))


def _walk_files(directory: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: this directory cannot be read ({error.strerror})") from None

    for folder, files in walk_files(directory, refuse):
        yield from (folder / name for name in files)


def _select_media(files: Iterable[Path], unused: list[Path]) -> Iterator[Path]:
    for file in files:
        if is_media(file) or _holds_media(file):
            yield file
        else:
            unused.append(file)


def _holds_media(path: Path) -> bool:
    """Whether the content of a file whose name says nothing is an image or a video."""
    try:
        with path.open("rb") as file:
            head = file.read(TEXT_BYTES)
        if is_image_content(head[:HEAD_BYTES]):
            return True
        # Tables and notes lie beside many recordings, and FFmpeg would draw them as pictures.
        if b"\0" not in head:
            return False
        open_video(path)
        return True
    except (OSError, VideoError):
        return False


def is_media(path: Path) -> bool:
    """Whether the suffix is one of videos or images; the file need not be there."""
    return path.suffix.lower() in MEDIA_SUFFIXES


def get_media_kind(path: Path) -> Literal["video", "image"]:
    """Whether a file is a video or an image: by its suffix, and by its content where that does not tell."""
    suffix = path.suffix.lower()
    if suffix in EITHER_SUFFIXES or suffix not in MEDIA_SUFFIXES:
        try:
            return "image" if is_image(path) else "video"
        except OSError:
            pass  # opening it will say what is wrong, or it is still to be fetched
    return "image" if suffix in IMAGE_SUFFIXES and suffix != ".gif" else "video"


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
