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


@pytest.fixture(scope="session")
def ferplus_cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> str:
    """A cache of decoded images that all workers share: the archive takes half a minute."""
    own = tmp_path_factory.getbasetemp()
    return str((own if worker_id == "master" else own.parent) / "ferplus-cache")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The programs' tests take longest, so they begin first: at the end no worker waits for them."""
    items.sort(key=lambda item: "programs" not in item.path.parts)
