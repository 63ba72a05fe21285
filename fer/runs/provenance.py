"""Where the results of a run come from: code, packages, machine and command line."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer.core.distributions import OPENCV, get_installed_version
from fer.core.installation import INSTALLED, PROJECT_ROOT, get_version

# JSON: the state of git where the code is no checkout but was brought as an archive.
GIT_STATE_ENV = "FER_GIT"
PACKAGES = (
    *("torch", "torchvision", "timm", "pytorch-lightning", "torchmetrics", "numpy", "scipy", "pandas"),
    *("opencv-python", "av", "onnxruntime", "openvino", "nncf", "trackers", "imagehash", "safetensors"),
    *("hydra-core", "omegaconf", "pydantic"),
    # The code's version where it is installed; a checkout has a commit instead.
    "fer-experiments",
)
# What ``collect_environment`` tells: of code and machine, and of no data.
ENVIRONMENT_KEYS = ("fer_version", "git_commit", "git_diff_sha256", "python", "platform", "processor", "packages")


def get_program_arguments() -> list[str]:
    """Return the arguments of `python` that start this program once more."""
    program, *arguments = get_command_line()
    if program != "-m":
        return [sys.argv[0], *arguments]
    # -P: nothing is imported from the current directory, as it is not by the command `fer` either.
    return ["-P", *get_command_line()] if INSTALLED else get_command_line()


def get_command_line() -> list[str]:
    """Return the arguments of `python` in this process, with the program's name alone."""
    module = getattr(sys.modules["__main__"].__spec__, "name", "").removesuffix(".__main__")
    return [*(["-m", module] if module.startswith("fer.") else [Path(sys.argv[0]).name]), *sys.argv[1:]]


def get_timestamp() -> str:
    """Return the time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def collect_environment() -> dict[str, Any]:
    """Describe code, interpreter, machine and packages: what decides whether metrics can be repeated.

    Returns:
        What provenance.json holds: ``fer_version``, ``git_commit``, ``git_diff_sha256``, ``python``, ``platform``,
        ``processor`` and ``packages``, name to version or None.
    """
    return {
        "fer_version": get_version(),
        **_read_git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _read_processor_name(),
        "packages": {name: _get_package_version(name) for name in PACKAGES},
    }


def _get_package_version(package: str) -> str | None:
    try:
        return get_installed_version(*(OPENCV if package in OPENCV else (package,)))
    except importlib.metadata.PackageNotFoundError:
        return None


def run_git(directory: Path, *arguments: str) -> bytes:
    """Run a git command in a directory and return its output. Raises OSError or subprocess.SubprocessError."""
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def _read_git_state() -> dict[str, str | None]:
    """The project's commit, and the SHA-256 of uncommitted changes to it (None where there are none)."""
    if GIT_STATE_ENV in os.environ:
        return dict(json.loads(os.environ[GIT_STATE_ENV]))
    if INSTALLED:
        # A repository that holds the environment is not the project's.
        return {"git_commit": None, "git_diff_sha256": None}

    try:
        commit, diff = run_git(PROJECT_ROOT, "rev-parse", "HEAD"), run_git(PROJECT_ROOT, "diff", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_diff_sha256": None}
    return {
        "git_commit": commit.decode().strip(),
        "git_diff_sha256": hashlib.sha256(diff).hexdigest() if diff else None,
    }


def _read_processor_name() -> str:
    """The CPU's name: bit-identical results are promised on the same kind only."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
