"""The model package: `model.tar.gz`, complete, with checksums, byte-identical when built twice from one bundle."""

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from fer.bundle.metadata import (
    DESCRIPTION_FILE,
    ENCODER_FILE,
    HEAD_FILE,
    MEMBERS_DIR,
    MODEL_CARD_FILE,
    NETWORK_FILE,
    ONNX_DIR,
    SAMPLES_FILE,
    WEIGHTS_FILE,
    read_description,
)
from fer.bundle.onnx_backend import OnnxClipNetwork, OnnxNetwork
from fer.bundle.reference_samples import MAX_SAMPLES_BYTES
from fer.core.archive import (
    CHECKSUMS,
    PACKAGE_LIMITS,
    compute_checksums,
    copy_file,
    unpack,
    verify_checksums,
    write_archive,
)
from fer.core.bounded_stream import StreamError, format_size
from fer.core.distributions import OPENCV, get_installed_version
from fer.core.installation import PROJECT_ROOT
from fer.core.io import atomic_write, compute_sha256
from fer.core.run_layout import BUNDLE_DIR
from fer.errors import ModelError, shorten_error
from fer.monitoring.drift import BASELINE
from fer.registry.reference_faces import write_reference_samples

PACKAGE = "model.tar.gz"
# The files of a bundle; the network for ONNX Runtime is added, so that serving needs no PyTorch.
BUNDLE_FILES = (DESCRIPTION_FILE, WEIGHTS_FILE, MODEL_CARD_FILE, SAMPLES_FILE, BASELINE)
REQUIRED_FILES = (DESCRIPTION_FILE, WEIGHTS_FILE, SAMPLES_FILE)
# Of models of single faces, and of clips.
ONNX_FILES = (NETWORK_FILE, ENCODER_FILE, HEAD_FILE)
# The serving code: modules and whole packages below fer/. The Dockerfile copies the same; a test compares the two.
SERVING_CODE = ("__init__.py", "errors.py", "emotions.py", "bundle", "core", "metrics", "models", "serving")
# Its requirements, by the distributions of which one is installed and has the version; the headless OpenCV needs no
# display.
REQUIREMENTS = {
    **{name: (name,) for name in ("numpy", "onnx", "onnxruntime", "pillow", "pyyaml", "scipy")},
    "opencv-python-headless": OPENCV,
}
# The bundle of a single network, of an ensemble, and those of an ensemble's networks, of which there are at most ten.
_BUNDLE = rf"{BUNDLE_DIR}(/{MEMBERS_DIR}/[0-9])?"
# All that a package of any version consists of, and how large each may be. Its code is for SageMaker's containers.
MEMBERS: dict[str, int] = {
    CHECKSUMS: 1 << 20,
    rf"{_BUNDLE}/({'|'.join(map(re.escape, (DESCRIPTION_FILE, MODEL_CARD_FILE, BASELINE)))})": 1 << 20,
    rf"{_BUNDLE}/{re.escape(SAMPLES_FILE)}": MAX_SAMPLES_BYTES,
    rf"{_BUNDLE}/({re.escape(WEIGHTS_FILE)}|{ONNX_DIR}/({'|'.join(map(re.escape, ONNX_FILES))}))": 4 << 30,
    r"code/(inference\.py|requirements\.txt|fer(/[a-z_][a-z0-9_]*){1,4}\.py)": 1 << 20,
}
INFERENCE_SCRIPT = '''"""The handlers that SageMaker's classic containers call."""

from fer.serving.sagemaker_handlers import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
'''


