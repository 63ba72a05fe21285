"""A thread for each tracker, so that one that hangs or fails holds up no other."""

from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from fer.errors import shorten_error
from fer.trackers.base import RunInfo, RunResult, Tracker
from fer.trackers.run_reader import TrackerState

TITLES = {"tensorboard": "TensorBoard", "wandb": "W&B", "mlflow": "MLflow"}
# Libraries that import parts of each other from two threads at once may meet half of a module.
IMPORT_LOCK = Lock()
NotifyFn = Callable[..., None]


class TrackerThread:
    """One tracker's thread; what it is to be told waits in a queue. ``say`` takes a level's name and a sentence."""

    def __init__(
        self, kind: str, options: Mapping[str, Any], run: RunInfo, state: TrackerState, notify: NotifyFn
    ) -> None:
        self.kind, self.options, self.run, self.state, self.notify = kind, options, run, state, notify
        self.last_epoch = int(state.get(kind).get("epoch", 0))
        self.queue: SimpleQueue[Callable[[Tracker], str | None]] = SimpleQueue()
        self.thread = Thread(target=self._process_queue, daemon=True)
        self.thread.start()

    def _process_queue(self) -> None:
        """Tell the tracker until it was told the end, or fails: then it is off."""
        try:
            tracker = _create_tracker(self.kind, self.options, self.run)
            location = None
            while location is None:
                location = self.queue.get()(tracker)
            self.notify("INFO", f"{TITLES[self.kind]}: {location}")
        except BaseException as error:
            # Whatever a library raises, be it SystemExit, ends its own thread only.
            reason = f"{type(error).__name__}: {shorten_error(error)}"
            self.notify("WARNING", f"{TITLES[self.kind]} is off ({reason}); the run goes on without it")

    def put_epochs(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Rows of history.csv; those that the tracker was told before are left out."""
        for epoch in sorted(epoch for epoch in rows if epoch > self.last_epoch):
            self.last_epoch = epoch
            self.queue.put(partial(self._log_epoch, epoch=epoch, row=rows[epoch]))

    def _log_epoch(self, tracker: Tracker, epoch: int, row: Mapping[str, float]) -> None:
        tracker.log_epoch(epoch, row)
        self.state.update(self.kind, epoch=epoch)

    def put_system_metrics(self, seconds: int, metrics: Mapping[str, float]) -> None:
        self.queue.put(lambda tracker: tracker.log_system_metrics(seconds, metrics))

    def put_result(self, result: RunResult) -> None:
        self.queue.put(lambda tracker: tracker.finish(result))

    def wait(self, timeout_s: float) -> bool:
        """Wait so long at most; whether the tracker has done, or failed."""
        self.thread.join(timeout_s)
        return not self.thread.is_alive()


def _create_tracker(kind: str, options: Mapping[str, Any], run: RunInfo) -> Tracker:
    """Import the tracker's library and begin. Raises whatever the library does."""
    tracker_class: Callable[..., Tracker]
    with IMPORT_LOCK:
        if kind == "tensorboard":
            from fer.trackers.tensorboard import TensorBoardTracker

            tracker_class = TensorBoardTracker
        elif kind == "wandb":
            from fer.trackers.wandb import WandbTracker

            tracker_class = WandbTracker
        else:
            from fer.trackers.mlflow import MlflowTracker

            tracker_class = MlflowTracker
    return tracker_class(run, **options)
