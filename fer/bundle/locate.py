"""Which directory of this machine a model's name means: a path, the shipped model, or the newest training."""

import re
from pathlib import Path

from fer.core.installation import PACKAGE_DIR
from fer.core.io import compute_sha256
from fer.core.run_layout import BUNDLE_DIR, RUN_YAML
from fer.errors import ModelError, UserError

DESCRIPTION_FILE = "bundle.yaml"
# The model that comes with the program, and the newest training below TRAININGS.
PRETRAINED, LATEST = "pretrained", "latest"
PRETRAINED_DIR = PACKAGE_DIR / "pretrained"
TRAININGS = Path("outputs/train")
# As run.yaml names the shipped model: with the SHA-256 of its bundle.yaml, which repeats that of its weights.
_PINNED = re.compile(rf"{PRETRAINED}@sha256:(?P<digest>[0-9a-f]{{64}})")
RESTORE_PRETRAINED = "install fer-experiments again (in a checkout: git checkout -- fer/pretrained)"


def names_pretrained(model_uri: str) -> bool:
    """Whether ``model_uri`` names the shipped model, pinned or not."""
    return model_uri == PRETRAINED or _PINNED.fullmatch(model_uri) is not None


def is_shipped(folder: Path) -> bool:
    """Whether a directory is that of the shipped model, or lies in it."""
    return folder.resolve().is_relative_to(PRETRAINED_DIR)


def locate_model(model_uri: str) -> Path:
    """Return the directory that ``model_uri`` means on this machine; a path need not exist.

    Args:
        model_uri: A path, ``pretrained``, the shipped model as a run.yaml pins it, or ``latest``.

    Raises:
        ModelError: This installation lacks the shipped model, or has another one than is pinned.
        UserError: There is no training.
    """
    if names_pretrained(model_uri):
        return _locate_pretrained(model_uri)
    return find_newest_model() if model_uri == LATEST else Path(model_uri).expanduser()


def pin_pretrained(model_uri: str = PRETRAINED) -> str:
    """Return the name of the shipped model that will never mean another one. Raises ModelError, as ``locate_model``."""
    return f"{PRETRAINED}@sha256:{compute_sha256(locate_model(model_uri) / BUNDLE_DIR / DESCRIPTION_FILE)}"


def find_newest_model() -> Path:
    """Return the directory of the newest training with a bundle below outputs/train. Raises UserError."""
    runs = [path.parents[1] for path in TRAININGS.glob(f"*/*/{BUNDLE_DIR}/{DESCRIPTION_FILE}")]
    if not runs:
        raise UserError(f"model_uri: there is no trained model below {TRAININGS}; run train.py, or name one")
    # outputs/train/DATE/TIME-NAME; of several runs of one second the one whose directory was made last.
    return max(runs, key=lambda run: (run.parent.name, run.name[:8], _read_birth(run))).resolve()


def _read_birth(run: Path) -> int:
    """When a run's first file was written, ns: its configuration, which is never written again."""
    return (run / RUN_YAML).stat().st_mtime_ns if (run / RUN_YAML).is_file() else 0


def _locate_pretrained(model_uri: str) -> Path:
    path = PRETRAINED_DIR / BUNDLE_DIR / DESCRIPTION_FILE
    if not path.is_file():
        raise ModelError(
            f"model_uri={model_uri}: this copy of the program has no shipped model ({path} is missing); "
            f"{RESTORE_PRETRAINED}, or name a model of your own"
        )
    pinned = _PINNED.fullmatch(model_uri)
    if pinned is not None and (digest := compute_sha256(path)) != pinned["digest"]:
        raise ModelError(
            f"model_uri={model_uri}: the shipped model has changed since (SHA-256 of its bundle.yaml: {digest}); "
            f"use the version of the program that made the run, or model_uri={PRETRAINED} for the model of this one"
        )
    return PRETRAINED_DIR
