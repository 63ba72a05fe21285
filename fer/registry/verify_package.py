"""The check of a package before it is registered: in a fresh process it must answer as the run did."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fer.bundle.reference_samples import TOLERANCE
from fer.core.user_cache import CACHE_ENV
from fer.errors import ModelError
from fer.registry.package import open_package

PROBE_SCRIPT = Path(__file__).with_name("package_probe.py")
TIMEOUT_S = 600


def check_package(archive: Path) -> float:
    """Unpack a package in a fresh process, and compare its answers to its own samples with the run's.

    Args:
        archive: The model.tar.gz.

    Returns:
        The largest absolute difference of a probability.

    Raises:
        ModelError: The package cannot be opened, cannot answer, or answers differently.
    """
    with tempfile.TemporaryDirectory() as temp_dir:
        package = open_package(archive, Path(temp_dir) / "package")
        # Isolated (-I): neither this project's directory nor PYTHONPATH is searched for what the package lacks.
        command = [sys.executable, "-I", str(PROBE_SCRIPT), str(package)]
        try:
            process = subprocess.run(
                command,
                cwd=temp_dir,
                # A network in this user's cache must not stand in for one that the package lacks.
                env={**os.environ, CACHE_ENV: str(Path(temp_dir) / "cache")},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise ModelError(
                f"{archive}: gave no answer to its samples in {TIMEOUT_S} s; it is not registered"
            ) from None
    if process.returncode:
        message = (process.stderr.strip().splitlines() or [f"it ended with {process.returncode}"])[-1]
        raise ModelError(f"{archive}: cannot answer in a fresh process ({message}); it is not registered")
    result = json.loads(process.stdout.splitlines()[-1])
    if problem := result.get("problem"):
        raise ModelError(f"{archive}: {problem}; it is not registered")
    difference = float(result["difference"])
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{archive}: unpacked in a fresh process, its probabilities differ by {difference:.2g} from the run's "
            f"(at most {TOLERANCE:g} is allowed); it is not registered"
        )
    return difference
