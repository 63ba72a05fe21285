"""The trackers by their kind, and a thread for each, so that one that hangs or fails holds up no other.

To add a tracker: write a class like `fer.trackers.base.Tracker` in a file of its own, enter it in ``TRACKERS``, and
describe its options in ``fer/config/tracker.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pkgutil import resolve_name
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from fer.core.extras import require_packages
from fer.core.plugins import find_plugin, load_plugin
from fer.errors import shorten_error
from fer.trackers.base import RunInfo, RunResult, Tracker
from fer.trackers.run_reader import TrackerState


@dataclass(frozen=True)
class TrackerType:
    """A kind of tracker.

    Attributes:
        title: Its name for people.
        class_path: Its class, which is imported only where the tracker is on.
        packages: Of those that it needs, the ones that not every installation has, see `fer.core.extras`.
    """

    title: str
    class_path: str
    packages: tuple[str, ...] = ()


TRACKERS = {
    "tensorboard": TrackerType("TensorBoard", "fer.trackers.tensorboard:TensorBoardTracker", ("tensorboard",)),
    "wandb": TrackerType("W&B", "fer.trackers.wandb:WandbTracker", ("wandb",)),
    "mlflow": TrackerType("MLflow", "fer.trackers.mlflow:MlflowTracker"),
}
# Libraries that import parts of each other from two threads at once may meet half of a module.
_IMPORT_LOCK = Lock()
NotifyFn = Callable[..., None]


class TrackerThread:
    """One tracker's thread, with a queue of what the tracker is to log.

    Args:
        kind: A key of ``TRACKERS``, or the name of a plugin.
        options: Keyword arguments of its class.
        run: The run to log.
        state: Keeps the number of the last row that was logged.
        notify: Called with the name of a logging level and a sentence for the user.
    """

    def __init__(
        self, kind: str, options: Mapping[str, Any], run: RunInfo, state: TrackerState, notify: NotifyFn
    ) -> None:
        self.kind, self.options, self.run, self.state, self.notify = kind, options, run, state, notify
        self.title = get_title(kind)
        # Runs of earlier versions have it under this name, too: each epoch had one row.
        self.last_row = int(state.get(kind).get("epoch", 0))
        self.queue: SimpleQueue[Callable[[Tracker], str | None]] = SimpleQueue()
        self.thread = Thread(target=self._process_queue, daemon=True)
        self.thread.start()

    def _process_queue(self) -> None:
        """Call the tracker until it has logged the result, or fails: then it is off."""
        try:
            tracker = _create_tracker(self.kind, self.options, self.run)
            location = None
            while location is None:
                location = self.queue.get()(tracker)
            self.notify("INFO", f"{self.title}: {location}")
        except BaseException as error:
            # Whatever a library raises, be it SystemExit, ends its own thread only.
            reason = f"{type(error).__name__}: {shorten_error(error)}"
            self.notify("WARNING", f"{self.title} is off ({reason}); the run goes on without it")

    def put_rows(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Queue rows of history.csv by number, without those that were queued before, in this process or an earlier."""
        for number in sorted(number for number in rows if number > self.last_row):
            self.last_row = number
            self.queue.put(partial(self._log_row, number=number, row=rows[number]))

    def _log_row(self, tracker: Tracker, number: int, row: Mapping[str, float]) -> None:
        tracker.log_epoch(number, row)
        self.state.update(self.kind, epoch=number)

    def put_system_metrics(self, seconds: int, metrics: Mapping[str, float]) -> None:
        """Queue what the training uses of the machine, so many seconds after the run's start."""
        self.queue.put(lambda tracker: tracker.log_system_metrics(seconds, metrics))

    def put_result(self, result: RunResult) -> None:
        """Queue the result, after which the thread ends."""
        self.queue.put(lambda tracker: tracker.finish(result))

    def wait(self, timeout_s: float) -> bool:
        """Wait so long at most; returns whether the tracker is done, or failed."""
        self.thread.join(timeout_s)
        return not self.thread.is_alive()


def get_title(kind: str) -> str:
    """Return the name of a kind of tracker for people; a plugin's own name."""
    return TRACKERS[kind].title if kind in TRACKERS else kind


def _create_tracker(kind: str, options: Mapping[str, Any], run: RunInfo) -> Tracker:
    """Import the tracker's library and begin. Raises whatever the library does."""
    if kind not in TRACKERS:
        key = f"tracker.plugins.{kind}"
        with _IMPORT_LOCK:
            plugin: Callable[..., Tracker] = load_plugin(find_plugin("tracker", kind, key), key)
        return plugin(run, **options)
    tracker_type = TRACKERS[kind]
    require_packages(*tracker_type.packages, purpose=f"tracker.{kind}")
    with _IMPORT_LOCK:
        tracker_class: Callable[..., Tracker] = resolve_name(tracker_type.class_path)
    return tracker_class(run, **options)
