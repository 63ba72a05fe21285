"""What a graph is computed on: examples of its inputs by name, of which one batch at a time need be in memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np


class Rows(Protocol):
    """An array whose first dimension is the batch, or what gives parts of one when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class ModelInputs:
    """Examples of each input.

    Args:
        values: The examples of an input by its name, as many of each.
    """

    values: Mapping[str, Rows]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def load(self, rows: slice) -> dict[str, np.ndarray]:
        """Return some of the examples."""
        return {name: np.ascontiguousarray(values[rows]) for name, values in self.values.items()}

    def iter_batches(self, size: int) -> Iterator[dict[str, np.ndarray]]:
        """Yield the examples, so many at a time."""
        for start in range(0, len(self), size):
            yield self.load(slice(start, start + size))

    def take(self, count: int) -> Self:
        """Return the first examples, in memory."""
        return type(self)(self.load(slice(count)))


@dataclass(frozen=True)
class WindowFrames:
    """The frames of windows (N, T, side, side, C) uint8, taken from their images when they are asked for.

    Attributes:
        images: (M, …) uint8, which may be mapped from a file.
        frames: (N, T), which image each frame is.
        convert: Brings an image to the form that the model takes, (side, side, C).
    """

    images: np.ndarray
    frames: np.ndarray
    convert: Callable[[np.ndarray], np.ndarray]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        chosen = self.frames[rows]
        # Windows of a clip share frames, and so do masked points.
        numbers, places = np.unique(chosen, return_inverse=True)
        converted = np.stack([self.convert(self.images[number]) for number in numbers])
        return converted[places.reshape(chosen.shape)]
