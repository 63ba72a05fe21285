"""Make fer/pretrained, the model that comes with the program, from a run of train.py.

python -m tools.ship_pretrained RUN dataset.sources.ferplus.root=ferplus.zip
    weights in half precision, description, card, samples and monitoring's baseline; run.yaml, figures and provenance
    without the paths of this machine. Twice the same run gives twice the same bytes.

What half precision changes is measured on the run's validation images (overrides may name where they lie now), with
--drawn on drawn faces alone, and written into bundle.yaml and the card.
"""

import argparse
import getpass
import json
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from omegaconf import OmegaConf

from fer.bundle.half_precision import PrecisionDifference, compare_precision, write_half_bundle
from fer.bundle.locate import DESCRIPTION_FILE, PRETRAINED_DIR
from fer.bundle.metadata import MODEL_CARD_FILE, WEIGHTS_FILE
from fer.bundle.predictor import Predictor
from fer.bundle.reference_samples import ReferenceSamples, read_samples, write_samples
from fer.config.compose import load_overrides
from fer.core.io import compute_sha256, write_text
from fer.core.run_layout import BUNDLE_DIR, METRICS_JSON, PROVENANCE_JSON, RUN_YAML
from fer.data.image_store import convert_images
from fer.errors import ModelError, UserError
from fer.monitoring.drift import BASELINE
from fer.synthetic import draw_dataset_face
from fer.train.inputs import prepare_data
from tools.pretrained_card import extend_card

# Facts of provenance.json that tell of the machine and its user, and that no repetition needs.
PRIVATE_FACTS = ("command", "directory", "resumed", "platform", "peak_memory_mib")
MISSING = "???"
# An absolute path of at least two parts, or a place in S3; no address of the web.
PLACE = re.compile(r"(?<![\w./~)])/[\w.+-]+(?:/[\w.+-]+)+|:///+[\w.+-]+/|~/[\w.+-]+|(?:s3|gs)://[\w.-]+")
NOTE = "# ??? stands for data and weights, which lie elsewhere on every machine: name them in overrides.\n"
DRAWN_COUNT, DRAWN_SIDE, DRAWN_SEED = 280, 96, 2**31 + 1


def ship(run: Path, target: Path, overrides: Sequence[str], drawn: bool = False) -> PrecisionDifference:
    """Write the shipped model of a run; what ``target`` held is replaced.

    Args:
        run: Directory of a finished run of train.py.
        target: The directory to write.
        overrides: Changes of the run's configuration, by which its validation images are found.
        drawn: Measure on drawn faces instead.

    Returns:
        What half precision changes.

    Raises:
        UserError: The run is not finished or not whole, its data are not there, or a file would tell of this machine.
    """
    provenance = json.loads((run / PROVENANCE_JSON).read_text(encoding="utf-8"))
    if provenance.get("status") != "finished":
        raise UserError(f"{run}: is {provenance.get('status')}; name a run that has finished")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temp_dir:
        staged = Path(temp_dir) / target.name
        write_text(staged / RUN_YAML, anonymise_config((run / RUN_YAML).read_text(encoding="utf-8")))
        facts = {key: value for key, value in provenance.items() if key not in PRIVATE_FACTS}
        if teachers := facts.get("teachers"):
            # By their places, which mean nothing elsewhere.
            facts["teachers"] = sorted(teachers.values())
        _write_json(staged / PROVENANCE_JSON, _hide_places(facts))
        difference = _write_bundle(run / BUNDLE_DIR, staged, run, overrides, drawn)
        _write_card(run / BUNDLE_DIR, staged, facts, difference, drawn)
        names = {getpass.getuser(), socket.gethostname(), Path.home().name} - {"root", "localhost", ""}
        if leaks := find_leaks(staged, sorted(names)):
            raise UserError(f"these would tell of this machine: {'; '.join(leaks)}")
        shutil.rmtree(target, ignore_errors=True)
        staged.rename(target)
    return difference


