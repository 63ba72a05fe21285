"""One training in several processes: PyTorch's elastic launcher starts them, Lightning's DDP strategy joins them."""

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure, record
from torch.distributed.launcher import LaunchConfig, elastic_launch
from typing_extensions import override

from fer.config import Config
from fer.core.installation import INSTALLED
from fer.core.io import write_text
from fer.core.process import LAUNCHED_ENV, ignore_interrupts, is_started_by_srun, with_parent_pid
from fer.core.run_layout import FAILURE_TXT
from fer.data.augmentation import ShardSlice
from fer.errors import ExitCode, UserError
from fer.models.freezing import has_frozen_parameters
from fer.runs.provenance import get_program_arguments
from fer.runs.run_directory import mark_ended, read_provenance, read_status

# Seconds after an interruption, or the end of another process, in which rank 0 may save and evaluate its weights.
SHUTDOWN_S = 120
# Seconds after an error in which PyTorch's launcher lets the other processes end, before it kills them.
LAUNCHER_PATIENCE_S = 30
# Exit codes that a rank has explained itself.
HANDLED_EXIT_CODES = (ExitCode.PRUNED, ExitCode.INTERRUPTED)
log = logging.getLogger(__name__)


def get_world_size() -> int:
    """How many processes train together; 1 outside of a group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def apply_launcher(config: Config) -> Config:
    """Return the configuration with the devices and machines for which torchrun or srun has started processes.

    Args:
        config: The configuration, which is returned as it is where neither has started this process.

    Raises:
        UserError: It asks for something that several processes cannot do.
    """
    if TorchElasticEnvironment.detect():
        local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    elif is_started_by_srun():
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise UserError("srun: say how many tasks each machine gets: srun --ntasks-per-node=N …")
        world, local = int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_NTASKS_PER_NODE"])
    else:
        return config
    if world > 1 and config.trainer.compile:
        raise UserError("compile=true is for one process; with several devices use trainer.compile=false")
    return config.model_copy(
        update={"trainer": config.trainer.model_copy(update={"devices": local, "num_nodes": world // local})}
    )


def needs_launch(config: Config) -> bool:
    """Whether this process has to start those that train.

    Raises:
        UserError: They are on several machines, where torchrun or srun must start them.
    """
    trainer = config.trainer
    if (
        trainer.world_size == 1
        or "fit" not in trainer.stages
        or TorchElasticEnvironment.detect()
        or is_started_by_srun()
    ):
        return False
    if trainer.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes}: start train.py by PyTorch's launcher on each machine: torchrun "
            f"--nnodes={trainer.num_nodes} --nproc-per-node={trainer.devices} --rdzv-backend=c10d "
            f"--rdzv-endpoint=HOST:PORT {'-m fer.cli.train' if INSTALLED else 'train.py'} …, or by srun"
        )
    return True


def launch_workers(config: Config, run_directory: Path) -> None:
    """Run this program once more in each of ``trainer.devices`` processes, as `torchrun --standalone` does.

    Args:
        config: The configuration.
        run_directory: The run directory, in which rank 0 writes.

    Raises:
        UserError: A process failed.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, once rank 0 has saved its weights.
        SystemExit: With the code of a training that the sweep has ended.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    before = read_provenance(run_directory)
    launch_env = with_parent_pid({LAUNCHED_ENV: str(run_directory)})
    os.environ.update(launch_env)
    try:
        with tempfile.TemporaryDirectory(prefix="fer-") as log_dir:
            _launch(
                elastic_launch(_build_launch_config(config.trainer.devices, log_dir), sys.executable), run_directory
            )
    except KeyboardInterrupt:
        if read_status(run_directory) == "running":
            mark_ended(run_directory, "interrupted")
        raise
    except UserError as error:
        # A run that another process has is left as it is.
        if read_provenance(run_directory) != before:
            mark_ended(run_directory, "failed", str(error))
        raise
    finally:
        for name in launch_env:
            os.environ.pop(name, None)


def _launch(launcher: elastic_launch, run_directory: Path) -> None:
    """Run the processes to their end. Raises as ``launch_workers`` does."""
    try:
        launcher(*get_program_arguments())
    except SignalException:
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        failure = find_first_failure(list(error.failures.values()))
        if failure.exitcode in HANDLED_EXIT_CODES:
            raise SystemExit(failure.exitcode) from None
        raise UserError(describe_failure(failure, run_directory)) from None


def _build_launch_config(processes: int, log_dir: str) -> LaunchConfig:
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        # A host's own name may not resolve.
        local_addr="127.0.0.1",
        max_restarts=0,
        # Rank 0 alone is heard.
        logs_specs=DefaultLogsSpecs(log_dir, dict.fromkeys(range(1, processes), Std.ALL)),
        shutdown_timeout=SHUTDOWN_S,
        # What nohup ignores stays ignored.
        signals_to_handle="SIGTERM,SIGINT",
    )


