"""Soft targets for a training: what its teachers answer for each training image, computed once and cached."""

import hashlib
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from fer.bundle.metadata import BundleDescription, read_description
from fer.bundle.predictor import Predictor
from fer.bundle.runtimes import Runtime
from fer.config import Config
from fer.core.io import atomic_write
from fer.core.progress import track_progress
from fer.data.datamodule import Split
from fer.data.image_store import ImageStore
from fer.errors import ModelError
from fer.registry.resolve import fetch_model
from fer.runs.run_directory import Run
from fer.train.model_keys import choose_model, name_key

TEACHERS_CACHE = "teachers"
BATCH = 512
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teacher:
    """A model that teaches: its ``uri``, directory and description."""

    uri: str
    bundle: Path
    description: BundleDescription


def fetch_teachers(config: Config, folder: Path) -> list[Teacher]:
    """Download and verify the teachers of a configuration.

    Args:
        config: The configuration, its teachers pinned.
        folder: Directory for what is fetched; models in directories of this machine stay there.

    Raises:
        UserError: One cannot be fetched.
        ModelError: One is damaged, or has other classes than the data.
    """
    teachers = []
    for number, uri in enumerate(config.model.teacher):
        with name_key("model.teacher"):
            bundle = fetch_model(choose_model(config, uri), folder / str(number)).bundle
            description = read_description(str(bundle))
        if description.temporal is not None:
            raise ModelError(f"model.teacher={uri}: is a model of clips; name one of single faces")
        if (count := len(description.classes)) != config.dataset.classes:
            raise ModelError(
                f"model.teacher={uri}: has {count} classes, but dataset.classes={config.dataset.classes}; use a "
                "teacher that was trained on the same classes"
            )
        teachers.append(Teacher(uri, bundle, description))
    return teachers


def find_teacher_weights(config: Config) -> dict[str, str]:
    """Return the SHA-256 of the weights of each teacher, by its URI. Raises as ``fetch_teachers``."""
    with tempfile.TemporaryDirectory(prefix="fer-teachers-") as folder:
        teachers = fetch_teachers(config, Path(folder))
        return {teacher.uri: teacher.description.weights_sha256 for teacher in teachers}


def record_teachers(run: Run, config: Config) -> None:
    """Write the SHA-256 of each teacher's weights into the provenance, which keeps those of the start."""
    if not config.model.teacher:
        return
    weights, recorded = find_teacher_weights(config), run.provenance.get("teachers")
    if recorded is None:
        run.update_provenance(teachers=weights)
        return
    for uri in weights:
        if weights[uri] != recorded.get(uri):
            log.warning(
                "The run goes on with another teacher: model.teacher=%s has other weights than it began with", uri
            )


def add_soft_targets(config: Config, store: ImageStore, train: Split, device: str) -> Split:
    """Return the training split with the teachers' probabilities as further columns of its targets.

    Args:
        config: The run's configuration; without teachers the split is returned as it is.
        store: The images.
        train: The training split, targets (N, classes).
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        The split, targets (N, 2 classes): those of the labels, then those of the teachers.

    Raises:
        UserError: A teacher cannot be used.
    """
    if not config.model.teacher:
        return train
    cache = Path(config.dataset.cache_dir).absolute() / TEACHERS_CACHE
    cache.mkdir(parents=True, exist_ok=True)
    # Of several processes that train together one computes, and the others read.
    with FileLock(cache / ".lock"), tempfile.TemporaryDirectory(dir=cache, prefix=".fetched-") as folder:
        teachers = fetch_teachers(config, Path(folder))
        path = cache / f"{_compute_key(store, train.rows, teachers)}.npy"
        if not path.is_file():
            log.info("Computing the answers of %d teachers once into %s", len(teachers), path)
            probabilities = compute_soft_targets(store.images[train.rows], teachers, device)
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.save(file, probabilities)
        soft = np.load(path, allow_pickle=False)
    return Split(train.rows, np.concatenate((train.targets, soft), axis=1), train.weights)


def _compute_key(store: ImageStore, rows: np.ndarray, teachers: Sequence[Teacher]) -> str:
    """Name of the cached answers: by images and by the teachers' weights and descriptions."""
    facts = [store.fingerprint, store.side, store.colour, *(teacher.description.sha256 for teacher in teachers)]
    return hashlib.sha256(json.dumps(facts).encode() + rows.astype("<i8").tobytes()).hexdigest()[:32]


def compute_soft_targets(images: np.ndarray, teachers: Sequence[Teacher], device: str = "cpu") -> np.ndarray:
    """Compute the mean answer of the teachers, each asked for the image and its mirror image.

    Answers are taken before calibration, which was fitted on validation images: a student that learnt from it would
    have seen something of them. For the same reason an ensemble answers with the plain mean of its members.

    Args:
        images: (N, h, w, C) uint8.
        teachers: One or more.
        device: ``cpu``, where ONNX Runtime computes, or a device of PyTorch.

    Returns:
        Probabilities (N, classes) float32.
    """
    runtime: Runtime = "onnx" if device == "cpu" else "torch"
    loaded = [Predictor.load(str(teacher.bundle), device=device, runtime=runtime) for teacher in teachers]
    predictors = [predictor.without_calibration() for predictor in loaded]
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    blocks = []
    for batch in track_progress(batches, len(images), "Asking the teachers", size=len):
        faces = list(batch)
        blocks.append(np.mean([predictor.predict(faces, flip=True) for predictor in predictors], axis=0))
    return np.concatenate(blocks).astype(np.float32)