def _write_bundle(bundle: Path, staged: Path, run: Path, overrides: Sequence[str], drawn: bool) -> PrecisionDifference:
    """Write the bundle but for its card, and metrics.json beside it."""
    half_dir = staged / BUNDLE_DIR
    entries = {"config_sha256": compute_sha256(staged / RUN_YAML)}
    write_half_bundle(bundle, half_dir, **entries)
    images, labels = draw_faces() if drawn else read_validation(run, bundle, overrides)
    full, half = Predictor.load(str(bundle)), Predictor.load(str(half_dir))
    difference = compare_precision(full, half, images, labels)
    measured = {"measured_on": "drawn faces" if drawn else "validation images", **difference.to_dict()}
    measured["full_weights_sha256"] = compute_sha256(bundle / WEIGHTS_FILE)
    write_half_bundle(bundle, half_dir, **entries, half_precision=measured)
    samples = read_samples(bundle)
    if samples is None:
        raise ModelError(f"{bundle}: has no samples; name a run of this version")
    write_samples(half_dir, ReferenceSamples(samples.images, half.predict(list(samples.images))))
    shutil.copyfile(bundle / BASELINE, half_dir / BASELINE)
    metrics = json.loads((run / METRICS_JSON).read_text(encoding="utf-8"))
    content = yaml.safe_load((half_dir / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    # The figures are those of the weights as they were trained; half_precision says how little it changes them.
    _write_json(
        staged / METRICS_JSON, {**metrics, "weights_sha256": content["weights_sha256"], "half_precision": measured}
    )
    return difference


def _write_card(
    bundle: Path, staged: Path, facts: dict[str, Any], difference: PrecisionDifference, drawn: bool
) -> None:
    card = extend_card(
        (bundle / MODEL_CARD_FILE).read_text(encoding="utf-8"),
        config_yaml=(staged / RUN_YAML).read_text(encoding="utf-8"),
        metrics=json.loads((staged / METRICS_JSON).read_text(encoding="utf-8")),
        provenance=facts,
        difference=difference,
        drawn=drawn,
    )
    write_text(staged / BUNDLE_DIR / MODEL_CARD_FILE, card)


def read_validation(run: Path, bundle: Path, overrides: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the run's validation images (N, side, side, C) uint8 in the network's native form, and their labels."""
    config = load_overrides(overrides, "train", run)
    predictor = Predictor.load(str(bundle))
    data = prepare_data(config, predictor.description.image_size)
    faces = predictor.description.faces
    validation = data.manifest.get_split("val")
    index = {name: number for number, name in enumerate(predictor.classes)}
    images = convert_images(data.store, faces.side, faces.colour)[validation.index.to_numpy()]
    return images, validation["label"].map(index).to_numpy(np.int64)


def draw_faces() -> tuple[np.ndarray, None]:
    """Draw faces that no training has seen; what emotion a model trained on real faces sees in them is not known."""
    faces = [draw_dataset_face(DRAWN_SEED, number, DRAWN_SIDE).image for number in range(DRAWN_COUNT)]
    return np.stack(faces), None


def anonymise_config(text: str) -> str:
    """Return the text of a run.yaml in which every place of a machine is `???`, so that Hydra asks for it."""
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    config = _hide_places(yaml.safe_load(text))
    if config["dataset"].get("cache_dir") == MISSING:
        # Where decoded images were kept means nothing elsewhere, and nobody has to name it.
        config["dataset"]["cache_dir"] = str(load_overrides([]).dataset.cache_dir)
    return header + NOTE + OmegaConf.to_yaml(OmegaConf.create(config))


def _hide_places(node: Any) -> Any:
    """Replace texts that name a place, and lists that hold such a text, by `???`."""
    if isinstance(node, dict):
        return {key: _hide_places(inner) for key, inner in node.items()}
    if isinstance(node, list):
        hidden = [_hide_places(inner) for inner in node]
        return MISSING if MISSING in hidden else hidden
    return MISSING if isinstance(node, str) and PLACE.search(node) else node


def find_leaks(folder: Path, names: Sequence[str] = ()) -> list[str]:
    """List what tells of a machine in the text files of a directory, `FILE: TEXT`: places, and the given names."""
    patterns = [PLACE, *(re.compile(rf"\b{re.escape(name)}\b") for name in names)]
    texts = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".yaml", ".json", ".md")
    }
    return [
        f"{name}: {match.group()}"
        for name, text in texts.items()
        for pattern in patterns
        for match in pattern.finditer(text)
    ]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def main() -> int:
    """Make fer/pretrained; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.ship_pretrained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="directory of the run")
    parser.add_argument("overrides", nargs="*", help="such as dataset.sources.ferplus.root=ferplus.zip")
    parser.add_argument("--target", type=Path, default=PRETRAINED_DIR, help="directory to write (%(default)s)")
    parser.add_argument("--drawn", action="store_true", help="measure on drawn faces: the run's data are not at hand")
    args = parser.parse_args()
    # Sums depend on the number of threads, and the samples' probabilities are part of what is shipped.
    torch.set_num_threads(1)
    try:
        difference = ship(args.run, args.target, args.overrides, args.drawn)
    except (UserError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in args.target.rglob("*") if path.is_file())
    print(f"{args.target}: {size / 1e6:.2f} MB")
    for key, value in difference.to_dict().items():
        print(f"  {key:27} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
