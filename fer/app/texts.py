"""Texts of others within Markdown, which Streamlit's messages are."""

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])")


def escape_markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is: no link, no picture, no formula, no HTML.

    Examples:
        >>> escape_markdown("a_b.mp4")
        'a\\_b\\.mp4'
    """
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def disarm_card(card: str) -> str:
    """Return a model card whose pictures are not loaded: they would be asked for at addresses of others."""
    return card.replace("![", "!\\[")


def format_size(size: int) -> str:
    """A number of bytes as people read it."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
