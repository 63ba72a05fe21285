"""The training faces that are nearest to a face in embedding space, from a run of the stage embed."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.core.documents import read_json_object
from fer.core.image import squeeze_gray
from fer.core.parquet import read_parquet
from fer.core.run_layout import EMBEDDINGS_JSON, EMBEDDINGS_NPY, EMBEDDINGS_PARQUET
from fer.errors import DataError, UserError, shorten_error

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Neighbour:
    """A face of an embedded data set.

    Attributes:
        sample_id: Its name in the data set.
        label: Its label.
        predicted: What the model takes it for.
        similarity: Cosine of the angle between both embeddings, 1 for the same.
        image: (H, W) or (H, W, 3) uint8; None where the decoded images of the run are gone.
    """

    sample_id: str
    label: str
    predicted: str
    similarity: float
    image: np.ndarray | None


class EmbeddedFaces:
    """The faces of a run of the stage embed, those of its training part where it has one.

    Args:
        run: The run directory.
        weights_sha256: SHA-256 of the weights of the model that asks: embeddings of another one mean nothing to it.

    Raises:
        UserError: The run holds no embeddings, or they are of another model.
        DataError: They cannot be read.
    """

    def __init__(self, run: Path, weights_sha256: str) -> None:
        if not (run / EMBEDDINGS_NPY).is_file():
            raise UserError(
                f"{run}: holds no {EMBEDDINGS_NPY}; make it with train.py 'trainer.stages=[embed]' model_uri=MODEL"
            )
        try:
            facts: dict[str, Any] = read_json_object(run / EMBEDDINGS_JSON)
            embeddings = np.load(run / EMBEDDINGS_NPY, mmap_mode="r", allow_pickle=False)
            index = read_parquet(run / EMBEDDINGS_PARQUET)
            if embeddings.ndim != 2 or len(embeddings) != len(index) or not len(index):
                raise ValueError("its files do not fit each other")
            made_by = str(facts["weights_sha256"])
        except Exception as error:
            # Damaged files raise whatever the damaged part is read by.
            raise DataError(f"{run}: the embeddings cannot be read ({shorten_error(error)}); make them anew") from None
        if made_by != weights_sha256:
            raise UserError(
                f"{run}: these embeddings are of another model (weights {made_by[:12]}…, not {weights_sha256[:12]}…); "
                "embed the data with this one"
            )
        training = np.flatnonzero(index["split"] == "train")
        self.has_training = bool(len(training))
        rows = training if self.has_training else np.arange(len(index))
        self.index = index.iloc[rows].reset_index(drop=True)
        self._directions = _normalise(np.asarray(embeddings[rows]))
        self._images = _open_images(facts.get("images"), self.index)

    def find_nearest(self, embedding: np.ndarray, count: int) -> list[Neighbour]:
        """Return the faces nearest to an embedding (D,), the nearest first."""
        similarities = self._directions @ _normalise(embedding[None])[0]
        nearest = np.argsort(-similarities, kind="stable")[:count]
        return [
            Neighbour(
                str(self.index["sample_id"][row]),
                str(self.index["label"][row]),
                str(self.index["predicted"][row]),
                float(similarities[row]),
                self._get_image(int(row)),
            )
            for row in nearest
        ]

    def _get_image(self, row: int) -> np.ndarray | None:
        if self._images is None:
            return None
        return squeeze_gray(self._images[int(self.index["image"][row])])


def _normalise(embeddings: np.ndarray) -> np.ndarray:
    values = embeddings.astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)


def _open_images(path: str | None, index: pd.DataFrame) -> np.ndarray | None:
    """The decoded images that the run was made with, in the cache of train.py; None where they are gone."""
    try:
        images = np.load(str(path), mmap_mode="r", allow_pickle=False)
        if index["image"].max() < len(images):
            return images
    except (OSError, ValueError, KeyError):
        pass
    log.warning("The decoded images of the embedded data are no longer in the cache: neighbours are named, not shown")
    return None
