"""Drawn faces and clips with the trained network's answers, by which every later copy of a bundle is checked."""

from pathlib import Path

import numpy as np

from fer.bundle.predictor import ClipPredictor, Predictor
from fer.bundle.reference_samples import ReferenceSamples, compute_answers, write_samples
from fer.synthetic import draw_dataset_face
from fer.synthetic.clips import ClipSeries

SAMPLE_COUNT, SAMPLE_SIDE, SAMPLE_SEED = 14, 96, 2**31
# Clips of different people, each as long as a window.
CLIP_COUNT = 2


def write_reference_samples(bundle_dir: Path) -> None:
    """Write the samples of a bundle that is otherwise complete."""
    predictor = Predictor.load(str(bundle_dir))
    images = _draw_clips(predictor) if isinstance(predictor, ClipPredictor) else _draw_faces()
    write_samples(bundle_dir, ReferenceSamples(images, compute_answers(predictor, images)))


def _draw_faces() -> np.ndarray:
    """Faces (N, H, W, 3) uint8."""
    return np.stack([draw_dataset_face(SAMPLE_SEED, number, SAMPLE_SIDE).image for number in range(SAMPLE_COUNT)])


def _draw_clips(predictor: ClipPredictor) -> np.ndarray:
    """Clips (N, T, H, W, 3) uint8, of the model's own step."""
    length, step_s = predictor.format.length, predictor.format.step_s
    series = ClipSeries(SAMPLE_SEED, CLIP_COUNT, fps=1 / step_s, seconds=length * step_s, motion="direction")
    # Clip by clip in one direction of time, and each by another person.
    return np.stack([series.draw_clip(2 * number).draw_frames(SAMPLE_SIDE) for number in range(CLIP_COUNT)])