def build_package(bundle: Path, target: Path) -> str:
    """Write the package of a bundle.

    Args:
        bundle: Directory of the bundle.
        target: Path of the archive.

    Returns:
        SHA-256 of the archive.

    Raises:
        ModelError: The bundle lacks a file, or its network cannot be exported.
    """
    is_ensemble = (bundle / MEMBERS_DIR).is_dir()
    count = len(read_description(str(bundle)).members) if is_ensemble else 0
    networks = [Path(MEMBERS_DIR) / str(number) for number in range(count)] or [Path()]
    for network in networks:
        if missing := [name for name in REQUIRED_FILES if not (bundle / network / name).is_file()]:
            raise ModelError(f"{bundle / network}: lacks {', '.join(missing)}; name a run that train.py has finished")
    with tempfile.TemporaryDirectory() as temp_dir:
        staged = Path(temp_dir)
        for network in networks:
            _stage_network(bundle / network, staged / BUNDLE_DIR / network)
        if is_ensemble:
            _stage_ensemble(bundle, staged / BUNDLE_DIR)
        for path in list_code_files():
            copy_file(PROJECT_ROOT / path, staged / "code" / path)
        (staged / "code" / "inference.py").write_text(INFERENCE_SCRIPT, encoding="utf-8")
        pins = [f"{name}=={get_installed_version(*installed)}\n" for name, installed in REQUIREMENTS.items()]
        (staged / "code" / "requirements.txt").write_text("".join(pins), encoding="utf-8")
        (staged / CHECKSUMS).write_text(compute_checksums(staged), encoding="utf-8")
        with atomic_write(target) as tmp_path:
            write_archive(staged, tmp_path)
    return compute_sha256(target)


def _stage_network(bundle: Path, staged: Path) -> None:
    """Copy the bundle of a network, and export the network. Raises ModelError."""
    exported_files = read_description(str(bundle)).onnx_files
    for name in (*BUNDLE_FILES, *(f"{ONNX_DIR}/{name}" for name in exported_files)):
        # Both a bundle and its run may hold the exported network already.
        if source := next((path for path in (bundle / name, bundle.parent / name) if path.is_file()), None):
            copy_file(source, staged / name)
    exported = staged / ONNX_DIR
    # Exports the network where it is missing, or no longer fits; that of the user's cache stands in no package.
    description = read_description(str(staged))
    backend = OnnxNetwork if description.temporal is None else OnnxClipNetwork
    backend(description, exported, threads=1)
    if not all((exported / name).is_file() for name in exported_files):
        raise ModelError(f"{bundle}: its exported network cannot be kept in {exported}; make room there")


def _stage_ensemble(bundle: Path, staged: Path) -> None:
    """Copy an ensemble's own files; one that no run has evaluated has no answers to drawn faces yet."""
    for name in BUNDLE_FILES:
        if (bundle / name).is_file():
            copy_file(bundle / name, staged / name)
    if not (staged / SAMPLES_FILE).is_file():
        write_reference_samples(staged)


def list_code_files() -> list[Path]:
    """Return the modules of SERVING_CODE, relative to the project, in a fixed order."""
    paths = [PROJECT_ROOT / "fer" / name for name in SERVING_CODE]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return [file.relative_to(PROJECT_ROOT) for file in files]


def open_package(archive: Path, directory: Path) -> Path:
    """Unpack a package and verify its checksums.

    Args:
        archive: The model.tar.gz.
        directory: Directory of the unpacked package; what it held before is replaced.

    Returns:
        ``directory``.

    Raises:
        ModelError: The archive is missing, truncated, was changed, or is hostile: links, devices, absolute paths,
            `..`, files that no package has, or more files or bytes than allowed.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".unpacking-") as temp_dir:
        unpacked = Path(temp_dir) / "package"
        unpacked.mkdir()
        try:
            unpack(archive, unpacked, PACKAGE_LIMITS, lambda name, size: _check_member(archive, name, size))
        except FileNotFoundError:
            raise ModelError(f"{archive}: there is no such file") from None
        except (tarfile.TarError, StreamError) as error:
            raise ModelError(
                f"{archive}: is no sound package ({shorten_error(error)}); build or fetch it again"
            ) from None
        verify_checksums(unpacked, archive)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(unpacked, directory)
    return directory


def _check_member(archive: Path, name: str, size: int) -> None:
    """Refuse a file that no package has, or that is too large for it. Raises ModelError."""
    limit = next((limit for pattern, limit in MEMBERS.items() if re.fullmatch(pattern, name)), None)
    shown = ascii(name[:100])
    if limit is None:
        raise ModelError(f"{archive}: holds {shown}, which is no file of a model package; refused")
    if size > limit:
        raise ModelError(f"{archive}: its {shown} has more than {format_size(limit)}; refused")


def compute_fingerprint(bundle: Path) -> str:
    """Return the SHA-256 over the names and hashes of a bundle's files."""
    digest = hashlib.sha256()
    for name in BUNDLE_FILES:
        if (bundle / name).is_file():
            digest.update(f"{compute_sha256(bundle / name)}  {name}\n".encode())
    return digest.hexdigest()
