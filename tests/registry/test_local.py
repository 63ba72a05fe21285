"""The registry on this machine: several processes, kills, no room, and what MLflow sees."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from fer.errors import UserError
from fer.registry.mlflow import MlflowRegistry, flatten_settings
from tests.helpers.candidates import NAME, candidate
from tests.helpers.paths import PROJECT
from tests.helpers.programs import environment
from tests.helpers.registering import until

pytestmark = pytest.mark.slow


def registrar(store: Path, folder: Path, *marks: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.registrar", str(store), str(folder), *marks],
        cwd=PROJECT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_do_not_clash(tmp_path: Path) -> None:
    # Not even the database is there when they begin.
    store = tmp_path / "new"
    both = [registrar(store, tmp_path / name, f"{name}1", f"{name}2") for name in ("a", "b")]
    for process in both:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "INFO" not in said
    versions = MlflowRegistry(store).list_versions(NAME)
    assert [version.version for version in versions] == [1, 2, 3, 4]
    assert {version.fingerprint for version in versions} == {f"fingerprint-{mark}" for mark in ("a1", "a2", "b1", "b2")}
    assert [version.aliases for version in versions] == [("champion",), (), (), ("challenger",)]


def test_a_file_where_the_store_should_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^registry\.store=.*file: is a file, not a directory; name another place$"):
        MlflowRegistry(tmp_path / "file")


def copied(store: Path) -> bool:
    return any(store.glob("artifacts/*/artifacts/model.tar.gz"))


def tables_made(store: Path) -> bool:
    return (store / "mlflow.db").is_file()


@pytest.mark.parametrize(("reached", "begun"), [(copied, True), (tables_made, False)])
def test_a_registration_that_is_killed_leaves_nothing_that_resolves(
    reached: Callable[[Path], bool], begun: bool, store: Path, tmp_path: Path
) -> None:
    if not begun:
        store = tmp_path / "new"
    process = registrar(store, tmp_path, "1")
    until(lambda: reached(store))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    left = [version.version for version in MlflowRegistry(store).list_versions(NAME)]
    # It may have been done just before.
    assert left in ([], [1])
    registry = MlflowRegistry(store)
    registry.register(candidate(tmp_path, "2"))
    versions = registry.list_versions(NAME)
    assert [version.version for version in versions] == [*left, len(left) + 1]
    for version in versions:
        assert registry.fetch(version, tmp_path / "fetched" / str(version.version)).is_file()


@pytest.fixture
def little_room() -> Iterator[Callable[[int], None]]:
    """Lets no file of this process grow above so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("full", ["database", "package"])
def test_no_room_registers_nothing(full: str, store: Path, tmp_path: Path, little_room: Callable[[int], None]) -> None:
    given = candidate(tmp_path)
    given.files["model.tar.gz"].write_bytes(b"x" * (3 << 20))
    registry = MlflowRegistry(store)
    assert registry.list_versions(NAME) == []
    little_room(4096 if full == "database" else 2 << 20)
    with pytest.raises((UserError, OSError)) as raised:
        registry.register(given)
    little_room(resource.RLIM_INFINITY)
    if full == "database":
        assert re.search(r"mlflow.db: cannot be used \(.*\); make room or restore it", str(raised.value))
    else:
        assert isinstance(raised.value, OSError) and raised.value.errno == errno.EFBIG
    assert MlflowRegistry(store).list_versions(NAME) == []


def test_what_mlflow_sees(store: Path, tmp_path: Path) -> None:
    registry = MlflowRegistry(store)
    given = candidate(tmp_path)
    version = registry.register(given)
    client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}", f"sqlite:///{store / 'mlflow.db'}")
    found = client.get_model_version(NAME, "1")
    assert found.tags == {"status": "Approved", **given.build_properties()}
    assert found.description == "Verdict 1."
    run = client.get_run(str(found.run_id))
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == NAME
    assert run.data.params == {
        **{"seed": "0", "dataset.sources.drawn.kind": "synthetic", "optimizer.lr": "0.001"},
    }
    assert run.data.metrics["accuracy"] == 0.9
    assert run.data.metrics["f1_anger"] == given.metrics["test"]["per_class"]["anger"]["f1"]["value"]
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == set(given.files)
    assert found.source == Path(version.source).as_uri()


def test_a_store_that_was_moved_still_works(store: Path, tmp_path: Path) -> None:
    MlflowRegistry(store).register(candidate(tmp_path))
    moved = Path(shutil.move(store, tmp_path / "moved"))
    registry = MlflowRegistry(moved)
    assert registry.fetch(registry.find(NAME, 1), tmp_path / "fetched").is_file()


def test_reading_makes_no_store(tmp_path: Path) -> None:
    registry = MlflowRegistry(tmp_path / "none")
    assert registry.list_versions(NAME) == registry.list_names() == []
    with pytest.raises(UserError, match="holds no model of this name"):
        registry.find(NAME, "champion")
    assert not (tmp_path / "none").exists()


def test_a_damaged_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 1000)
    with pytest.raises(UserError, match=r"mlflow.db: cannot be used \(.*not a database.*registry.store$"):
        MlflowRegistry(tmp_path).list_versions(NAME)


def test_models_are_listed_by_name(tmp_path: Path) -> None:
    registry = MlflowRegistry(tmp_path)
    for name in ("b", "a"):
        registry.client.create_registered_model(name)
    assert registry.list_names() == ["a", "b"]


def test_settings_are_flat_and_within_mlflows_limits() -> None:
    assert flatten_settings({"a": {"b": [1, 2], "c d*": None}, "e": True}) == {
        "a.b": "[1, 2]",
        "a.c d_": "null",
        "e": "true",
    }
    assert flatten_settings({"long": "x" * 7000}) == {"long": "x" * 6000}
