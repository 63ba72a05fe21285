"""The files of the stage embed: features of a data set, an index of them, and a page to look at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer.core.io import atomic_write, write_text
from fer.core.run_layout import EMBEDDINGS_HTML, EMBEDDINGS_JSON, EMBEDDINGS_NPY, EMBEDDINGS_PARQUET
from fer.explain.projection import MIN_POINTS, choose_points, project_embeddings
from fer.reports.embeddings import EmbeddingsReport, write_embeddings_page


@dataclass(frozen=True)
class EmbeddedData:
    """The embeddings of N images with C classes.

    Attributes:
        samples: Their rows of the manifest; its index is the image's row in the store.
        classes: Names of the classes.
        embeddings: (N, D) float32.
        probabilities: (N, C), calibrated; None of a network that classifies nothing.
        images: All images of the store, (M, h, w, 1 or 3) uint8.
        images_file: File of those images, from which neighbours are shown later; None without one.
    """

    samples: pd.DataFrame
    classes: Sequence[str]
    embeddings: np.ndarray
    probabilities: np.ndarray | None
    images: np.ndarray
    images_file: str | None

    def build_index(self) -> pd.DataFrame:
        """Build the table of embeddings.parquet, a row an embedding."""
        table = self.samples[["sample_id", "source", "path", "split", "label"]].reset_index(drop=True)
        if self.probabilities is not None:
            table["predicted"] = np.array(self.classes, dtype=object)[self.probabilities.argmax(1)]
            for column, name in enumerate(self.classes):
                table[f"p_{name}"] = self.probabilities[:, column]
        table["image"] = self.samples.index.to_numpy(np.int64)
        return table


def write_embeddings(folder: Path, data: EmbeddedData, weights_sha256: str | None) -> pd.DataFrame:
    """Write embeddings.npy, embeddings.parquet and embeddings.json; the last one says that they are complete.

    Args:
        folder: The run directory.
        data: The embeddings.
        weights_sha256: SHA-256 of the weights that made them; None of random ones.

    Returns:
        The index.
    """
    index = data.build_index()
    with atomic_write(folder / EMBEDDINGS_NPY) as temporary, temporary.open("wb") as file:
        np.save(file, data.embeddings.astype(np.float32), allow_pickle=False)
    with atomic_write(folder / EMBEDDINGS_PARQUET) as temporary:
        index.to_parquet(temporary, index=False)
    facts = {"weights_sha256": weights_sha256, "images": data.images_file}
    write_text(folder / EMBEDDINGS_JSON, json.dumps(facts, indent=2) + "\n")
    return index


def write_projection(folder: Path, data: EmbeddedData, index: pd.DataFrame, title: str, seed: int) -> None:
    """Write embeddings.html.

    Args:
        folder: The run directory.
        data: The embeddings.
        index: What ``write_embeddings`` returned.
        title: Heading of the page.
        seed: Seed of the choice of points and of the projection.
    """
    rows = choose_points(len(index), seed)
    enough = len(rows) >= MIN_POINTS
    points = project_embeddings(data.embeddings[rows], seed) if enough else np.empty((0, 2))
    rows = rows if enough else rows[:0]
    chosen = index.iloc[rows].reset_index(drop=True)
    report = EmbeddingsReport(
        title=title,
        images=len(index),
        dimensions=data.embeddings.shape[1],
        classes=list(data.classes),
        points=points,
        table=chosen,
        pictures=np.asarray(data.images[chosen["image"].to_numpy(int)]),
        accuracy=float((index["label"] == index["predicted"]).mean()) if len(index) and "predicted" in index else None,
    )
    write_embeddings_page(report, folder / EMBEDDINGS_HTML)
