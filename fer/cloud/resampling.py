"""Bootstrap samples of a batch whose faces are not independent: videos are drawn, and stretches of tracks in them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

RESAMPLES = 2000
SEED = 0
# Faces of one person a moment apart look alike. What is drawn together is a track's faces of so many seconds.
STRETCH_S = 5.0
MOST_AT_A_TIME = 1 << 22  # numbers drawn: bounds the memory where the batch has many thousand images


@dataclass(frozen=True)
class Stretches:
    """What is drawn. ``of_row`` (rows,): the stretch of each face; ``video`` (stretches,): ascending numbers from 0."""

    of_row: np.ndarray
    video: np.ndarray

    @classmethod
    def of(cls, faces: pd.DataFrame) -> "Stretches":
        """The stretches of rows of the emotion table (video, track_id, time_s)."""
        video = pd.factorize(faces["video"], sort=True)[0]
        track = faces["track_id"].fillna(-1).to_numpy("int64")
        part = np.floor(faces["time_s"].to_numpy(float) / STRETCH_S).astype("int64")
        found, of_row = np.unique(np.column_stack([video, track, part]), axis=0, return_inverse=True)
        return cls(of_row.reshape(-1), found[:, 0])

    def counts(self, codes: np.ndarray, size: int) -> np.ndarray:
        """How often each stretch has each of the codes 0 to ``size`` - 1, (stretches, size); negative ones are none."""
        known = codes >= 0
        cells = self.of_row[known] * size + codes[known]
        return np.bincount(cells, minlength=len(self.video) * size).reshape(len(self.video), size).astype(float)

    def resampled(self, counts: np.ndarray) -> np.ndarray:
        """Sums (RESAMPLES, K) of ``counts`` (stretches, K) over bootstrap samples; the same ones at every call.

        Videos are drawn with replacement, and in each drawn video as many stretches as it has: with one video only
        the stretches, with single images only these. Drawing and counting is a multinomial distribution, and drawing
        from one video several times is one draw of so many times the number.
        """
        random = np.random.default_rng(SEED)
        videos = len(self.starts) - 1
        at_a_time = max(1, min(RESAMPLES, MOST_AT_A_TIME // max(videos, 1)))
        return np.concatenate(
            [self.drawn(counts, min(at_a_time, RESAMPLES - first), random) for first in range(0, RESAMPLES, at_a_time)]
        )

    def drawn(self, counts: np.ndarray, samples: int, random: np.random.Generator) -> np.ndarray:
        sizes = np.diff(self.starts)
        times = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=samples)
        single = sizes == 1
        sums = times[:, single].astype(float) @ counts[self.starts[:-1][single]]
        for number in np.flatnonzero(~single):
            size = sizes[number]
            inside = random.multinomial(times[:, number] * size, np.full(size, 1 / size))
            sums += inside.astype(float) @ counts[self.starts[number] : self.starts[number + 1]]
        return sums

    @cached_property
    def starts(self) -> np.ndarray:
        """The first stretch of each video, and behind the last one."""
        return np.searchsorted(self.video, np.arange(self.video.max(initial=-1) + 2))
