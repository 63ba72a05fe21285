"""Many transfers at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fer.progress import progress

TRANSFERS = 8
Item = TypeVar("Item")


def in_parallel(work: Callable[[Item], None], items: Sequence[Item], title: str) -> None:
    """Do ``work`` on each item, several at a time; the first error ends it."""
    with ThreadPoolExecutor(TRANSFERS) as pool:
        try:
            for _ in progress(pool.map(work, items), len(items), title, "objects"):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