def find_first_failure(failures: Sequence[ProcessFailure]) -> ProcessFailure:
    """Find the failure that made the others fail: a process that was killed, or the first one to record an error.

    Must be called while the error files are there.
    """
    recorded = {os.path.getmtime(path): failure for failure in failures if os.path.isfile(path := failure.error_file)}
    signaled = [failure for failure in failures if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM]
    latest = min(recorded, default=inf) + LAUNCHER_PATIENCE_S / 2
    killed = [failure for failure in signaled if int(failure.timestamp) < latest]
    return (killed or [recorded[time] for time in sorted(recorded)] or list(failures))[0]


def describe_failure(failure: ProcessFailure, run_directory: Path) -> str:
    """Describe a failure in one sentence; the traceback of an unexpected error goes into FAILURE_TXT."""
    rank = failure.local_rank
    if failure.exitcode < 0:
        hint = "; the machine may be out of memory" if failure.exitcode == -signal.SIGKILL else ""
        return f"process {rank} of the training was ended by {signal.Signals(-failure.exitcode).name}{hint}"
    message = failure.error_file_data["message"]
    if not isinstance(message, dict):
        return f"process {rank} of the training ended with exit code {failure.exitcode}"
    kind, _, text = str(message["message"]).partition(": ")
    if kind in _list_user_errors(UserError):
        return text
    with suppress(OSError):
        write_text(run_directory / FAILURE_TXT, str(message["extraInfo"]["py_callstack"]))
    return f"process {rank}: {kind}: {(text.splitlines() or [''])[0][:200]}; more in {run_directory / FAILURE_TXT}"


def _list_user_errors(base: type[UserError]) -> set[str]:
    return {base.__name__}.union(*map(_list_user_errors, base.__subclasses__()))


def build_ddp_strategy(config: Config, device: str) -> DDPStrategy:
    """Build Lightning's strategy for a process that torchrun, srun or ``launch_workers`` has started."""
    environment: ClusterEnvironment = (
        TorchElasticEnvironment() if TorchElasticEnvironment.detect() else SLURMEnvironment(auto_requeue=False)
    )
    return DDPStrategy(
        cluster_environment=environment,
        process_group_backend="nccl" if device == "cuda" else "gloo",
        # Each process has its own sums of an epoch; statistics of batch norm are averaged before validation.
        broadcast_buffers=False,
        find_unused_parameters=has_frozen_parameters(config.model.head_epochs, config.model.unfreeze_per_epoch),
    )


def run_worker(function: Callable[[], None]) -> None:
    """Run what this process does as one of several, and record an error for the launcher.

    Where the launcher is train.py itself, it reports the error: an unexpected one leaves no traceback of each process.
    """
    if not TorchElasticEnvironment.detect():
        function()
        return
    try:
        record(function)()
    except UserError:
        raise
    except Exception:
        if LAUNCHED_ENV in os.environ:
            raise SystemExit(ExitCode.ERROR) from None
        raise


class SynchronizedStart(Callback):
    """Ends a training whose processes have read different data; those of other ranks than 0 then leave signals to it.

    Before that they end at once, which is what the launcher asks of them when rank 0 cannot begin.
    """

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        fingerprint, epoch = trainer.strategy.broadcast((self.fingerprint, trainer.current_epoch))
        if epoch != trainer.current_epoch:
            raise UserError(
                f"process {trainer.global_rank} of the training goes on from epoch {trainer.current_epoch}, process 0 "
                f"from epoch {epoch}; each machine needs the checkpoints of the run"
            )
        if fingerprint != self.fingerprint:
            raise UserError(
                f"process {trainer.global_rank} of the training has read other data than process 0; each machine "
                "needs the same files"
            )
        if trainer.global_rank:
            ignore_interrupts()


def all_reduce_sum(values: Tensor) -> None:
    """Replace ``values`` by their sum over all processes, in place."""
    if get_world_size() > 1:
        dist.all_reduce(values)


def all_gather_rows(batches: Sequence[Tensor], shards: Sequence[ShardSlice]) -> Tensor:
    """Gather the rows of all processes, in the order in which a single process has them.

    Args:
        batches: This process's rows of every batch; rows beyond its slice are padding.
        shards: The slice of each batch that is this process's.

    Returns:
        The rows of all batches, in every process.
    """
    if get_world_size() == 1:
        return torch.cat(list(batches))
    rows = batches[0].new_zeros(sum(count for _, _, count in shards), *batches[0].shape[1:])
    first = 0
    for batch, (start, stop, count) in zip(batches, shards, strict=True):
        rows[first + start : first + stop] = batch[: stop - start]
        first += count
    # Every row is 0 in all processes but one.
    dist.all_reduce(rows)
    return rows
