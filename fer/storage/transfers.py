"""Many objects at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fer.core.progress import track_progress

MAX_TRANSFERS = 8
Item = TypeVar("Item")


def run_in_parallel(func: Callable[[Item], None], items: Sequence[Item], title: str) -> None:
    """Call ``func`` with each item in a few threads, with a progress bar; the first error cancels the rest."""
    with ThreadPoolExecutor(MAX_TRANSFERS) as pool:
        try:
            for _ in track_progress(pool.map(func, items), len(items), title, "objects"):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
