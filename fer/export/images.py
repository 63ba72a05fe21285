"""The images that an exported file is checked and calibrated by."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer.bundle.metadata import BundleDescription, FaceFormat
from fer.config import Config
from fer.core.image import to_native
from fer.data.image_store import convert_images
from fer.data.sources import Source
from fer.errors import DataError
from fer.synthetic import draw_dataset_face
from fer.train.inputs import prepare_data

# No data set has the drawn faces of this seed. One more than a batch, so that a batch of one is computed, too.
DRAWN_COUNT, DRAWN_SIDE, DRAWN_SEED = 33, 96, 2**31 + 1
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckImages:
    """Images in the native form of a bundle, (N, side, side, C) uint8.

    Attributes:
        drawn: Drawn faces, the same for every export.
        validation: The validation images of the data set that are of the model's classes.
        labels: Their classes.
        calibration: Some training images of the data set; none where nothing is quantised.
    """

    drawn: np.ndarray
    validation: np.ndarray
    labels: np.ndarray
    calibration: np.ndarray


def collect_images(config: Config, description: BundleDescription, sources: list[Source]) -> CheckImages:
    """Draw faces, and read those of the data set.

    Args:
        config: The configuration, of which `dataset`, `export` and the seed count.
        description: The bundle.
        sources: The data sets.

    Raises:
        UserError: A data set cannot be read, or has no image of the kind that is needed.
    """
    # Nothing is trained, so that the rules for training data do not apply.
    trainer = config.trainer.model_copy(update={"stages": ("test",)})
    data = prepare_data(config.model_copy(update={"trainer": trainer}), description.image_size, sources)
    faces, classes = description.faces, description.classes
    images = convert_images(data.store, faces.side, faces.colour)
    samples = data.manifest.samples
    samples = samples[samples["label"].isin(classes)]
    names = ", ".join(config.dataset.sources)
    validation = samples[samples["split"] == "val"]
    if validation.empty:
        raise DataError(f"{names}: has no validation image of the model's classes, {', '.join(classes)}; name another")
    if config.export.quantize != "none" and all(spec.kind == "synthetic" for spec in config.dataset.sources.values()):
        log.warning("Calibrated and judged by drawn faces alone; name the data that the model is for by dataset=…")
    calibration = images[:0]
    if config.export.quantize != "none":
        rows = samples.index[samples["split"] == "train"].to_numpy()
        if not len(rows):
            raise DataError(f"{names}: has no training image to calibrate export.quantize by; name another")
        count = min(config.export.calibration_images, len(rows))
        calibration = images[np.sort(np.random.default_rng(config.seed).choice(rows, count, replace=False))]
    return CheckImages(
        draw_faces(faces), images[validation.index.to_numpy()], validation["label"].to_numpy(str), calibration
    )


def draw_faces(faces: FaceFormat, numbers: Sequence[int] = range(DRAWN_COUNT)) -> np.ndarray:
    """Draw faces in a native form, (N, side, side, C) uint8."""
    drawn = (draw_dataset_face(DRAWN_SEED, number, DRAWN_SIDE).image for number in numbers)
    return np.stack([to_native(image, faces.side, faces.colour) for image in drawn])
