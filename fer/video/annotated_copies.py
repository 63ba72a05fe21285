"""Where the annotated copies of a run's videos and images lie, in one folder: no two of them under one name."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fer.video.media import Media

_SUFFIXES = (".mp4", ".png")
_DIGITS = 8


class AnnotatedCopies:
    """The annotated copies of a run.

    A copy has the name of its recording, a folder's ``/`` being ``-``. Where two would have one name, such as those of
    ``x/a.mp4`` and ``x-a.mp4``, or of ``a.mov`` and ``a.mov.mp4``, each has a part of its own in it. It keeps that
    when the other recording has left the run.

    Args:
        folder: Where they lie.
        media: All that the run looks at.
    """

    def __init__(self, folder: Path, media: Sequence[Media]) -> None:
        self.folder = folder
        self._counts = Counter(name for item in media for name in _list_names(item))

    def build_path(self, item: Media, suffix: str) -> Path:
        """Where a copy is to be written, ``.mp4`` or ``.png``."""
        return self.folder / (_build_unique_name(item, suffix) if self._is_shared(item) else _build_name(item, suffix))

    def find(self, item: Media) -> Path | None:
        """The copy of a video or image; None where there is none."""
        names = _list_unique_names(item) + ([] if self._is_shared(item) else _list_names(item))
        return next((self.folder / name for name in names if (self.folder / name).is_file()), None)

    def list_all(self, item: Media) -> list[Path]:
        """All files that may be an item's and no other's, there or not; an earlier version had one for two of them."""
        return [self.folder / name for name in (*_list_unique_names(item), *_list_names(item))]

    def _is_shared(self, item: Media) -> bool:
        return any(self._counts[name] > 1 for name in _list_names(item))


def _list_names(item: Media) -> list[str]:
    """The plain names of a copy: whether it is a video or an image is known when it is read."""
    return [_build_name(item, suffix) for suffix in _SUFFIXES]


def _list_unique_names(item: Media) -> list[str]:
    return [_build_unique_name(item, suffix) for suffix in _SUFFIXES]


def _build_name(item: Media, suffix: str) -> str:
    name = item.name.replace("/", "-")
    return name if name.endswith(suffix) else name + suffix


def _build_unique_name(item: Media, suffix: str) -> str:
    digest = hashlib.sha256(item.name.encode()).hexdigest()[:_DIGITS]
    return f"{_build_name(item, suffix).removesuffix(suffix)}-{digest}{suffix}"
