"""The program in the container of a training job of SageMaker: runs train.py in a run directory that SageMaker uploads.

`python3 -m fer.cloud.training_container /opt/ml`, as process 1, in the directory of the code.
"""

import csv
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.cloud.checkpoint_sync import SnapshotManager
from fer.config.compose import load_overrides
from fer.core.archive import CHECKSUMS, compute_checksums
from fer.core.documents import read_json
from fer.core.io import write_text
from fer.core.path_map import PATHS_ENV
from fer.core.run_layout import HISTORY_CSV, METRICS_JSON, RUN_YAML
from fer.errors import ExitCode, UserError
from fer.runs.provenance import GIT_STATE_ENV
from fer.runs.run_directory import load_run_config, write_config
from fer.runs.subprocess import TRAIN_PROGRAM, extract_error_lines, start_training

JOB_SPEC_JSON = "job.json"
PORT = "29500"
SNAPSHOT_S = 1.0
MAX_FAILURE_CHARS = 1024  # what SageMaker keeps of a failure
log = logging.getLogger(__name__)


class _TrainingContainer:
    """The part of one host in a training job.

    The channel `job` holds JOB_SPEC_JSON: ``paths`` (the inputs in the container, by their names in run.yaml), ``git``
    (the code's commit) and ``overrides`` (of a tuning job, which draws further ones; None otherwise); and a run.yaml,
    which only a tuning job may lack.

    Args:
        ml: Directory that SageMaker has prepared, /opt/ml.
    """

    def __init__(self, ml: Path) -> None:
        self.ml, self.job_channel, self.config_directory = ml, ml / "input/data/job", ml / "input/config"
        self.spec = _read_json(self.job_channel / JOB_SPEC_JSON)
        resources = _read_json(self.config_directory / "resourceconfig.json")
        self.hosts = sorted(resources["hosts"])
        self.rank = self.hosts.index(resources["current_host"])
        self.interface = str(resources["network_interface_name"])
        # The job's run is that of the first host.
        self.run = ml / "model" if self.rank == 0 else Path(tempfile.mkdtemp())
        os.environ[PATHS_ENV] = json.dumps(self.spec["paths"])

    def execute(self) -> tuple[int, str]:
        """Train; returns the exit code, and what went wrong in a sentence. Raises UserError."""
        # SageMaker has laid them down on every host; the first one takes new ones.
        snapshots = None
        if (self.ml / "checkpoints").is_dir():
            snapshots = SnapshotManager(self.ml / "checkpoints" / os.environ["TRAINING_JOB_NAME"], self.run)
        if snapshots is not None and snapshots.restore():
            log.info("Going on from snapshot %d", snapshots.number)
        else:
            self.write_run_yaml()
        code, sentence = _run_training(
            self.run, self.build_environment(), self.build_launcher(), None if self.rank else snapshots
        )
        if self.rank == 0:
            if (self.run / METRICS_JSON).is_file():
                _log_best_metrics(self.run)
            # Even if it was stopped: train.py can resume it elsewhere.
            write_text(self.run / CHECKSUMS, compute_checksums(self.run))
        return code, sentence

    def write_run_yaml(self) -> None:
        """Write run.yaml: that of the job, or one with the values that a tuning job has drawn."""
        self.run.mkdir(parents=True, exist_ok=True)
        saved_yaml = self.job_channel / RUN_YAML
        if self.spec["overrides"] is None:
            shutil.copyfile(saved_yaml, self.run / RUN_YAML)
            return
        values = _read_json(self.config_directory / "hyperparameters.json")
        # SageMaker adds values of its own, whose names begin with an underscore.
        drawn = [f"{key}={value}" for key, value in values.items() if not key.startswith("_")]
        overrides = [*self.spec["overrides"], *drawn]
        config = load_overrides(overrides, "train", self.job_channel if saved_yaml.is_file() else None)
        write_config(self.run, config, TRAIN_PROGRAM)

    def build_environment(self) -> dict[str, str]:
        """Return variables for train.py: the commit, and the network by which the hosts reach each other."""
        variables = {GIT_STATE_ENV: json.dumps(self.spec["git"])}
        if len(self.hosts) > 1:
            variables |= {"GLOO_SOCKET_IFNAME": self.interface, "NCCL_SOCKET_IFNAME": self.interface}
            # SageMaker gives two minutes to save.
            variables["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = "110"
        return variables

    def build_launcher(self) -> list[str]:
        """Return the arguments that make torchrun start train.py, on each of several hosts; none on a single host."""
        if len(self.hosts) == 1:
            return []
        devices = load_run_config(self.run).trainer.devices
        return [
            *("-m", "torch.distributed.run", f"--nnodes={len(self.hosts)}", f"--node-rank={self.rank}"),
            *(f"--nproc-per-node={devices}", f"--master-addr={self.hosts[0]}", f"--master-port={PORT}"),
        ]


def _run_training(
    run: Path, environment: Mapping[str, str], launcher: Sequence[str], snapshots: SnapshotManager | None
) -> tuple[int, str]:
    """Run train.py until it ends or SageMaker stops it; returns its exit code, and its error as a sentence."""
    process = start_training(run, environment, Path.cwd(), launcher)
    stop_requested, ended = threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        stop_requested.set()
        process.terminate()

    # SageMaker signals process 1 alone, which then has two minutes.
    signal.signal(signal.SIGTERM, stop)
    snapshot_thread = threading.Thread(target=_save_snapshots, args=(snapshots, ended))
    snapshot_thread.start()
    output: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        output.append(line.strip())
    code = process.wait()
    ended.set()
    snapshot_thread.join()
    if code == ExitCode.INTERRUPTED or (code and stop_requested.is_set()):
        return ExitCode.INTERRUPTED, ""
    if code < 0:
        return 1, f"{TRAIN_PROGRAM} was ended by {signal.Signals(-code).name}; the machine's memory may have been full"
    return code, " ".join(extract_error_lines(output)) if code else ""


def _save_snapshots(snapshots: SnapshotManager | None, ended: threading.Event) -> None:
    """Take snapshots until the training has ended."""
    while snapshots is not None and not ended.wait(SNAPSHOT_S):
        try:
            if snapshots.save():
                log.info("Snapshot %d of the training", snapshots.number)
        except OSError as error:
            log.warning("No snapshot could be taken: %s", error)


def _log_best_metrics(run: Path) -> None:
    """Log the validation metrics of the best epoch, where a tuning job finds its objective."""
    best_epoch = _read_json(run / METRICS_JSON)["best_epoch"]
    with (run / HISTORY_CSV).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if float(row["epoch"]) == best_epoch:
                log.info("Best epoch: %s", ", ".join(f"{k} {v}" for k, v in row.items() if k.startswith("val_")))


def _read_json(path: Path) -> Any:
    return read_json(path)


def main(ml: Path) -> int:
    """Do the job; returns the exit code. A failure is reported to SageMaker, too."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        code, sentence = _TrainingContainer(ml).execute()
    except (UserError, OSError) as error:
        code, sentence = 1, str(error)
    if sentence:
        log.error("%s", sentence)
        failure = ml / "output/failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(sentence[:MAX_FAILURE_CHARS], encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
