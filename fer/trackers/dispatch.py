"""A thread for each tracker, so that one that hangs or fails holds up no other."""

from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from fer.errors import first_line
from fer.trackers.base import Begun, Ended, Tracker
from fer.trackers.run_reader import Memory

TITLES = {"tensorboard": "TensorBoard", "wandb": "W&B", "mlflow": "MLflow"}
# Libraries that import parts of each other from two threads at once may meet half of a module.
IMPORTING = Lock()
Say = Callable[..., None]


class Lane:
    """One tracker's thread; what it is to be told waits in a queue. ``say`` takes a level's name and a sentence."""

    def __init__(self, kind: str, options: Mapping[str, Any], run: Begun, memory: Memory, say: Say) -> None:
        self.kind, self.options, self.run, self.memory, self.say = kind, options, run, memory, say
        self.told_epoch = int(memory.of(kind).get("epoch", 0))
        self.waiting: SimpleQueue[Callable[[Tracker], str | None]] = SimpleQueue()
        self.thread = Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self) -> None:
        """Tell the tracker until it was told the end, or fails: then it is off."""
        try:
            tracker = opened(self.kind, self.options, self.run)
            place = None
            while place is None:
                place = self.waiting.get()(tracker)
            self.say("INFO", f"{TITLES[self.kind]}: {place}")
        except BaseException as error:
            # Whatever a library raises, be it SystemExit, ends its own thread only.
            reason = f"{type(error).__name__}: {first_line(error)}"
            self.say("WARNING", f"{TITLES[self.kind]} is off ({reason}); the run goes on without it")

    def epochs(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Rows of history.csv; those that the tracker was told before are left out."""
        for epoch in sorted(epoch for epoch in rows if epoch > self.told_epoch):
            self.told_epoch = epoch
            self.waiting.put(partial(self.tell_epoch, epoch=epoch, row=rows[epoch]))

    def tell_epoch(self, tracker: Tracker, epoch: int, row: Mapping[str, float]) -> None:
        tracker.epoch(epoch, row)
        self.memory.note(self.kind, epoch=epoch)

    def system(self, seconds: int, figures: Mapping[str, float]) -> None:
        self.waiting.put(lambda tracker: tracker.system(seconds, figures))

    def end(self, ended: Ended) -> None:
        self.waiting.put(lambda tracker: tracker.end(ended))

    def over(self, timeout_s: float) -> bool:
        """Wait so long at most; whether the tracker has done, or failed."""
        self.thread.join(timeout_s)
        return not self.thread.is_alive()


def opened(kind: str, options: Mapping[str, Any], run: Begun) -> Tracker:
    """Import the tracker's library and begin. Raises whatever the library does."""
    chosen: Callable[..., Tracker]
    with IMPORTING:
        if kind == "tensorboard":
            from fer.trackers.tensorboard import TensorBoardTracker

            chosen = TensorBoardTracker
        elif kind == "wandb":
            from fer.trackers.wandb import WandbTracker

            chosen = WandbTracker
        else:
            from fer.trackers.mlflow import MlflowTracker

            chosen = MlflowTracker
    return chosen(run, **options)
