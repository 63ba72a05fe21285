"""Texts of others in a terminal or a log: what would steer the terminal, or turn the reading order, is written out."""

import logging
import re

# Control characters but tab and new line; marks of direction; separators of lines that look like none.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def make_visible(text: str) -> str:
    r"""Return a text in which characters that would steer a terminal are written as escapes.

    Args:
        text: A name, a sentence or several lines, perhaps of a file that anybody made.

    Examples:
        >>> make_visible("a\x1b[2J.mp4")
        'a\\x1b[2J.mp4'
    """
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class VisibleRecord(logging.LogRecord):
    """A record of a log, in whose message nothing steers a terminal."""

    def getMessage(self) -> str:  # noqa: N802
        """Return the message with its arguments."""
        return make_visible(super().getMessage())


def log_visibly() -> None:
    """Let this program's log, in the terminal and in files, have no control characters."""
    logging.setLogRecordFactory(VisibleRecord)
