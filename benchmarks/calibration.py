"""`python -m benchmarks.calibration --model RUN OVERRIDE…`: calibration and uncertainty on images not seen.

The validation part of the data is split in halves at random, again and again. What a training fits on all of it is
fitted on one half and measured on the other: log-loss and calibration error of each candidate, precision and coverage
of the confidence rule, coverage and size of prediction sets.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from fer.bundle.io import load_bundle, require_face_network
from fer.config.compose import load_overrides
from fer.data.image_store import convert_images
from fer.metrics.calibration import Calibration, choose_calibration, fit_temperature, fit_vector_scaling
from fer.metrics.scores import compute_log_loss
from fer.metrics.uncertainty import fit_confidence_rule, fit_set_thresholds
from fer.models.network import predict_logits
from fer.train.inputs import prepare_data
from fer.train.metrics import compute_calibration_error

LEVELS = (0.8, 0.9, 0.95)


def compute_validation_logits(model: str, overrides: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, C) of the validation part by a bundle's network, and labels (N,)."""
    bundle = load_bundle(model)
    config = load_overrides(["trainer.stages=[test]", f"model_uri={model}", *overrides])
    data = prepare_data(config, bundle.network.image_size, None)
    samples = data.manifest.get_split("val")
    images = convert_images(data.store, bundle.description.faces.side, bundle.description.faces.colour)
    index = {name: number for number, name in enumerate(bundle.description.classes)}
    logits = predict_logits(require_face_network(bundle, "this benchmark"), images, samples.index.to_numpy())
    return logits, samples["label"].map(index).to_numpy(np.int64)


def measure_half(
    fitted: tuple[np.ndarray, np.ndarray], held: tuple[np.ndarray, np.ndarray], target: float
) -> Iterator[tuple[str, float]]:
    """Figures of one half after fitting on the other, by name."""
    (logits, labels), rows = held, np.arange(len(held[1]))
    candidates = {
        "none": Calibration(1.0),
        "temperature": Calibration(fit_temperature(*fitted)),
        "vector": fit_vector_scaling(*fitted),
        "chosen": choose_calibration(*fitted, "auto").calibration,
    }
    for name, calibration in candidates.items():
        probabilities = calibration.compute_probabilities(logits)
        yield f"{name}: accuracy", float((probabilities.argmax(1) == labels).mean())
        yield f"{name}: log-loss", compute_log_loss(probabilities, labels)
        yield f"{name}: ECE", compute_calibration_error(probabilities, labels)
    known, probabilities = (candidates["chosen"].compute_probabilities(values) for values in (fitted[0], logits))
    sure = ~fit_confidence_rule(known, fitted[1], target).find_uncertain(probabilities.max(1))
    yield f"precision where sure (wanted {target:g})", float((probabilities.argmax(1) == labels)[sure].mean())
    yield "share of images where sure", float(sure.mean())
    thresholds = fit_set_thresholds(known, fitted[1])
    for level in LEVELS:
        sets = thresholds.find_sets(probabilities, level)
        yield f"sets of {level:g}: coverage", float(sets[rows, labels].mean())
        yield f"sets of {level:g}: mean size", float(sets.sum(1).mean())


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--model", required=True, help="a run or its bundle")
    parser.add_argument("--halves", type=int, default=20, help="how often validation is split")
    parser.add_argument("--target", type=float, default=0.9, help="evaluation.precision_target")
    parser.add_argument("overrides", nargs="*", help="the data, as train.py takes them: dataset=ferplus …")
    arguments = parser.parse_args()
    logits, labels = compute_validation_logits(arguments.model, arguments.overrides)
    choice = choose_calibration(logits, labels, "auto")
    print(f"{len(labels)} images. On all of them: {choice.calibration.method}, because {choice.reason}")
    for name, held in choice.held_out.items():
        loss, error = compute_log_loss(held, labels), compute_calibration_error(held, labels)
        print(f"  {choice.folds} folds, {name}: log-loss {loss:.4f}, ECE {error:.4f}")
    found: dict[str, list[float]] = {}
    for seed in range(arguments.halves):
        half = np.random.default_rng(seed).permutation(len(labels)) % 2 == 0
        fitted, other = (logits[half], labels[half]), (logits[~half], labels[~half])
        for name, value in measure_half(fitted, other, arguments.target):
            found.setdefault(name, []).append(value)
    print(f"{arguments.halves} halves: mean, lowest, highest")
    for name, values in found.items():
        print(f"  {name:<36} {np.mean(values):.4f} {min(values):.4f} {max(values):.4f}")


if __name__ == "__main__":
    main()
