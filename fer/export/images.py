"""The images that an exported file is checked and calibrated by."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fer.bundle.metadata import BundleDescription, FaceFormat
from fer.bundle.onnx_trial import INPUT, MASK
from fer.config import Config
from fer.core.image import squeeze_gray, to_native
from fer.data.clips.index import MIDDLE, ClipWindows
from fer.data.image_store import ImageStore, convert_images
from fer.data.sources import Source
from fer.errors import DataError
from fer.export.clip_graph import CLIPS
from fer.export.inputs import ModelInputs, WindowFrames
from fer.synthetic import draw_dataset_face
from fer.train.clip_inputs import select_windows
from fer.train.inputs import prepare_data

# No data set has the drawn faces of this seed. One more than a batch, so that a batch of one is computed, too.
DRAWN_COUNT, DRAWN_SIDE, DRAWN_SEED = 33, 96, 2**31 + 1
# Share of the frames of drawn windows that are there; kinds of sources that are drawn.
WHOLE, DRAWN_KINDS = 0.7, ("synthetic", "synthetic_clips")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckImages:
    """Images in the native form of a bundle, or windows of them for a model of clips, as inputs of its graph.

    Attributes:
        drawn: Drawn faces, the same for every export.
        validation: The validation part of the data set, as far as it is of the model's classes.
        labels: Their classes.
        calibration: Some of the training part of the data set; none where nothing is quantised.
        things: What they are: images or clips.
    """

    drawn: ModelInputs
    validation: ModelInputs
    labels: np.ndarray
    calibration: ModelInputs
    things: str = "images"


def collect_images(config: Config, description: BundleDescription, sources: list[Source]) -> CheckImages:
    """Draw faces, and read those of the data set.

    Args:
        config: The configuration, of which `dataset`, `export` and the seed count.
        description: The bundle.
        sources: The data sets.

    Raises:
        UserError: A data set cannot be read, is of clips for a model of faces or the other way round, or has no image
            of the kind that is needed.
    """
    # Nothing is trained, so that the rules for training data do not apply.
    trainer = config.trainer.model_copy(update={"stages": ("test",)})
    data = prepare_data(config.model_copy(update={"trainer": trainer}), description.image_size, sources)
    windows, classes = select_windows(data.store, description.temporal), description.classes
    thing = "image" if windows is None else "clip"
    samples = data.manifest.samples
    samples = samples[samples["label"].isin(classes)]
    names = ", ".join(config.dataset.sources)
    validation = samples[samples["split"] == "val"]
    if validation.empty:
        raise DataError(
            f"{names}: has no validation {thing} of the model's classes, {', '.join(classes)}; name another"
        )
    quantizes = config.export.quantize != "none"
    if quantizes and all(spec.kind in DRAWN_KINDS for spec in config.dataset.sources.values()):
        log.warning("Calibrated and judged by drawn faces alone; name the data that the model is for by dataset=…")
    rows = np.empty(0, int)
    if quantizes:
        rows = samples.index[samples["split"] == "train"].to_numpy()
        if not len(rows):
            raise DataError(f"{names}: has no training {thing} to calibrate export.quantize by; name another")
        count = min(config.export.calibration_images, len(rows))
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, count, replace=False))
    read = _build_reader(data.store, description.faces, windows)
    drawn = draw_faces(description.faces)
    return CheckImages(
        ModelInputs({INPUT: drawn})
        if description.temporal is None
        else draw_windows(drawn, description.temporal.length),
        read(validation.index.to_numpy()),
        validation["label"].to_numpy(str),
        read(rows),
        f"{thing}s",
    )


def _build_reader(
    store: ImageStore, faces: FaceFormat, windows: ClipWindows | None
) -> Callable[[np.ndarray], ModelInputs]:
    """What gives rows of the store's index as inputs: images, or the windows in the middle of clips."""
    if windows is None:
        images = convert_images(store, faces.side, faces.colour)
        return lambda rows: ModelInputs({INPUT: images[rows]})

    def convert(image: np.ndarray) -> np.ndarray:
        return to_native(squeeze_gray(image), faces.side, faces.colour)

    def read(rows: np.ndarray) -> ModelInputs:
        frames, mask = windows.select(rows, np.full(len(rows), MIDDLE))
        return ModelInputs({CLIPS: WindowFrames(store.images, frames, convert), MASK: mask})

    return read


def draw_faces(faces: FaceFormat, numbers: Sequence[int] = range(DRAWN_COUNT)) -> np.ndarray:
    """Draw faces in a native form, (N, side, side, C) uint8."""
    drawn = (draw_dataset_face(DRAWN_SEED, number, DRAWN_SIDE).image for number in numbers)
    return np.stack([to_native(image, faces.side, faces.colour) for image in drawn])


def draw_windows(images: np.ndarray, length: int) -> ModelInputs:
    """Windows of images (M, side, side, C), M of this length: the first is whole, the others have holes."""
    numbers = np.arange(len(images))
    frames = (numbers[:, None] + np.arange(length)) % len(images)
    mask = np.random.default_rng(0).random(frames.shape) < WHOLE
    mask[0], mask[numbers, numbers % length] = True, True
    return ModelInputs({CLIPS: images[frames], MASK: mask})
