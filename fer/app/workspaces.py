"""What each visit of the dashboard has on the disk: a directory of its own that goes when the visit ends.

A closed tab announces nothing. So whoever is not connected for a while is taken to be gone: the same while after which
Streamlit forgets a visit that lost its connection. All directories go with the dashboard, and what one that was killed
has left behind goes when the next one starts.
"""

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from fer.app.analysis import Analysis
from fer.app.comparison import Comparison
from fer.app.jobs import JobQueue
from fer.app.uploads import Upload
from fer.errors import UserError

# Seconds without a connection after which a visit is over.
GONE_AFTER_S = 120
PREFIX, LOCK = "fer-app-", ".lock"
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Workspace:
    """What one visit has.

    Attributes:
        directory: Its directory, which nobody else can read.
        uploads: Its files.
        analysis: The latest run of infer.py on them.
        comparison: The latest comparison of runs.
        last_seen: When it was connected last, by ``time.monotonic``.
    """

    directory: Path
    uploads: list[Upload] = field(default_factory=list)
    analysis: Analysis | None = None
    comparison: Comparison | None = None
    last_seen: float = field(default_factory=time.monotonic)

    def make_folder(self, name: str) -> Path:
        """Return a directory of this name that is not there; what was in it before is deleted."""
        folder = self.directory / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder


class Workspaces:
    """The workspaces of all visits, by the id that Streamlit gives them.

    Args:
        queue: Where their jobs run.
        is_connected: Whether a visit's browser is connected.
        parent: Where the directories are made; by default that of temporary files (``$TMPDIR``).

    Raises:
        UserError: There is no room for them.
    """

    def __init__(self, queue: JobQueue, is_connected: Callable[[str], bool], parent: Path | None = None) -> None:
        try:
            parent = Path(tempfile.gettempdir()) if parent is None else parent
            _remove_leftovers(parent)
            self.root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            self._root_lock = FileLock(self.root / LOCK)
            self._root_lock.acquire()
        except OSError as error:
            raise UserError(
                f"visitors' files cannot be kept ({error.strerror}); make room, or name another directory by TMPDIR"
            ) from None
        self._queue, self._is_connected = queue, is_connected
        self._by_visit: dict[str, Workspace] = {}
        self._lock = threading.Lock()

    def open(self, visit: str) -> Workspace:
        """Return the workspace of a visit, a new one at its first call. Raises UserError where there is no room."""
        with self._lock:
            if visit not in self._by_visit:
                try:
                    self._by_visit[visit] = Workspace(Path(tempfile.mkdtemp(dir=self.root)))
                except OSError:
                    raise UserError(
                        "there is no room for your visit on the server; try again later, or ask who runs it"
                    ) from None
            workspace = self._by_visit[visit]
            workspace.last_seen = time.monotonic()
            return workspace

    def clear(self, workspace: Workspace) -> None:
        """Delete the files of a visit, and end what is at work on them; the visit goes on."""
        for work in (workspace.analysis, workspace.comparison):
            if work is not None:
                self._queue.cancel(work.job)
        workspace.analysis = workspace.comparison = None
        workspace.uploads.clear()
        for path in workspace.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def sweep(self) -> None:
        """Delete the workspaces of visits that are over."""
        now = time.monotonic()
        with self._lock:
            for visit, workspace in self._by_visit.items():
                if self._is_connected(visit):
                    workspace.last_seen = now
            gone = [visit for visit, one in self._by_visit.items() if now - one.last_seen > GONE_AFTER_S]
            removed = [self._by_visit.pop(visit) for visit in gone]
        for workspace in removed:
            self._remove(workspace)

    def _remove(self, workspace: Workspace) -> None:
        try:
            self.clear(workspace)
            workspace.directory.rmdir()
        except OSError:
            log.exception("The files of a visit could not be deleted: %s", workspace.directory)

    def close(self) -> None:
        """Delete everything."""
        with self._lock:
            remaining = list(self._by_visit.values())
            self._by_visit.clear()
        for workspace in remaining:
            self._remove(workspace)
        self._root_lock.release()
        shutil.rmtree(self.root, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed dashboards of this user have left behind: nobody holds its lock."""
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            # A directory of this moment has no lock yet; a link, or what another user has made, is none of ours.
            if directory.lstat().st_uid != os.getuid() or directory.is_symlink() or not (directory / LOCK).is_file():
                continue
            with FileLock(directory / LOCK, timeout=0):
                shutil.rmtree(directory, ignore_errors=True)
