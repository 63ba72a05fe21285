"""What the bundle itself answers in PyTorch to the inputs of its graph."""

import numpy as np

from fer.bundle.io import Bundle
from fer.bundle.onnx_trial import INPUT, MASK
from fer.bundle.predictor import ClipPredictor, Predictor
from fer.bundle.torch_backend import TorchClipNetwork, TorchNetwork
from fer.export.clip_graph import CLIPS
from fer.export.inputs import ModelInputs
from fer.export.measurement import BATCH_SIZES, Answer


def build_bundle_answer(bundle: Bundle) -> Answer:
    """Return what a bundle answers to examples of its graph's inputs, by its predictor.

    Args:
        bundle: The bundle, on the CPU.
    """
    if bundle.description.temporal is None:
        return _build_face_answer(Predictor(bundle.description, TorchNetwork(bundle)))
    network = TorchClipNetwork(bundle)
    predictor = ClipPredictor(bundle.description, network)

    def answer(inputs: ModelInputs) -> np.ndarray:
        return np.concatenate([answer_batch(batch) for batch in inputs.iter_batches(BATCH_SIZES[-1])])

    def answer_batch(batch: dict[str, np.ndarray]) -> np.ndarray:
        clips, mask = batch[CLIPS], batch[MASK]
        features = network.encode(clips.reshape(-1, *clips.shape[2:]), mask.size)
        return predictor.predict_windows(features.reshape(*mask.shape, -1), mask)

    return answer


def _build_face_answer(predictor: Predictor) -> Answer:
    def answer(inputs: ModelInputs) -> np.ndarray:
        return predictor.predict_all(list(inputs.load(slice(None))[INPUT]))

    return answer
