"""Loading a predictor that reproduces the probabilities of its bundle's samples."""

from fer.bundle.locate import locate_model
from fer.bundle.metadata import HEAD_FILE, NETWORK_FILE, ONNX_DIR
from fer.bundle.predictor import Predictor
from fer.bundle.reference_samples import TOLERANCE, compute_disagreement, read_samples
from fer.bundle.runtimes import Runtime
from fer.core.run_layout import BUNDLE_DIR
from fer.errors import ModelError


def load_verified_predictor(folder: str, threads: int | None, runtime: Runtime = "onnx") -> Predictor:
    """Load a predictor, and check its answers.

    A bundle without samples is checked by the trial images of its exported network alone.

    Args:
        folder: Directory of an unpacked package, a bundle or a run, or a name that ``locate_model`` knows.
        threads: CPU threads for one batch, by default as many as the runtime chooses.
        runtime: ``onnx`` or ``openvino``, which need no PyTorch once the network is exported.

    Raises:
        ModelError: There is no model, it cannot be loaded, or its probabilities of the samples are not the run's.
        UserError: OpenVINO is not installed.
    """
    bundle_dir = locate_model(folder) / BUNDLE_DIR
    packaged = any((bundle_dir / ONNX_DIR / name).is_file() for name in (NETWORK_FILE, HEAD_FILE))
    try:
        predictor = Predictor.load(str(bundle_dir if packaged else folder), runtime=runtime, threads=threads)
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
