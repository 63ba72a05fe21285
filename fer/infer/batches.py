"""Work on many items at once whose results come back in the order of the items."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np

# Inputs that do not fill a batch are worked on when so many items wait for them: faceless stretches can be long.
MAX_PENDING_ITEMS = 1024
T = TypeVar("T")
U = TypeVar("U")


def compute_in_batches(
    items: Iterable[tuple[T, Sequence[U]]], compute: Callable[[list[U]], np.ndarray], batch_size: int
) -> Iterator[tuple[T, np.ndarray]]:
    """Yield the items in their order, each with what is computed from its inputs.

    Args:
        items: Each with any number of inputs, or none.
        compute: Makes an array (N, …) of N inputs, also where N is 0.
        batch_size: It is given a multiple of so many inputs, but where the items end or too many of them wait.
    """
    pending: deque[tuple[T, int]] = deque()
    inputs: list[U] = []
    results = compute([])
    for entry in chain(items, [None]):
        if entry is not None:
            pending.append((entry[0], len(entry[1])))
            inputs += entry[1]
        last = entry is None or len(pending) >= MAX_PENDING_ITEMS
        if ready := len(inputs) if last else len(inputs) - len(inputs) % batch_size:
            computed = compute(inputs[:ready])
            results = np.concatenate([results, computed]) if len(results) else computed
            inputs = inputs[ready:]
        while pending and (count := pending[0][1]) <= len(results):
            yield pending.popleft()[0], results[:count]
            results = results[count:]


def pad_batch(inputs: list[U], batch_size: int) -> list[U]:
    """Fill up the last batch, so that a face's answer does not depend on the faces in its batch.

    Only so does a run that was killed and resumed give the same bytes.
    """
    return [*inputs, *[inputs[-1]] * (-len(inputs) % batch_size)]
