"""What an exported network is made with and checked by: trial images, metadata keys, names, version of operations."""

import numpy as np

from fer.bundle.metadata import BundleDescription

# Entries of the ONNX file's metadata: hash of the bundle it was exported from, PyTorch's answers to the trial images.
BUNDLE_KEY, PROBABILITIES_KEY = "bundle_sha256", "pytorch_probabilities"
TRIAL_COUNT = 8
# The first version of ONNX's operations with layer normalisation as one of them; names of the graph's input and output.
OPSET_VERSION = 17
INPUT, OUTPUT = "faces", "logits"
# Of the two graphs of a model of clips: the first gives features, the second takes those of windows, and a mask.
FEATURES, MASK = "features", "mask"


def generate_trial_images(description: BundleDescription) -> np.ndarray:
    """Return images (TRIAL_COUNT, side, side, C) uint8 with coarse and fine structure, always the same."""
    rng = np.random.default_rng(0)
    side, channels = description.faces.side, 3 if description.faces.colour else 1
    coarse = rng.integers(0, 200, (TRIAL_COUNT, side // 8 + 1, side // 8 + 1, channels)).repeat(8, 1).repeat(8, 2)
    fine = rng.integers(0, 56, (TRIAL_COUNT, side, side, channels))
    return (coarse[:, :side, :side] + fine).astype(np.uint8)


def generate_trial_windows(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return windows of the trial images: which image each frame is, and which frames are there, both (N, length)."""
    rng = np.random.default_rng(1)
    frames = rng.integers(0, TRIAL_COUNT, (4, length))
    mask = rng.random((4, length)) < 0.5
    mask[0] = True
    mask[1], mask[1:, -1] = False, True
    return frames, mask
