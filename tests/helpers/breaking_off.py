"""A training that ends before its time, as a callback of a plugin or the machine may end it."""

from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


class BreakOff(Callback):
    """Ends a training after a step: by an error, or in order, as Lightning's own callbacks do."""

    def __init__(self, step: int, error: BaseException | None = None) -> None:
        self.step, self.error = step, error

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            if self.error is not None:
                raise self.error
            trainer.should_stop = True


def add_callback(callback: Callback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a plugin offer a callback, and trainings use it and no other one."""
    monkeypatch.setattr("fer.train.trainer.build_callbacks", lambda config: [callback])
