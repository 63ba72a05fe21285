"""Trial images and metadata keys by which an exported network is checked against PyTorch."""

import numpy as np

from fer.bundle.metadata import Description

# Entries of the file's metadata: the bundle that it was made from, and what PyTorch answers to the trial pictures.
BUNDLE, ANSWERS = "bundle_sha256", "pytorch_probabilities"
TRIALS = 8


def trial_pictures(description: Description) -> np.ndarray:
    """Pictures (TRIALS, side, side, C) uint8 with coarse and fine structure, always the same."""
    random = np.random.default_rng(0)
    side, channels = description.faces.side, 3 if description.faces.colour else 1
    coarse = random.integers(0, 200, (TRIALS, side // 8 + 1, side // 8 + 1, channels)).repeat(8, 1).repeat(8, 2)
    fine = random.integers(0, 56, (TRIALS, side, side, channels))
    return (coarse[:, :side, :side] + fine).astype(np.uint8)
