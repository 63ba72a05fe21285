"""Videos and images of a page: embedded in it, or linked to their own files."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from fer.core.image_decoding import HEAD_BYTES, IMAGE_SUFFIXES, is_image_content
from fer.core.object_uri import is_object_uri

# Of all files of a page together. Encoded as text they take a third more; beyond this a page gets slow to open and
# awkward to send.
EMBED_LIMIT = 1_000_000

# What browsers show without help. Whether they know the codec inside as well, only they can tell.
_VIDEO_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg"}
_IMAGE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpe": "image/jpeg",
    ".jfif": "image/jpeg",
    ".avif": "image/avif",
    ".apng": "image/apng",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}


@dataclass(frozen=True)
class Source:
    """A video or image of a page. ``url`` is a data URI, or the file's address relative to the page."""

    kind: Literal["video", "image"]
    url: str
    embedded: bool


def find_sources(paths: Sequence[str], folder: Path, limit: int = EMBED_LIMIT) -> list[Source]:
    """Return a source for each path, for a page that stands in ``folder``.

    A file that browsers may show is embedded while all embedded ones together stay within ``limit`` bytes; every
    other, one that is missing or cannot be read too, is linked.
    """
    sources = []
    remaining = limit
    for path in paths:
        suffix = Path(path).suffix.lower()
        mime = (_VIDEO_TYPES | _IMAGE_TYPES).get(suffix)
        content = _read_within_limit(Path(path), remaining) if mime else None
        if content is None:
            # Objects of buckets are named, though no browser can open them.
            url = path if is_object_uri(path) else _build_relative_url(Path(path), folder)
        else:
            remaining -= len(content)
            url = f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
        sources.append(Source("image" if _is_image(Path(path)) else "video", url, content is not None))
    return sources


def _is_image(path: Path) -> bool:
    """Whether a file is shown as an image: by its suffix or, where that says nothing, by how it begins."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        # A pipe would be waited for.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return is_image_content(file.read(HEAD_BYTES))
    except OSError:
        return False


def _read_within_limit(path: Path, limit: int) -> bytes | None:
    """Read the file's bytes; None where there are more than ``limit``, none at all, or none that can be read."""
    try:
        if not path.is_file() or not 0 < path.stat().st_size <= limit:
            return None
        return path.read_bytes()
    except OSError:
        return None


def _build_relative_url(path: Path, folder: Path) -> str:
    """A file's address relative to the page; its name alone where the way there would tell whose machine this is."""
    file, page, home = Path(os.path.abspath(path)), Path(os.path.abspath(folder)), Path.home()
    leads_home = home != Path("/") and file.is_relative_to(home) and not page.is_relative_to(home)
    relative = file.name if leads_home else Path(os.path.relpath(file, page)).as_posix()
    # Names need not be valid text; their bytes are what counts.
    return quote(os.fsencode(relative))
