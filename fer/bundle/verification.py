"""From a directory to a predictor that has answered the samples of its bundle rightly."""

from pathlib import Path

from fer.bundle.onnx_backend import NETWORK_FILE
from fer.bundle.predictor import Predictor
from fer.bundle.reference_samples import TOLERANCE, compute_disagreement, read_samples
from fer.errors import ModelError


def load_verified_predictor(folder: str, threads: int | None) -> Predictor:
    """The predictor of an unpacked package, a bundle or a run, in ONNX Runtime. Raises ModelError.

    A bundle without samples has answered the trial pictures of its exported network when it is loaded.
    """
    bundle_dir = Path(folder) / "bundle"
    packaged = (bundle_dir / "onnx" / NETWORK_FILE).is_file()
    try:
        predictor = Predictor.load(str(bundle_dir if packaged else folder), runtime="onnx", threads=threads)
    except ImportError:
        raise ModelError(
            f"{folder}: has no exported network that fits its bundle, and exporting one needs PyTorch; "
            "build the package again"
        ) from None
    samples = read_samples(predictor.description.folder)
    if samples is not None and not (difference := compute_disagreement(predictor, samples)) <= TOLERANCE:
        raise ModelError(
            f"{folder}: gives probabilities for its sample pictures that differ by {difference:.2g} from those of its "
            "training; build the package again"
        )
    return predictor
