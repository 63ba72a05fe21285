"""What a training spends its time on: phases by Lightning's own hooks, and the operators of a few steps."""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler
from typing_extensions import override

from fer.reports.profile import OTHER, PHASES
from fer.train.operator_trace import OperatorTrace

# Steps before the traced ones warm up: first batches allocate memory and choose kernels.
FIRST_TRACED, TRACED_STEPS = 3, 4
NEXT_BATCH, VALIDATION_BEGINS, EPOCH = "train_dataloader_next", "on_validation_model_eval", "run_training_epoch"
VALIDATION, MOVING_AVERAGE, CHECKPOINTS = "validation", "moving_average", "checkpoints"
# What a training without a profile does not do is no phase of it.
PROFILING = "profiling"
PHASE_OF_HOOK = {
    NEXT_BATCH: "loading",
    "batch_to_device": "transfer",
    "training_step": "forward",
    "backward": "backward",
    "optimizer_step": "optimizer",
    "save_checkpoint": CHECKPOINTS,
}


@dataclass(frozen=True)
class _Frame:
    """An action that has begun and not ended, and the phase that its time belongs to."""

    action: str
    phase: str
    annotation: Any


class TrainingProfiler(Profiler):
    """Charges every moment of a training to one phase, so that the phases add up to the whole.

    A hook within another takes its time away from it: what Lightning calls the optimizer's step holds forward and
    backward. The device is waited for wherever a phase ends, so that work belongs to the phase that asked for it.

    Args:
        trainer: The trainer that is measured.
        device: ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, trainer: pl.Trainer, device: str) -> None:
        super().__init__()
        self.trainer = trainer
        self.device = device
        self.seconds = dict.fromkeys((*PHASES, PROFILING), 0.0)
        self.calls = dict.fromkeys((*PHASES, PROFILING), 0)
        self.step_seconds: list[float] = []
        self.batch_images = 0
        self.first_epoch = self.last_epoch = 0
        self.traced = range(0)
        self.trace = OperatorTrace(device)
        self._frames: list[_Frame] = []
        self._step_start: float | None = None
        self._mark = time.perf_counter()

    @property
    def images(self) -> int:
        """Images that were trained on, of all processes together; not those of a step that was broken off before."""
        return self.batch_images * self.calls["backward"]

    @property
    def phase(self) -> str:
        """The phase of this moment."""
        return self._frames[-1].phase if self._frames else OTHER

    @override
    def start(self, action_name: str) -> None:
        hook = action_name.rpartition(".")[2]
        if hook == NEXT_BATCH:
            self._end_step()
            self._begin_step()
        elif hook == VALIDATION_BEGINS:
            self._end_step()
            self._enter(VALIDATION, VALIDATION)
        phase = PHASE_OF_HOOK.get(hook)
        if hook == "on_train_batch_end" and action_name.startswith("[LightningModule]"):
            phase = MOVING_AVERAGE
        # Batches of the validation are part of it; the checkpoint of a better one within an epoch is not.
        within = self.phase == VALIDATION and phase != CHECKPOINTS
        self._enter(action_name, self.phase if phase is None or within else phase)

    @override
    def stop(self, action_name: str) -> None:
        self._leave(action_name)
        if action_name.startswith("[Strategy]") and action_name.endswith(".on_validation_end"):
            self._leave(VALIDATION)
        elif action_name == EPOCH:
            self._end_step()

    def finish(self) -> None:
        """End what an interruption has left open; the phases then add up to the whole."""
        if self._frames:
            self._leave(self._frames[0].action)
        self._end_step()
        self._charge()

    def _enter(self, action: str, phase: str) -> None:
        annotation: Any = nullcontext()
        if phase != self.phase:
            self._charge()
            self.calls[phase] += 1
            if self.trace.active and phase in PHASES:
                annotation = torch.profiler.record_function(PHASES[phase])
        annotation.__enter__()
        self._frames.append(_Frame(action, phase, annotation))

    def _leave(self, action: str) -> None:
        """End an action, and those within it that an exception has left open."""
        if all(frame.action != action for frame in self._frames):
            return
        while True:
            frame = self._frames[-1]
            if frame.phase != (self._frames[-2].phase if len(self._frames) > 1 else OTHER):
                self._charge()
            self._frames.pop()
            frame.annotation.__exit__(None, None, None)
            if frame.action == action:
                return

    def _charge(self) -> None:
        """Add the time since the last change of phase to the phase that ends here."""
        if self.device != "cpu":
            torch.accelerator.synchronize()
        now = time.perf_counter()
        self.seconds[self.phase] += now - self._mark
        self._mark = now

    def _begin_step(self) -> None:
        step = len(self.step_seconds) + 1
        if step == 1:
            self.first_epoch = self.trainer.current_epoch + 1
            self.traced = choose_traced_steps(int(self.trainer.num_training_batches))
            loader: Any = self.trainer.train_dataloader
            # An epoch has whole batches only, unless all images are fewer.
            self.batch_images = min(loader.batch_size, len(loader.split.rows))
        if step == self.traced.start:
            self._enter(PROFILING, PROFILING)
            self.trace.start()
            self._leave(PROFILING)
        self.last_epoch = self.trainer.current_epoch + 1
        self._step_start = time.perf_counter()

    def _end_step(self) -> None:
        if self._step_start is None:
            return
        self.step_seconds.append(time.perf_counter() - self._step_start)
        self._step_start = None
        # An interrupted training or a last step of its epoch ends the trace before its time.
        ended = len(self.step_seconds)
        if self.trace.active and (ended >= self.traced[-1] or not self._frames):
            self._enter(PROFILING, PROFILING)
            self.trace.stop()
            self._leave(PROFILING)
            self.traced = range(self.traced.start, ended + 1)


def choose_traced_steps(batches: int) -> range:
    """Choose the steps of the first epoch, from 1, whose operators are traced: some after a warm-up, at least one.

    Args:
        batches: Batches of an epoch.
    """
    first = min(FIRST_TRACED, batches)
    return range(first, min(first + TRACED_STEPS, batches + 1))
