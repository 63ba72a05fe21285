"""From a directory to a predictor that has answered the samples of its bundle rightly."""

from pathlib import Path

from fer.bundle.onnx_backend import FILE
from fer.bundle.predictor import Predictor
from fer.bundle.reference_samples import TOLERANCE, disagreement, read_samples
from fer.errors import ModelError


def load_checked(folder: str, threads: int | None) -> Predictor:
    """The predictor of an unpacked package, a bundle or a run, in ONNX Runtime. Raises ModelError.

    A bundle without samples has answered the trial pictures of its exported network when it is loaded.
    """
    within = Path(folder) / "bundle"
    packaged = (within / "onnx" / FILE).is_file()
    try:
        predictor = Predictor.load(str(within if packaged else folder), runtime="onnx", threads=threads)
    except ImportError:
        raise ModelError(
            f"{folder}: has no exported network that fits its bundle, and exporting one needs PyTorch; "
            "build the package again"
        ) from None
    samples = read_samples(predictor.description.folder)
    if samples is not None and not (found := disagreement(predictor, samples)) <= TOLERANCE:
        raise ModelError(
            f"{folder}: gives probabilities for its sample pictures that differ by {found:.2g} from those of its "
            "training; build the package again"
        )
    return predictor
