"""Valence and arousal as further targets of a training."""

from dataclasses import replace

import numpy as np

from fer.data.datamodule import Split
from fer.data.manifest import Manifest
from fer.emotions import AFFECT
from fer.errors import DataError

# A correlation of fewer images means nothing.
MIN_IMAGES = 2


def add_affect_targets(manifest: Manifest, *splits: Split) -> list[Split]:
    """Return splits with valence and arousal behind the classes of their targets.

    Args:
        manifest: The images.
        splits: The training split first.

    Returns:
        The splits, targets (N, classes + 2); NaN where an image has none.

    Raises:
        DataError: Too few training images have them.
    """
    values = manifest.get_affect()
    result = [
        replace(split, targets=np.concatenate((split.targets, values.loc[split.rows]), axis=1, dtype=np.float32))
        for split in splits
    ]
    for column, name in enumerate(AFFECT, start=splits[0].targets.shape[1]):
        if np.isfinite(result[0].targets[:, column]).sum() < MIN_IMAGES:
            raise DataError(
                f"model.affect=true: fewer than {MIN_IMAGES} training images have a value of {name}; give them a "
                "groups.csv with the columns path, valence and arousal (-1 to 1) beside the folders of images, or set "
                "model.affect=false"
            )
    return result
