"""The wheel that the project is installed from."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import PROJECT

SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", "fer", "conf", "schemas", "hydra_plugins")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of its sources: building leaves files beside them."""
    sources, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for path in map(PROJECT.joinpath, SOURCES):
        if path.is_dir():
            shutil.copytree(path, sources / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, sources)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(target), str(sources))
    return next(target.glob("*.whl"))


def pip(*arguments: str) -> None:
    """Run pip to its end."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
