"""Drawn faces in a bundle with its networks' answers, by which every later copy of the bundle is checked."""

from pathlib import Path

import numpy as np

from fer.bundle.predictor import Predictor
from fer.bundle.reference_samples import ReferenceSamples, write_samples
from fer.synthetic import draw_dataset_face

SAMPLE_COUNT, SAMPLE_SIDE, SAMPLE_SEED = 14, 96, 2**31


def write_reference_samples(bundle: Path) -> None:
    """Draw the faces, and write them with the bundle's answers in PyTorch into its directory."""
    images = np.stack([draw_dataset_face(SAMPLE_SEED, number, SAMPLE_SIDE).image for number in range(SAMPLE_COUNT)])
    write_samples(bundle, ReferenceSamples(images, Predictor.load(str(bundle)).predict(list(images))))
