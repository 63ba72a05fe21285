"""Before a package leaves: unpacked in a fresh process, it must answer as the run did."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fer.bundle.reference_samples import TOLERANCE
from fer.errors import ModelError
from fer.registry.package import open_package

PROBE = Path(__file__).with_name("package_probe.py")
LONGEST = 600  # seconds


def check_package(archive: Path) -> float:
    """The largest difference of a probability from the run's, for the package's own samples. Raises ModelError."""
    with tempfile.TemporaryDirectory() as place:
        package = open_package(archive, Path(place) / "package")
        # Isolated (-I): neither this project's directory nor PYTHONPATH is searched for what the package lacks.
        command = [sys.executable, "-I", str(PROBE), str(package)]
        try:
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            raise ModelError(f"{archive}: gave no answer to its samples in {LONGEST} s; it is not registered") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise ModelError(f"{archive}: cannot answer in a fresh process ({said}); it is not registered")
    found = json.loads(done.stdout.splitlines()[-1])
    if problem := found.get("problem"):
        raise ModelError(f"{archive}: {problem}; it is not registered")
    difference = float(found["difference"])
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{archive}: unpacked in a fresh process, its probabilities differ by {difference:.2g} from the run's "
            f"(at most {TOLERANCE:g} is allowed); it is not registered"
        )
    return difference
