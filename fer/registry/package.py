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
from fer.core.archive import CHECKSUMS, compute_checksums, copy_file, unpack, verify_checksums, write_archive
from fer.core.io import atomic_write, compute_sha256
from fer.core.system import PROJECT_ROOT
from fer.errors import ModelError, shorten_error

PACKAGE = "model.tar.gz"
# What of a bundle's directory leaves with it; the network for ONNX Runtime is added, so that serving needs no PyTorch.
BUNDLE_FILES = ("bundle.yaml", "weights.safetensors", "model_card.md", "samples.npz", "baseline.json")
REQUIRED_FILES = ("bundle.yaml", "weights.safetensors", "samples.npz")
ONNX_FILE = "onnx/network.onnx"
# What of this project the package's code needs, below fer/: modules, and rooms as a whole.
CODE_PATHS = ("__init__.py", "errors.py", "emotions.py", "bundle", "core", "metrics", "models", "serving")
# Its packages, by the installed one whose version they get: without windows, OpenCV needs no libraries of a desktop.
REQUIREMENTS = {
    **{name: name for name in ("numpy", "onnxruntime", "pillow", "pyyaml", "scipy")},
    "opencv-python-headless": "opencv-python",
}
INFERENCE_SCRIPT = '''"""The handlers that SageMaker's classic containers call."""

from fer.serving.sagemaker_handlers import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
'''


def build_package(bundle: Path, target: Path) -> str:
    """Write the package of the bundle in a directory to ``target``; returns its SHA-256. Raises ModelError."""
    if missing := [name for name in REQUIRED_FILES if not (bundle / name).is_file()]:
        raise ModelError(f"{bundle}: lacks {', '.join(missing)}; name a run that train.py has finished")
    with tempfile.TemporaryDirectory() as temp_dir:
        staged = Path(temp_dir)
        for name in (*BUNDLE_FILES, ONNX_FILE):
            # Both a bundle and its run may hold the exported network already.
            if source := next((path for path in (bundle / name, bundle.parent / name) if path.is_file()), None):
                copy_file(source, staged / "bundle" / name)
        # Exports the network where it is not there, or no longer fits.
        Predictor.load(str(staged / "bundle"), runtime="onnx", threads=1)
        for path in _list_code_files():
            copy_file(PROJECT_ROOT / path, staged / "code" / path)
        (staged / "code" / "inference.py").write_text(INFERENCE_SCRIPT, encoding="utf-8")
        pins = [f"{name}=={importlib.metadata.version(own)}\n" for name, own in REQUIREMENTS.items()]
        (staged / "code" / "requirements.txt").write_text("".join(pins), encoding="utf-8")
        (staged / CHECKSUMS).write_text(compute_checksums(staged), encoding="utf-8")
        with atomic_write(target) as tmp_path:
            write_archive(staged, tmp_path)
    return compute_sha256(target)


def _list_code_files() -> list[Path]:
    """The modules of CODE, relative to the project, in a fixed order."""
    roots = [PROJECT_ROOT / "fer" / name for name in CODE_PATHS]
    files = [file for place in roots for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    return [file.relative_to(PROJECT_ROOT) for file in files]


def open_package(archive: Path, directory: Path) -> Path:
    """Unpack a package into ``directory``, which becomes it, and check it; returns ``directory``.

    Raises ModelError for what is truncated, was changed, or is made to harm: links, devices, absolute paths, `..`,
    or more than fits.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".unpacking-") as temp_dir:
        unpacked = Path(temp_dir) / "package"
        unpacked.mkdir()
        try:
            unpack(archive, unpacked)
        except FileNotFoundError:
            raise ModelError(f"{archive}: there is no such file") from None
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise ModelError(
                f"{archive}: is no sound package ({shorten_error(error)}); build or fetch it again"
            ) from None
        verify_checksums(unpacked, archive)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(unpacked, directory)
    return directory


def compute_fingerprint(bundle: Path) -> str:
    """SHA-256 over a bundle's own files."""
    digest = hashlib.sha256()
    for name in BUNDLE_FILES:
        if (bundle / name).is_file():
            digest.update(f"{compute_sha256(bundle / name)}  {name}\n".encode())
    return digest.hexdigest()
