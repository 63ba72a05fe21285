"""The model package: `model.tar.gz`, complete, checksummed, byte-identical when built twice from the same bundle."""

import gzip
import hashlib
import importlib.metadata
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

from fer.bundle.predictor import Predictor
from fer.core.archive import SUMS, check_sums, copy, sums_of, unpack, write_archive
from fer.core.io import sha256_file, written_beside
from fer.core.system import PROJECT
from fer.errors import ModelError, first_line

PACKAGE = "model.tar.gz"
# What of a bundle's directory leaves with it; the network for ONNX Runtime is added, so that serving needs no PyTorch.
BUNDLE_FILES = ("bundle.yaml", "weights.safetensors", "model_card.md", "samples.npz", "baseline.json")
NEEDED = ("bundle.yaml", "weights.safetensors", "samples.npz")
ONNX = "onnx/network.onnx"
# What of this project the package's code needs, below fer/: modules, and rooms as a whole.
CODE = ("__init__.py", "errors.py", "emotions.py", "bundle", "core", "metrics", "models", "serving")
# Its packages, by the installed one whose version they get: without windows, OpenCV needs no libraries of a desktop.
REQUIREMENTS = {
    **{name: name for name in ("numpy", "onnxruntime", "pillow", "pyyaml", "scipy")},
    "opencv-python-headless": "opencv-python",
}
INFERENCE = '''"""The handlers that SageMaker's classic containers call."""

from fer.serving.sagemaker_handlers import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
'''


def build_package(bundle: Path, target: Path) -> str:
    """Write the package of the bundle in a directory to ``target``; returns its SHA-256. Raises ModelError."""
    if missing := [name for name in NEEDED if not (bundle / name).is_file()]:
        raise ModelError(f"{bundle}: lacks {', '.join(missing)}; name a run that train.py has finished")
    with tempfile.TemporaryDirectory() as place:
        staged = Path(place)
        for name in (*BUNDLE_FILES, ONNX):
            # Both a bundle and its run may hold the exported network already.
            if source := next((path for path in (bundle / name, bundle.parent / name) if path.is_file()), None):
                copy(source, staged / "bundle" / name)
        # Exports the network where it is not there, or no longer fits.
        Predictor.load(str(staged / "bundle"), runtime="onnx", threads=1)
        for path in code_files():
            copy(PROJECT / path, staged / "code" / path)
        (staged / "code" / "inference.py").write_text(INFERENCE, encoding="utf-8")
        pins = [f"{name}=={importlib.metadata.version(own)}\n" for name, own in REQUIREMENTS.items()]
        (staged / "code" / "requirements.txt").write_text("".join(pins), encoding="utf-8")
        (staged / SUMS).write_text(sums_of(staged), encoding="utf-8")
        with written_beside(target) as beside:
            write_archive(staged, beside)
    return sha256_file(target)


def code_files() -> list[Path]:
    """The modules of CODE, relative to the project, in a fixed order."""
    places = [PROJECT / "fer" / name for name in CODE]
    found = [file for place in places for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    return [file.relative_to(PROJECT) for file in found]


def open_package(archive: Path, directory: Path) -> Path:
    """Unpack a package into ``directory``, which becomes it, and check it; returns ``directory``.

    Raises ModelError for what is truncated, was changed, or is made to harm: links, devices, absolute paths, `..`,
    or more than fits.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".unpacking-") as place:
        unpacked = Path(place) / "package"
        unpacked.mkdir()
        try:
            unpack(archive, unpacked)
        except FileNotFoundError:
            raise ModelError(f"{archive}: there is no such file") from None
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise ModelError(f"{archive}: is no sound package ({first_line(error)}); build or fetch it again") from None
        check_sums(unpacked, archive)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(unpacked, directory)
    return directory


def fingerprint(bundle: Path) -> str:
    """SHA-256 over a bundle's own files."""
    digest = hashlib.sha256()
    for name in BUNDLE_FILES:
        if (bundle / name).is_file():
            digest.update(f"{sha256_file(bundle / name)}  {name}\n".encode())
    return digest.hexdigest()
