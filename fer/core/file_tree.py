"""The files below a directory: links are followed, hidden ones and what file managers leave behind are not there."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

# Made by macOS, Windows, Synology and the like, in any case of letters; no recording and no data set is named so.
_COMPANIONS = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"),
    "lost+found",
}


def is_hidden(name: PurePath) -> bool:
    """Whether a relative name, or a folder that it lies in, is hidden."""
    return any(_is_hidden_part(part) for part in name.parts)


def _is_hidden_part(part: str) -> bool:
    return part.startswith(".") or part.lower() in _COMPANIONS


def walk_files(directory: Path, on_error: Callable[[OSError], None]) -> Iterator[tuple[Path, list[str]]]:
    """Walk through a directory in order of name.

    Args:
        directory: Where to begin; its own name may be hidden.
        on_error: Called about a folder that cannot be read.

    Yields:
        Each folder, and the names of the files in it, links that lead nowhere among them. A link to a folder above
        it is left out: it would lead in circles.
    """
    yield from _walk(directory, (os.path.realpath(directory),), on_error)


def _walk(
    folder: Path, above: tuple[str, ...], on_error: Callable[[OSError], None]
) -> Iterator[tuple[Path, list[str]]]:
    try:
        names = sorted(name for name in os.listdir(folder) if not _is_hidden_part(name))
    except OSError as error:
        on_error(error)
        return
    folders = {name for name in names if (folder / name).is_dir()}
    yield folder, [name for name in names if name not in folders and _is_file_or_dead_link(folder / name)]
    for name in names:
        if name in folders and (real := os.path.realpath(folder / name)) not in above:
            yield from _walk(folder / name, (*above, real), on_error)


def _is_file_or_dead_link(path: Path) -> bool:
    return path.is_file() or (path.is_symlink() and not path.exists())
