"""Directories of visits: apart from each other, gone with the visit, with the dashboard, and with a killed one."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import fer.app.workspaces
from fer.app.analysis import Analysis
from fer.app.jobs import Job, JobQueue, JobState
from fer.app.uploads import Upload
from fer.app.workspaces import Workspaces
from fer.errors import UserError
from tests.helpers.paths import PROJECT


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    opened = JobQueue(1)
    yield opened
    opened.close()


@pytest.fixture
def connected() -> set[str]:
    return {"anna", "bert"}


@pytest.fixture
def workspaces(queue: JobQueue, connected: set[str], tmp_path: Path) -> Iterator[Workspaces]:
    opened = Workspaces(queue, connected.__contains__, tmp_path)
    yield opened
    opened.close()


def test_each_visit_has_a_directory_that_nobody_else_can_read(workspaces: Workspaces) -> None:
    anna, bert = workspaces.open("anna"), workspaces.open("bert")
    assert workspaces.open("anna") is anna
    assert anna.directory != bert.directory
    assert {path.stat().st_mode & 0o777 for path in (workspaces.root, anna.directory)} == {0o700}


def test_who_is_gone_for_long_has_nothing_left(
    workspaces: Workspaces, connected: set[str], queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(fer.app.workspaces.time, "monotonic", lambda: clock[0])
    anna, bert = workspaces.open("anna"), workspaces.open("bert")
    for workspace in (anna, bert):
        (workspace.directory / "upload-1.mp4").touch()
        (workspace.directory / "run").mkdir()
        workspace.uploads.append(Upload("a.mp4", workspace.directory / "upload-1.mp4", 0))
    job = queue.submit(Job(["/bin/sleep", "600"]))
    anna.analysis = Analysis(job, anna.directory / "run")
    connected.remove("anna")
    for seconds in (60, 59):
        clock[0] += seconds
        workspaces.sweep()
    # A connection that comes back in time finds everything.
    assert anna.directory.is_dir() and not job.is_over
    clock[0] += 2
    workspaces.sweep()
    assert not anna.directory.exists()
    assert job.state is JobState.CANCELLED
    assert sorted(path.name for path in bert.directory.iterdir()) == ["run", "upload-1.mp4"]
    assert workspaces.open("anna").uploads == []


def test_a_visitor_deletes_files_and_goes_on(workspaces: Workspaces) -> None:
    anna = workspaces.open("anna")
    (anna.directory / "run").mkdir()
    anna.uploads.append(Upload("a.mp4", anna.directory / "upload-1.mp4", 0))
    workspaces.clear(anna)
    assert anna.uploads == [] and not list(anna.directory.iterdir())
    assert workspaces.open("anna") is anna


def test_a_folder_begins_empty(workspaces: Workspaces) -> None:
    folder = workspaces.open("anna").make_folder("run")
    folder.mkdir()
    (folder / "report.html").touch()
    assert not workspaces.open("anna").make_folder("run").exists()


def test_closing_leaves_nothing(queue: JobQueue, tmp_path: Path) -> None:
    workspaces = Workspaces(queue, lambda _: True, tmp_path)
    (workspaces.open("anna").directory / "upload-1.mp4").touch()
    workspaces.close()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_dashboard_has_left_goes_and_what_another_one_uses_stays(
    workspaces: Workspaces, queue: JobQueue, tmp_path: Path
) -> None:
    """A lock belongs to a process, so one is needed that is killed."""
    code = (
        "import os, pathlib; from fer.app.workspaces import Workspaces; from fer.app.jobs import JobQueue\n"
        f"Workspaces(JobQueue(1), lambda _: True, pathlib.Path({str(tmp_path)!r})).open('carl')\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True)
    assert done.returncode == -9, done.stderr
    stranger = tmp_path / "fer-app-stranger"
    stranger.mkdir()
    left = set(tmp_path.iterdir()) - {workspaces.root, stranger}
    assert len(left) == 1
    other = Workspaces(queue, lambda _: True, tmp_path)
    assert set(tmp_path.iterdir()) == {workspaces.root, stranger, other.root}
    other.close()


def test_a_full_disk_is_a_sentence(
    workspaces: Workspaces, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(UserError, match="^there is no room for your visit on the server; try again later, or ask who"):
        workspaces.open("new")
    with pytest.raises(UserError, match=r"^visitors' files cannot be kept \(No space left on device\); make room, or"):
        Workspaces(queue, lambda _: True, tmp_path)
