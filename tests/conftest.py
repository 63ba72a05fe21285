"""What tests of several rooms share."""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from importlib import import_module

import pytest
from filelock import FileLock

from fer.core.user_cache import CACHE_ENV
from tests.helpers.forking import forking
from tests.helpers.parsing import parse_once
from tests.helpers.paths import PROJECT, SHARED, TABLES_ENV

pytest_plugins = (
    "tests.helpers.aws_fixtures",
    "tests.helpers.browser",
    "tests.helpers.network_fixtures",
    "tests.helpers.package_fixtures",
    "tests.helpers.serving_fixtures",
)
FORKING = pytest.StashKey[ExitStack]()
# Libraries and tests stay: a quarter of the time of their import would go into looking for what can be collected.
gc.disable()


@pytest.fixture(scope="session", autouse=True)
def _forking() -> Iterator[None]:
    """Programs start as copies of a process that has imported their libraries."""
    with forking():
        yield


@pytest.fixture(scope="session", autouse=True)
def _parsing() -> None:
    """Thousands of configurations and hundreds of clients of AWS are made of the same files."""
    parse_once()


@pytest.fixture(scope="session", autouse=True)
def _mlflow_tables(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """Databases of MLflow begin as copies of one that all workers share."""
    if "mlflow" in sys.modules:
        import_module("tests.helpers.mlflow_tables").copy_tables()
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TABLES_ENV, str((own if worker_id == "master" else own.parent) / "mlflow-tables.db"))
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Several threads wait for each other where cores are busy, and add up in another order."""
    if "torch" not in sys.modules:
        yield
        return
    from tests.helpers.networks import one_thread

    with one_thread():
        yield


@pytest.fixture(scope="session", autouse=True)
def _user_cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """What programs keep in the user's cache goes to a directory that all workers share."""
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_ENV, str((own if worker_id == "master" else own.parent) / "user-cache"))
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


def pytest_configure(config: pytest.Config) -> None:
    """A suite that a script starts in the background inherits an ignored SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # No test needs the network: whatever asks for it, such as a detector's weights, is refused at once.
    os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"
    if config.getoption("numprocesses", None):
        # Workers, too, are copies with all libraries; each has a template of its own at once.
        config.stash[FORKING] = ExitStack()
        config.stash[FORKING].enter_context(forking())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """What is still there goes with the process: pytest would have it searched twice for what can be collected."""
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """What starts processes after the suite starts them as always."""
    config.stash.get(FORKING, ExitStack()).close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Workers collect one after the other: the first compiles all tests, and the others read what it has written."""
    with FileLock(PROJECT / ".pytest_cache" / "collecting.lock"):
        return (yield)


def pytest_collection_finish() -> None:
    """From here on the collector passes over what was imported."""
    gc.freeze()
    gc.set_threshold(30_000, 50, 100)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by where they stand and what they need, and let those begin first that take longest."""
    for item in items:
        room, fixtures = item.path.parent.name, set(getattr(item, "fixturenames", ()))
        marks = {
            "e2e": room == "end_to_end",
            "nightly": room == "simulator",
            "gpu": room == "gpu",
            "browser": "browser" in item.path.name,
            "aws": bool({"aws", "simulator"} & fixtures),
        }
        for name in (name for name, holds in marks.items() if holds):
            item.add_marker(name)
        if any(marks.values()):
            item.add_marker("slow")
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.get_closest_marker("e2e") is None, item.path not in slow_files))
