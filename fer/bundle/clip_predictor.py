"""The predictor of models of clips: an answer for each frame of a face, by what is seen around it in time."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from fer.bundle.metadata import BundleDescription
from fer.bundle.predictor import ClipBackend, Predictor
from fer.core.time_grid import build_window_grid, select_frames
from fer.models.clip_format import TemporalFormat

# Numbers of the windows that are judged at once, and frames that are answered for at once.
MAX_NUMBERS, BLOCK = 1 << 22, 64


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
        batch = max(1, MAX_NUMBERS // max(1, features.shape[1] * features.shape[2]))
        outputs = [
            self.clip_network.judge(
                np.ascontiguousarray(features[start : start + batch]), np.ascontiguousarray(mask[start : start + batch])
            )
            for start in range(0, len(features), batch)
        ]
        if not outputs:
            return np.empty((0, len(self.columns)), np.float32)
        return self.description.calibration.compute_probabilities(np.concatenate(outputs))

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
        answers = self._slide(images, times, False)
        return (answers + self._slide(images, times, True)) / 2 if flip else answers

    def _slide(self, images: Sequence[np.ndarray], times: np.ndarray, mirrored: bool) -> np.ndarray:
        times = np.asarray(times, np.float64)
        if len(times) != len(images):
            raise ValueError(f"{len(images)} pictures have {len(times)} times")
        answers, held, first = [np.empty((0, len(self.columns)), np.float32)], None, 0
        for start in range(0, len(images), BLOCK):
            window = self.format
            grid = build_window_grid(times[start : start + BLOCK], window.length, window.step_s, window.position)
            rows, mask = select_frames(times, grid, window.step_s)
            low, high = int(rows.min()), int(rows.max()) + 1
            known = first if held is None else first + len(held)
            new = self._encode_sides(images[max(known, low) : high], mirrored)
            held = new if held is None or known <= low else np.concatenate((held[low - first :], new))
            first = low
            answers.append(self.predict_windows(held[rows - low], mask))
        return np.concatenate(answers)

    def _encode_sides(self, images: Sequence[np.ndarray], mirrored: bool) -> np.ndarray:
        native = self._to_native(images)
        return self.clip_network.encode(native[:, :, ::-1] if mirrored else native, BLOCK)

    @override
    def predict_all(self, images: Sequence[np.ndarray], batch_size: int = 128, flip: bool = False) -> np.ndarray:
        """Return the probabilities of each image by itself, as a clip of one frame; see ``Predictor.predict``."""
        native = self._to_native(images)
        result = self._predict_single(native, batch_size)
        return (result + self._predict_single(native[:, :, ::-1], batch_size)) / 2 if flip else result

    def _predict_single(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        features = self.clip_network.encode(native, batch_size)
        mask = np.zeros((len(native), self.format.length), bool)
        mask[:, self.format.place] = True
        # Windows that repeat the frame: no memory is needed for what is not looked at.
        windows = np.broadcast_to(features[:, None], (*mask.shape, features.shape[1]))
        return self.predict_windows(windows, mask)
