"""The one dashboard of this process: what it was started with, its queue, and the workspaces of its visits."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fer.app.jobs import JobQueue
from fer.app.settings import Settings
from fer.app.workspaces import Workspaces

SWEEP_INTERVAL_S = 5.0
log = logging.getLogger(__name__)
_dashboard: "Dashboard | None" = None


class Dashboard:
    """Settings, queue and workspaces.

    Args:
        settings: What the dashboard was started with.
        is_connected: Whether the browser of a visit is connected.
        temporary: Where visits have their files; by default the directory of temporary files.
    """

    def __init__(self, settings: Settings, is_connected: Callable[[str], bool], temporary: Path | None = None) -> None:
        self.settings = settings
        self.queue = JobQueue(settings.jobs)
        self.workspaces = Workspaces(self.queue, is_connected, temporary)
        self._stop = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="sweeper", daemon=True)
        self._sweeper.start()

    def _sweep(self) -> None:
        while not self._stop.wait(SWEEP_INTERVAL_S):
            try:
                self.workspaces.sweep()
            except Exception:
                log.exception("The files of visits that are over could not be looked for")

    def close(self) -> None:
        """End all runs, and delete all files of visits."""
        self._stop.set()
        self._sweeper.join()
        self.queue.close()
        self.workspaces.close()


@contextmanager
def open_dashboard(
    settings: Settings, is_connected: Callable[[str], bool], temporary: Path | None = None
) -> Iterator[Dashboard]:
    """Have a dashboard, which the pages find by ``get_dashboard``, for as long as the block lasts."""
    global _dashboard
    _dashboard = Dashboard(settings, is_connected, temporary)
    try:
        yield _dashboard
    finally:
        _dashboard.close()
        _dashboard = None


def get_dashboard() -> Dashboard:
    """The dashboard of this process."""
    assert _dashboard is not None, "no dashboard is open"
    return _dashboard
