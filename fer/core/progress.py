"""Progress of long work: a bar with rate and time left in a terminal, plain lines elsewhere."""

import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

LINE_SECONDS = 30.0
# A program that shows how far another one has come asks it for lines in other intervals, seconds.
INTERVAL_ENV = "FER_PROGRESS_SECONDS"
_LINE = re.compile(
    r"(?P<title>.+): (?P<done>\d{1,12})/(?P<total>\d{1,12}) (?P<unit>[a-z ]+), "
    r"(?P<rate>\d{1,12})/s, (?P<left>-?\d{1,20}) s left"
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far something has come, as a line of ``format_progress`` tells it.

    Attributes:
        title: What is being done.
        done: How much is done, in ``unit``.
        total: How much there is to do, an estimate in some cases: ``done`` may be more.
        unit: What is counted.
        seconds_left: How long it will still take at the rate until now.
    """

    title: str
    done: int
    total: int
    unit: str
    seconds_left: int

    @property
    def share(self) -> float:
        """How much of all is done, from 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


def create_progress_bar(total: int, title: str, unit: str) -> "tqdm[Any]":
    """Create a bar as wide as the terminal, taken as 80 x 24 where its size is not known."""
    size = shutil.get_terminal_size()
    return tqdm(total=total, desc=title, unit=unit, leave=False, ncols=size.columns, nrows=size.lines)


def track_progress(
    items: Iterable[T], total: int, title: str, unit: str = "images", size: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """Yield items and show the progress.

    Args:
        items: The items.
        total: How much there is to do, in ``unit``.
        title: What is being done.
        unit: What is counted.
        size: How much of ``total`` an item is.
    """
    bar = create_progress_bar(total, title, f" {unit}") if sys.stderr.isatty() else None
    interval = _read_interval()
    start = last = time.monotonic()
    done = 0
    try:
        for item in items:
            yield item
            done += size(item)
            now = time.monotonic()
            if bar is not None:
                bar.update(done - bar.n)
            elif now - last >= interval:
                last = now
                log.info(format_progress(title, done, total, unit, now - start))
    finally:
        if bar is not None:
            bar.close()


def _read_interval() -> float:
    with suppress(KeyError, ValueError):
        return float(os.environ[INTERVAL_ENV])
    return LINE_SECONDS


def format_progress(title: str, done: int, total: int, unit: str, seconds: float) -> str:
    """Format a line of progress: `title: 120/400 images, 35/s, 8 s left`."""
    rate = done / max(seconds, 1e-9)
    return f"{title}: {done}/{total} {unit}, {rate:.0f}/s, {(total - done) / max(rate, 1e-9):.0f} s left"


def parse_progress(line: str) -> Progress | None:
    """Read a line of ``format_progress``; None for any other line."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    return Progress(match["title"], int(match["done"]), int(match["total"]), match["unit"], max(int(match["left"]), 0))
