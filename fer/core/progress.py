"""Progress of long work: a bar with rate and time left in a terminal, plain lines elsewhere."""

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

LINE_SECONDS = 30.0
log = logging.getLogger(__name__)


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
    start = last = time.monotonic()
    done = 0
    try:
        for item in items:
            yield item
            done += size(item)
            now = time.monotonic()
            if bar is not None:
                bar.update(done - bar.n)
            elif now - last >= LINE_SECONDS:
                last = now
                log.info(format_progress(title, done, total, unit, now - start))
    finally:
        if bar is not None:
            bar.close()


def format_progress(title: str, done: int, total: int, unit: str, seconds: float) -> str:
    """Format a line of progress: `title: 120/400 images, 35/s, 8 s left`."""
    rate = done / max(seconds, 1e-9)
    return f"{title}: {done}/{total} {unit}, {rate:.0f}/s, {(total - done) / max(rate, 1e-9):.0f} s left"
