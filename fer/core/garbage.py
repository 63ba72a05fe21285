"""Python's search for garbage, paused while modules are imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Look for no garbage in the block, which imports much.

    What is imported stays. Looking through it again and again takes a quarter of the time in which PyTorch comes, and
    afterwards it is never looked through again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
