"""The predictors: images of single faces, or of runs of frames, in; probabilities out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from typing_extensions import override

from fer.bundle.answers import compute_answers
from fer.bundle.ensemble import compose_ensemble
from fer.bundle.ensemble_network import EnsembleNetwork
from fer.bundle.metadata import BundleDescription, read_description
from fer.bundle.runtimes import RUNTIMES, ClipBackend, Network, Runtime
from fer.bundle.sliding_windows import BLOCK, judge_in_batches, slide
from fer.core.image import to_native
from fer.metrics.calibration import Calibration
from fer.models.clip_format import TemporalFormat


class Predictor:
    """Classifies images of single faces with the network of a bundle, or with the networks of an ensemble.

    Every image is first brought to the colour and the native resolution of the training faces, which the bundle
    states, and then prepared exactly as in training.

    Args:
        description: The bundle.
        network: Its network in one of the runtimes; an ``EnsembleNetwork`` where it has several.

    Examples:
        >>> predictor = Predictor.load("outputs/train/2026-01-31/12-00-00-demo", runtime="onnx")
        >>> probabilities = predictor.predict([face])
        >>> predictor.classes[probabilities[0].argmax()]
        'happiness'
    """

    def __init__(self, description: BundleDescription, network: Network) -> None:
        self.description = description
        self.network = network

    @classmethod
    def load(
        cls,
        model_uri: str | Sequence[str],
        device: str = "cpu",
        runtime: Runtime = "torch",
        threads: int | None = None,
        half: bool = False,
    ) -> "Predictor":
        """Load a bundle; of a model of clips, a ``ClipPredictor``.

        Args:
            model_uri: Directory of the bundle or of its run; ``pretrained``, the model that comes with the program; or
                ``latest``, the newest training below `outputs/train`. Several of them answer together, with the mean
                of their calibrated probabilities.
            device: PyTorch's name of the device; ONNX Runtime and OpenVINO compute on the CPU only.
            runtime: ``torch``, ``onnx`` or ``openvino``. The latter two export the network on first use to `onnx/` in
                that directory, or in the user's cache where that cannot be written, and need no PyTorch later.
            threads: CPU threads for one batch, by default as many as the runtime chooses. In PyTorch they are set for
                the whole process.
            half: Compute in half precision where that is accurate enough; for PyTorch on a GPU.

        Raises:
            ModelError: There is no bundle, it cannot be loaded, or it cannot be computed in this runtime; or several
                models cannot be one ensemble.
            UserError: OpenVINO is not installed.
        """
        load_network = RUNTIMES[runtime]
        if isinstance(model_uri, str):
            description = read_description(model_uri)
            if not description.members:
                network = load_network(model_uri, description, device, threads, half)
                if description.temporal is None:
                    return cls(description, cast(Network, network))
                return ClipPredictor(description, cast(ClipBackend, network))
            uris = [str(member.description.folder) for member in description.members]
        else:
            uris = list(model_uri)
            description = compose_ensemble([read_description(uri) for uri in uris], uris)
        networks = [
            cast(Network, load_network(uri, member.description, device, threads, half))
            for uri, member in zip(uris, description.members, strict=True)
        ]
        return cls(description, EnsembleNetwork(description, networks))

    def without_calibration(self) -> "Predictor":
        """Return the same networks without what was fitted on validation: calibration, and weights of an ensemble."""
        if isinstance(self.network, EnsembleNetwork):
            plain = self.network.without_fitted()
            return Predictor(plain.description, plain)
        return Predictor(replace(self.description, calibration=Calibration(1.0)), self.network)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of ``predict``'s result."""
        return self.description.classes

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of ``predict_all``'s result."""
        return self.description.columns

    def predict(self, images: Sequence[np.ndarray], batch_size: int = 128, flip: bool = False) -> np.ndarray:
        """Return the probability of each class for each image.

        Args:
            images: N images (H, W) or (H, W, 3) uint8 RGB, each of a size of its own.
            batch_size: Images computed at once; the result does not depend on it beyond rounding.
            flip: Average the probabilities of each face and its mirror image.

        Returns:
            (N, classes) float32, rows summing to 1.

        Raises:
            ValueError: An array has another shape or type.
            ModelError: The network gives no numbers.
        """
        return self.predict_all(images, batch_size, flip)[:, : len(self.classes)]

    def predict_all(self, images: Sequence[np.ndarray], batch_size: int = 128, flip: bool = False) -> np.ndarray:
        """Return what ``predict`` does and, behind it, valence and arousal where the model has learnt them.

        Args:
            images: As in ``predict``, as are the others.
            batch_size: Images computed at once.
            flip: Take the mean over each face and its mirror image.

        Returns:
            (N, len(self.columns)) float32.

        Raises:
            ValueError: An array has another shape or type.
        """
        native = self._to_native(images)
        result = self._predict_native(native, batch_size)
        # A network that takes the mean itself gives the mirror image the same probabilities.
        if not flip or self.description.flip:
            return result
        return (result + self._predict_native(native[:, :, ::-1], batch_size)) / 2

    def _to_native(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return native faces (N, side, side, C) uint8. Raises ValueError for what is no image."""
        faces = self.description.faces
        native = np.empty((len(images), faces.side, faces.side, 3 if faces.colour else 1), np.uint8)
        for index, image in enumerate(images):
            native[index] = to_native(_validate_image(image, index), faces.side, faces.colour)
        return native

    def _predict_native(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return the columns of ``predict_all`` of native faces (N, side, side, C) uint8."""
        return compute_answers(self.description, self.network.compute_outputs(native, batch_size))


class ClipPredictor(Predictor):
    """Classifies runs of frames of single faces with the network of a bundle of clips.

    A face is encoded once, and each window of frames is judged by the features of its frames.

    Args:
        description: The bundle.
        network: Its network in one of the runtimes.

    Examples:
        >>> predictor = Predictor.load("outputs/train/2026-01-31/12-00-00-motion", runtime="onnx")
        >>> predictor.predict_sequence(faces, times=np.arange(len(faces)) / 25).shape
        (50, 7)
    """

    def __init__(self, description: BundleDescription, network: ClipBackend) -> None:
        assert description.temporal is not None, "the bundle is one of clips"
        self.description = description
        self.clip_network = network
        self.format: TemporalFormat = description.temporal

    def encode(self, images: Sequence[np.ndarray], batch_size: int = 128) -> np.ndarray:
        """Compute what windows are judged by.

        Args:
            images: M images (H, W) or (H, W, 3) uint8 RGB, each of a size of its own.
            batch_size: Images computed at once.

        Returns:
            Features (M, D) float32 of each image by itself.

        Raises:
            ValueError: An array has another shape or type.
        """
        return self.clip_network.encode(self._to_native(images), batch_size)

    def predict_windows(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities for windows.

        Args:
            features: (N, T, D) float32 as ``encode`` gives them, T frames ``description.temporal.step_s`` seconds
                apart; those of frames that are not there may be anything.
            mask: (N, T) bool, which frames are there.

        Returns:
            (N, len(self.columns)) float32.
        """
        if not len(features):
            return np.empty((0, len(self.columns)), np.float32)
        return compute_answers(self.description, judge_in_batches(self.clip_network.judge, features, mask))

    def predict_sequence(self, images: Sequence[np.ndarray], times: np.ndarray, flip: bool = False) -> np.ndarray:
        """Return an answer for each frame of a run of one face, by sliding windows.

        Memory is bounded by the window: no more features are held than some frames' windows look at.

        Args:
            images: M images, as ``encode`` takes them.
            times: (M,) seconds of the frames, rising.
            flip: Average the probabilities of the faces and their mirror images.

        Returns:
            (M, len(self.columns)) float32.

        Raises:
            ValueError: An array has another shape or type.
        """
        times = np.asarray(times, np.float64)
        if len(times) != len(images):
            raise ValueError(f"{len(images)} pictures have {len(times)} times")
        if not len(images):
            return np.empty((0, len(self.columns)), np.float32)

        def answer(mirrored: bool) -> np.ndarray:
            def encode(frames: slice) -> np.ndarray:
                native = self._to_native(images[frames])
                return self.clip_network.encode(native[:, :, ::-1] if mirrored else native, BLOCK)

            return slide(encode, self.predict_windows, times, self.format)

        return (answer(False) + answer(True)) / 2 if flip else answer(False)

    @override
    def _predict_native(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Answer for each image by itself, as a clip of one frame."""
        features = self.clip_network.encode(native, batch_size)
        mask = np.zeros((len(native), self.format.length), bool)
        mask[:, self.format.place] = True
        # Windows that repeat the frame: no memory is needed for what is not looked at.
        return self.predict_windows(np.broadcast_to(features[:, None], (*mask.shape, features.shape[1])), mask)


def _validate_image(image: np.ndarray, index: int) -> np.ndarray:
    """Return the image, a single channel (H, W, 1) as (H, W). Raises ValueError for what is no image."""
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise ValueError(
            f"picture {index}: expected (H, W) or (H, W, 3) uint8, not {array.shape} {array.dtype}; "
            "convert it (RGB, 0 to 255) beforehand"
        )
    return np.ascontiguousarray(array)
