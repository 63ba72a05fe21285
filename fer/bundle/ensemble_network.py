"""The networks of an ensemble as one, in any runtime: the weighted mean of their calibrated probabilities."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from fer.bundle.answers import compute_answers
from fer.bundle.metadata import BundleDescription, FaceFormat, Member
from fer.core.image import squeeze_gray, to_native
from fer.metrics.calibration import Calibration

# No logarithm of 0, and no infinite inverse of the hyperbolic tangent.
_LEAST, _LARGEST_AFFECT = 1e-30, 1 - 1e-7


class _Network(Protocol):
    """What ``fer.bundle.predictor.Network`` is here."""

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray: ...


class EnsembleNetwork:
    """The networks of an ensemble; as a network, it answers with the logarithms of the mean probabilities.

    Each member gets the faces in its own native form, and its answers are calibrated by its own bundle.

    Args:
        description: The ensemble's bundle.
        networks: Its members' networks, in their order.
    """

    def __init__(self, description: BundleDescription, networks: Sequence[_Network]) -> None:
        self.description = description
        self.networks = tuple(networks)

    @property
    def affect(self) -> bool:
        """Whether valence and arousal are outputs, too."""
        return self.description.affect

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8, of which the softmax is taken.

        The first are logarithms of mean probabilities; valence and arousal stand before the hyperbolic tangent, as
        those of single networks do.
        """
        parts = [
            self._compute_batch(np.asarray(native[start : start + batch_size]), batch_size)
            for start in range(0, len(native), batch_size)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.description.columns)), np.float32)

    def predict_outputs(self, images: np.ndarray, rows: np.ndarray, batch_size: int = 128) -> np.ndarray:
        """Return the outputs of some of the images (M, side, side, C) uint8, which may be mapped from a file."""
        parts = [
            self._compute_batch(np.asarray(images[rows[start : start + batch_size]]), batch_size)
            for start in range(0, len(rows), batch_size)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.description.columns)), np.float32)

    def _compute_batch(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        columns, faces = self.description.columns, self.description.faces
        mean = np.zeros((len(native), len(columns)))
        for member, network in zip(self.description.members, self.networks, strict=True):
            outputs = network.compute_outputs(_convert(native, faces, member.description.faces), batch_size)
            answers = compute_answers(member.description, outputs)
            # Members may have learnt the classes in another order.
            order = [member.description.columns.index(name) for name in columns]
            mean += member.weight * answers[:, order]
        classes = len(self.description.classes)
        affect = np.arctanh(mean[:, classes:].clip(-_LARGEST_AFFECT, _LARGEST_AFFECT))
        return np.concatenate((np.log(mean[:, :classes].clip(_LEAST)), affect), axis=1).astype(np.float32)

    def without_fitted(self) -> "EnsembleNetwork":
        """Return the plain mean of the members before calibration: nothing in it was fitted on validation."""
        members = self.description.members
        plain = tuple(
            Member(1 / len(members), replace(member.description, calibration=Calibration(1.0))) for member in members
        )
        return EnsembleNetwork(replace(self.description, members=plain, calibration=Calibration(1.0)), self.networks)


def _convert(native: np.ndarray, given: FaceFormat, wanted: FaceFormat) -> np.ndarray:
    """Bring native faces (N, side, side, C) of an ensemble to the native form of a member."""
    if given == wanted:
        return native
    faces = [to_native(squeeze_gray(face), wanted.side, wanted.colour) for face in native]
    return np.stack(faces) if faces else np.empty((0, wanted.side, wanted.side, 3 if wanted.colour else 1), np.uint8)
