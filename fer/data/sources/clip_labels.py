"""Clips as a data set labels them, however it does: the rows that a source of clips is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fer.data.clips.media import ClipSpan
from fer.emotions import normalize_label

LEFT_OUT_BY_MAP = "label left out by class_map"
NO_CLASS = "emotion that is none of the classes"


@dataclass(frozen=True)
class LabelledClip:
    """A clip with what is known of it; ``subject`` is "" where it is not known, ``part`` where there is none."""

    span: ClipSpan
    label: str
    subject: str = ""
    part: str = ""
    groups: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The video, and the stretch of it as a media fragment: clip.mp4#t=2,4.5."""
        start, end = self.span.start_s, self.span.end_s
        if not start and end is None:
            return self.span.video
        stretch = _format_time(start) + ("" if end is None else f",{_format_time(end)}")
        return f"{self.span.video}#t={stretch}"


def _format_time(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


@dataclass
class ClipLabels:
    """The clips of a data set, and what is wrong with its files.

    Attributes:
        clips: The clips.
        group_columns: Names of what else is known of each.
        problems: (row or video, reason) of what cannot be used.
        refused: Videos of the problems.
        unused: Video: why it is no clip.
    """

    clips: list[LabelledClip] = field(default_factory=list)
    group_columns: tuple[str, ...] = ()
    problems: list[tuple[str, str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    unused: dict[str, str] = field(default_factory=dict)


def resolve_label(label: str, class_map: Mapping[str, str | None]) -> tuple[str | None, str]:
    """Resolve a label by the map, or by its usual spellings.

    Returns:
        The class, and ""; or None, and LEFT_OUT_BY_MAP or NO_CLASS.
    """
    if label in class_map:
        mapped = class_map[label]
        return (None, LEFT_OUT_BY_MAP) if mapped is None else (normalize_label(mapped), "")
    known = normalize_label(label)
    return (known, "") if known else (None, NO_CLASS)
