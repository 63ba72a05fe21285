"""The strongest moments as captions of a player: WebVTT."""

import html
import re
from pathlib import Path

from fer.core.io import write_text
from fer.study.exports.moments import list_moments, name_moment
from fer.study.exports.prepared import PreparedStudy

# A caption's text is one line: an empty one would end it.
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def write_webvtt(study: PreparedStudy, directory: Path) -> list[Path]:
    """Write `moments_STIMULUS.vtt`: a caption a moment.

    Args:
        study: The study.
        directory: Where to.
    """
    paths = []
    for stimulus, label in study.labels.items():
        moments = list_moments(study.data, stimulus).sort_values(["start_s", "end_s"], kind="stable")
        cues = [
            f"{_format_time(start_s)} --> {_format_time(end_s)}\n{_escape(text)}\n"
            for start_s, end_s, text in zip(
                moments["start_s"], moments["end_s"], moments.apply(name_moment, axis="columns"), strict=True
            )
        ]
        paths.append(directory / f"moments_{label}.vtt")
        write_text(paths[-1], "\n".join(["WEBVTT\n", *cues]))
    return paths


def _escape(text: str) -> str:
    return html.escape(_BREAKS.sub(" ", text).strip(), quote=False)


def _format_time(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"
