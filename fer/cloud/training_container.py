"""What runs in the container of a training job of SageMaker: train.py, in a run directory that leaves with the job.

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer.cloud.checkpoint_sync import Snapshots
from fer.config.compose import load_overrides
from fer.core.archive import SUMS, sums_of
from fer.core.io import write_text
from fer.core.path_map import VARIABLE
from fer.errors import ExitCode, UserError
from fer.runs.provenance import GIT
from fer.runs.run_directory import METRICS, RUN_YAML, write_config
from fer.runs.subprocess import PROGRAM, sentences_of, start_training

ORDER = "job.json"
PORT = "29500"
SNAPSHOT_S = 1.0
MOST_SAID = 1024  # characters that SageMaker keeps of a failure
log = logging.getLogger(__name__)


class Container:
    """The job of one host; ``ml`` is what SageMaker has laid out for it.

    The channel `job` holds ORDER: ``paths`` (where the inputs lie, by their names in run.yaml), ``git`` (the code's
    commit), and ``overrides`` (of a tuning job, which draws others; None otherwise); and mostly run.yaml.
    """

    def __init__(self, ml: Path) -> None:
        self.ml, self.given, self.settings = ml, ml / "input/data/job", ml / "input/config"
        self.order = read(self.given / ORDER)
        resources = read(self.settings / "resourceconfig.json")
        self.hosts = sorted(resources["hosts"])
        self.rank = self.hosts.index(resources["current_host"])
        self.interface = str(resources["network_interface_name"])
        # The first host's run is that of the job.
        self.run = ml / "model" if self.rank == 0 else Path(tempfile.mkdtemp())
        os.environ[VARIABLE] = json.dumps(self.order["paths"])

    def do(self) -> tuple[int, str]:
        """The exit code of the training, and what went wrong in a sentence. Raises UserError."""
        snapshots = None
        if self.rank == 0 and (self.ml / "checkpoints").is_dir():
            snapshots = Snapshots(self.ml / "checkpoints" / os.environ["TRAINING_JOB_NAME"], self.run)
        if snapshots is not None and snapshots.restore():
            log.info("Going on from snapshot %d", snapshots.number)
        else:
            self.stage()
        code, sentence = trained(self.run, self.environment(), snapshots)
        if self.rank == 0:
            if (self.run / METRICS).is_file():
                say_result(self.run)
            # Also where it was stopped: train.py can go on with it elsewhere.
            write_text(self.run / SUMS, sums_of(self.run))
        return code, sentence

    def stage(self) -> None:
        """Lay down run.yaml: that of the job, or one with the values that a tuning job has drawn."""
        self.run.mkdir(parents=True, exist_ok=True)
        saved = self.given / RUN_YAML
        if self.order["overrides"] is None:
            shutil.copyfile(saved, self.run / RUN_YAML)
            return
        values = read(self.settings / "hyperparameters.json")
        # SageMaker adds values of its own, with a line before their name.
        drawn = [f"{key}={value}" for key, value in values.items() if not key.startswith("_")]
        overrides = [*self.order["overrides"], *drawn]
        config = load_overrides(overrides, "train", self.given if saved.is_file() else None)
        write_config(self.run, config, PROGRAM)

    def environment(self) -> dict[str, str]:
        """What train.py is told: the commit, and where the other hosts are."""
        told = {GIT: json.dumps(self.order["git"])}
        if len(self.hosts) > 1:
            told |= {"NODE_RANK": str(self.rank), "MASTER_ADDR": self.hosts[0], "MASTER_PORT": PORT}
            told |= {"GLOO_SOCKET_IFNAME": self.interface, "NCCL_SOCKET_IFNAME": self.interface}
        return told


def trained(run: Path, environment: Mapping[str, str], snapshots: Snapshots | None) -> tuple[int, str]:
    """Run train.py to its end, also where SageMaker asks for it; its exit code, and its error as a sentence."""
    process = start_training(run, environment, Path.cwd())
    asked, ended = threading.Event(), threading.Event()

    def stop(*_: object) -> None:
        asked.set()
        process.terminate()

    # Process 1 is asked alone, and has two minutes.
    signal.signal(signal.SIGTERM, stop)
    keeper = threading.Thread(target=keep, args=(snapshots, ended))
    keeper.start()
    said: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        said.append(line.strip())
    code = process.wait()
    ended.set()
    keeper.join()
    if code == ExitCode.INTERRUPTED or (code < 0 and asked.is_set()):
        return ExitCode.INTERRUPTED, ""
    if code < 0:
        return 1, f"{PROGRAM} was ended by {signal.Signals(-code).name}; the machine's memory may have been full"
    return code, " ".join(sentences_of(said)) if code else ""


def keep(snapshots: Snapshots | None, ended: threading.Event) -> None:
    """Take snapshots until the training has ended."""
    while snapshots is not None and not ended.wait(SNAPSHOT_S):
        try:
            if snapshots.take():
                log.info("Snapshot %d of the training", snapshots.number)
        except OSError as error:
            log.warning("No snapshot could be taken: %s", error)


def say_result(run: Path) -> None:
    """Print the validation figures of the best epoch, where a tuning job looks for its objective."""
    best = read(run / METRICS)["best_epoch"]
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if int(row["epoch"]) == best:
                log.info("Best epoch: %s", ", ".join(f"{k} {v}" for k, v in row.items() if k.startswith("val_")))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main(ml: Path) -> int:
    """Do the job; what goes wrong is told to SageMaker, too."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        code, sentence = Container(ml).do()
    except (UserError, OSError) as error:
        code, sentence = 1, str(error)
    if sentence:
        log.error("%s", sentence)
        failure = ml / "output/failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(sentence[:MOST_SAID], encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
