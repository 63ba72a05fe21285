"""Callbacks of a training: the state of the random generators, history.csv, and progress."""

import logging
import random
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from fer.core.io import write_text
from fer.core.progress import LINE_SECONDS, create_progress_bar, format_progress
from fer.train.module import AFFECT_METRIC, FaceClassifierModule
from fer.train.validation_points import compute_epoch_fraction, is_epoch_end, list_validation_batches

REFRESH_SECONDS = 0.5
log = logging.getLogger(__name__)

HISTORY_COLUMNS = (
    *("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_balanced_accuracy"),
    *("val_macro_f1", "val_objective", "seconds", "images_per_second"),
)


class RngStateCallback(Callback):
    """Keeps the state of the random generators in checkpoints, so that a resumed run draws the same dropout."""

    # Checkpoints of earlier versions hold it under this name.
    state_key = "RandomState"

    def __init__(self) -> None:
        self.pending_state: dict[str, Any] | None = None

    @override
    def state_dict(self) -> dict[str, Any]:
        name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
        assert name == "MT19937"
        return {
            "torch": torch.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
            "numpy": [torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, gauss],
            "python": [list(random.getstate()[1]), random.getstate()[2]],
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.pending_state = state_dict

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.pending_state is None:
            return
        torch.set_rng_state(self.pending_state["torch"].cpu())
        if self.pending_state["cuda"] and torch.cuda.is_available():
            # Of several processes each has its own device, and all of them are in the state of the first.
            torch.cuda.set_rng_state(self.pending_state["cuda"][0].cpu())
        keys, position, has_gauss, gauss = self.pending_state["numpy"]
        np.random.set_state(("MT19937", keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
        numbers, gauss = self.pending_state["python"]
        random.setstate((3, tuple(numbers), gauss))
        self.pending_state = None


class MetricsHistory(Callback):
    """Writes history.csv, a row a validation; the rows of the run that a resumed one continues come first.

    All processes of a training keep the rows, and rank 0 writes them.

    Args:
        path: The file.
        validations: Validations of an epoch.
    """

    # As above.
    state_key = "History"

    def __init__(self, path: Path, validations: int = 1) -> None:
        self.path = path
        self.validations = validations
        self.points: list[int] = []
        self.rows: list[dict[str, float]] = []
        self.epoch_start = 0.0
        self.train_seconds = 0.0
        self.validation_start = 0.0
        self.validation_seconds = 0.0
        self.images = 0

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, FaceClassifierModule)
        if self.rows and "val_objective" not in self.rows[0]:
            # The best epoch so far and the patience that is left were judged by it: one run has one measure.
            pl_module.val_loss_is_objective = True
            log.warning(
                "The run was begun by an earlier version: its val_loss stays the value of the training objective"
            )

    @property
    def images_per_second(self) -> float:
        """Training images a second in the current epoch, of all processes together."""
        return self.images / max(self.train_seconds, 1e-9)

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.points = list_validation_batches(int(trainer.num_training_batches), self.validations)
        self.epoch_start, self.train_seconds, self.validation_seconds, self.images = time.monotonic(), 0.0, 0.0, 0

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += batch["shard"][2]
        if batch_idx + 1 in self.points and pl_module.device.type == "cuda":
            # A GPU lags behind the program that feeds it: its speed is known once it has done the last batch.
            torch.cuda.synchronize()
        self.train_seconds = time.monotonic() - self.epoch_start - self.validation_seconds

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validation_start = time.monotonic()

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validation_seconds += time.monotonic() - self.validation_start
        if not is_epoch_end(trainer):
            done, batches = trainer.fit_loop.epoch_loop.batch_idx + 1, int(trainer.num_training_batches)
            fraction = compute_epoch_fraction(done, batches, self.validations)
            self._add_row(trainer, pl_module, round(trainer.current_epoch + fraction, 6))

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # An early stop in the midst of an epoch came after its row.
        if is_epoch_end(trainer):
            self._add_row(trainer, pl_module, trainer.current_epoch + 1)

    def _add_row(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: float) -> None:
        assert isinstance(pl_module, FaceClassifierModule)
        total, correct, count = pl_module.epoch_sums.tolist()
        self.rows.append(
            {
                "epoch": epoch,
                "lr": trainer.optimizers[0].param_groups[0]["lr"],
                "train_loss": total / max(count, 1),
                "train_accuracy": correct / max(count, 1),
                **pl_module.val_metrics,
                "seconds": round(time.monotonic() - self.epoch_start, 3),
                "images_per_second": round(self.images_per_second, 1),
            }
        )
        if trainer.is_global_zero:
            columns = [*HISTORY_COLUMNS, *(name for name in (AFFECT_METRIC,) if name in self.rows[-1])]
            write_text(self.path, pd.DataFrame(self.rows, columns=columns).to_csv(index=False))


class ProgressCallback(Callback):
    """Shows a bar with loss, metric, images a second and time left in a terminal; plain lines elsewhere.

    Args:
        history: The history of the same training.
        monitor: The metric to show, a column of the history.
    """

    def __init__(self, history: MetricsHistory, monitor: str) -> None:
        self.history = history
        self.monitor = monitor
        self.bar: Any = None
        self.last_update = 0.0
        self.metric = ""
        self.logged_rows = 0

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.last_update = time.monotonic()
        if sys.stderr.isatty():
            title = f"Epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            total = int(trainer.num_training_batches)
            self.bar = create_progress_bar(total, title, " batches")

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self.last_update < (REFRESH_SECONDS if self.bar is not None else LINE_SECONDS):
            return
        self.last_update = now
        assert isinstance(pl_module, FaceClassifierModule)
        total, _, count = pl_module.train_sums.tolist()
        loss = f"loss {total / max(count, 1):.3f}"
        if self.bar is not None:
            self.bar.set_postfix_str(
                f"{loss}{self.metric}, {self.history.images_per_second:.0f} {pl_module.unit}/s", refresh=False
            )
            self.bar.update(batch_idx + 1 - self.bar.n)
        else:
            images = self.history.images
            total_images = int(trainer.num_training_batches) * images // (batch_idx + 1)
            title = f"Epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            seconds = self.history.train_seconds
            log.info("%s, %s", format_progress(title, images, total_images, pl_module.unit, seconds), loss)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if is_epoch_end(trainer):
            return
        if self.bar is not None:
            self.bar.clear()
        self._log_row(trainer, pl_module, self.history.rows[-1]["epoch"])

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close_bar()
        # An early stop in the midst of an epoch came after its line.
        if len(self.history.rows) > self.logged_rows:
            self._log_row(trainer, pl_module, trainer.current_epoch + 1)

    def _log_row(self, trainer: pl.Trainer, module: pl.LightningModule, epoch: float) -> None:
        self.logged_rows = len(self.history.rows)
        row = self.history.rows[-1]
        values = [past[self.monitor] for past in self.history.rows]
        best = min(values) if self.monitor == "val_loss" else max(values)
        self.metric = f", {self.monitor} {row[self.monitor]:.4f}"
        seconds_left = ((trainer.max_epochs or 0) - epoch) * row["seconds"] / (epoch - trainer.current_epoch)
        log.info(
            "Epoch %g/%d: train_loss %.4f, val_loss %.4f, %s %.4f (best %.4f), %.0f %s/s, at most %.0f s left",
            *(epoch, trainer.max_epochs, row["train_loss"], row["val_loss"], self.monitor),
            *(row[self.monitor], best, row["images_per_second"], cast(FaceClassifierModule, module).unit, seconds_left),
        )

    @override
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close_bar()

    def _close_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
