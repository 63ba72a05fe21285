"""What tests of several rooms share."""

import sys
from collections.abc import Iterator

import pytest

from tests.helpers.paths import SHARED

pytest_plugins = ("tests.helpers.aws_fixtures", "tests.helpers.network_fixtures", "tests.helpers.serving_fixtures")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Several threads wait for each other where cores are busy, and add up in another order."""
    if "torch" not in sys.modules:
        yield
        return
    from tests.helpers.networks import one_thread

    with one_thread():
        yield


@pytest.fixture(scope="session")
def ferplus_zip() -> str:
    """The real FERPlus archive beside the repository; tests that need it are skipped where it is absent."""
    path = SHARED / "data" / "ferplus" / "ferplus.zip"
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
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)
