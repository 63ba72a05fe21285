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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The programs' tests take longest, so they begin first: at the end no worker waits for them."""
    items.sort(key=lambda item: "programs" not in item.path.parts)
