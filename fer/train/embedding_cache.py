"""Features of images by a frozen encoder, computed once and kept in the cache, block by block."""

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor, nn

from fer.core.io import atomic_write, write_text
from fer.core.progress import track_progress
from fer.data.image_store import ImageStore
from fer.errors import DataError, ModelError, shorten_error
from fer.models.fitted_heads import HeadBody
from fer.models.network import FaceNetwork

# A killed run goes on after its last whole block; a multiple of the images computed at a time, so that blocks change
# no sum.
BLOCK, BATCH = 1024, 128
EMBEDDINGS_DIR = "embeddings"
ENCODER_JSON = "encoder.json"
# From images (N, h, w, C) uint8 and the number of their batch to pixels (N, C, side, side) float32 in 0 to 1.
Change = Callable[[Tensor, int], Tensor]


class EmbeddingCache:
    """The features that an encoder gives of a store's images.

    Each block is a file `<name>.npy`, a row an image, beside `<name>.parquet`, whose column `image` is the row in the
    store. The directory's name stands for whatever the features follow from, threads included: one that is there is
    what would be computed.

    Args:
        cache_dir: The cache of decoded images.
        network: The network whose encoder it is, on its device; whether it has its head yet does not matter.
        store: The images.
    """

    def __init__(self, cache_dir: str, network: FaceNetwork, store: ImageStore) -> None:
        assert isinstance(network.body, HeadBody), "its encoder is apart from its head"
        self.network, self.encoder, self.store = network, network.body.encoder.eval(), store
        facts = _describe(network, self.encoder, store)
        text = json.dumps(facts, indent=2, sort_keys=True) + "\n"
        self.folder = Path(cache_dir) / EMBEDDINGS_DIR / hashlib.sha256(text.encode()).hexdigest()[:20]
        write_text(self.folder / ENCODER_JSON, text)

    def embed(self, rows: np.ndarray, change: Change | None = None, name: str = "") -> np.ndarray:
        """Return features (len(rows), D) float32.

        Args:
            rows: Rows of the store, one at least.
            change: Changes the images first; None takes them as they are.
            name: What else the features follow from with ``change``.

        Raises:
            ModelError: A feature is not finite.
            DataError: A file of the cache is damaged.
        """
        starts = range(0, len(rows), BLOCK)
        blocks = [
            self._embed_block(rows[start : start + BLOCK], start // BLOCK, change, name)
            for start in track_progress(
                starts, len(rows), "Embedding images", size=lambda start: min(BLOCK, len(rows) - start)
            )
        ]
        return np.concatenate(blocks)

    def _embed_block(self, rows: np.ndarray, number: int, change: Change | None, name: str) -> np.ndarray:
        key = hashlib.sha256(f"{name}\0{number if change else ''}\0".encode() + rows.astype("<i8").tobytes())
        path = self.folder / f"{key.hexdigest()[:20]}.npy"
        if not path.is_file():
            # Jobs of a sweep need the same blocks at the same time.
            with FileLock(self.folder / ".lock"):
                if not path.is_file():
                    self._write_block(path, rows, number, change)
        try:
            features: np.ndarray = np.load(path, allow_pickle=False)
            if features.ndim != 2 or len(features) != len(rows) or features.dtype != np.float32:
                raise ValueError("it does not hold what its name says")
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read ({shorten_error(error)}); remove this file") from None
        return features

    def _write_block(self, path: Path, rows: np.ndarray, number: int, change: Change | None) -> None:
        features = self._compute(rows, number, change)
        if not np.isfinite(features).all():
            raise ModelError(f"{self.network.name}: an embedding is not finite; use other weights, or another model")
        with atomic_write(path.with_suffix(".parquet")) as temporary:
            pd.DataFrame({"image": rows}).to_parquet(temporary, index=False)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, features, allow_pickle=False)

    @torch.inference_mode()
    def _compute(self, rows: np.ndarray, number: int, change: Change | None) -> np.ndarray:
        parts = []
        for start in range(0, len(rows), BATCH):
            images = torch.from_numpy(self.store.images[rows[start : start + BATCH]]).to(self.network.mean.device)
            if change is not None:
                images = change(images, number * (BLOCK // BATCH) + start // BATCH)
            parts.append(self.encoder(self.network.preprocess(images)).float().cpu().numpy())
        return np.concatenate(parts)


class EmbeddedHead:
    """A fitted head that answers for images by their features in the cache, as its whole network does.

    Args:
        cache: The features.
        head: The head, on the CPU.
        training: The features (N, D) that it was fitted on.
    """

    affect = False

    def __init__(self, cache: EmbeddingCache, head: nn.Module, training: np.ndarray) -> None:
        self.cache, self.head = cache, head
        # What metrics.json says of them.
        self.facts = {
            "images": len(training),
            "dimensions": int(training.shape[1]),
            "sha256": hashlib.sha256(np.ascontiguousarray(training).data).hexdigest(),
        }

    def predict_outputs(self, _: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return logits (len(rows), classes) of rows of the store; the images themselves are not needed."""
        return compute_logits(self.head, self.cache.embed(rows))


@torch.inference_mode()
def compute_logits(head: nn.Module, features: np.ndarray) -> np.ndarray:
    """Return logits (N, classes) of features (N, D), so many at a time as networks compute them."""
    parts = [
        head(torch.from_numpy(features[start : start + BATCH])).numpy() for start in range(0, len(features), BATCH)
    ]
    return np.concatenate(parts)


def _describe(network: FaceNetwork, encoder: nn.Module, store: ImageStore) -> dict[str, object]:
    """All that features follow from, but the choice of images."""
    device = network.mean.device
    hasher = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        hasher.update(f"{name}\0{tuple(tensor.shape)}\0".encode() + tensor.detach().cpu().numpy().tobytes())
    return {
        "data_fingerprint": store.fingerprint,
        "side": store.side,
        "colour": store.colour,
        "architecture": network.name,
        "image_size": network.image_size,
        "normalisation": [network.mean.flatten().tolist(), network.std.flatten().tolist()],
        "channels_last": network.memory_format == torch.channels_last,
        "weights_sha256": hasher.hexdigest(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "timm": version("timm"),
    }
