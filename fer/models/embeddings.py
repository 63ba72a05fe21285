"""Embeddings: the features of a network just before its classifier."""

from typing import Any, cast

import numpy as np
import torch

from fer.errors import ModelError
from fer.models.network import FaceNetwork


@torch.inference_mode()
def predict_embeddings(
    network: FaceNetwork, images: np.ndarray, rows: np.ndarray, batch_size: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """Compute embeddings and logits of some of the images, on the network's device.

    Args:
        network: The network; it is left in evaluation mode.
        images: (M, h, w, C) uint8.
        rows: Indices of the images to compute.
        batch_size: Images at a time.

    Returns:
        (len(rows), D) and (len(rows), classes), both float32.

    Raises:
        ModelError: The architecture does not tell its features from its classifier.
    """
    device, body = network.mean.device, cast(Any, network.eval().body)
    embeddings, logits = [], []
    for start in range(0, len(rows), batch_size):
        inputs = network.preprocess(torch.from_numpy(images[rows[start : start + batch_size]]).to(device))
        # Where logits are the mean over a face and its mirror image, so are the features.
        sides = [inputs, inputs.flip(3)] if network.flip else [inputs]
        try:
            features = [body.forward_features(side) for side in sides]
            pooled = [body.forward_head(side, pre_logits=True).flatten(1) for side in features]
        except (AttributeError, TypeError):
            raise ModelError(
                f"{network.name}: this architecture does not give its features before the classifier; "
                "use a model of another one"
            ) from None
        embeddings.append(torch.stack(pooled).mean(0).float().cpu().numpy())
        outputs = torch.stack([body.forward_head(side) for side in features])
        logits.append(outputs.mean(0)[:, : network.classes].float().cpu().numpy())
    if not embeddings:
        return np.empty((0, int(body.num_features)), np.float32), np.empty((0, network.classes), np.float32)
    return np.concatenate(embeddings), np.concatenate(logits)
