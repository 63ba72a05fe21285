"""What tests of several rooms share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ferplus_zip() -> str:
    """The real FERPlus archive beside the repository; tests that need it are skipped where it is absent."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "ferplus" / "ferplus.zip"
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    return str(path)
