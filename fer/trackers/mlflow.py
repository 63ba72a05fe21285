"""MLflow: a run in a tracking server, or in a SQLite database on this machine."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from fer.trackers.base import Begun, Ended, flat

# MLflow would otherwise report its use over the network.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
# MLflow's own patience with a server that does not answer is a quarter of an hour.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

STORE, DATABASE, FILES, LOCK = Path("outputs/mlflow"), "mlflow.db", "artifacts", ".opening.lock"
LONGEST_PARAMETER, PARAMETERS_AT_ONCE = 6000, 100
# MLflow's words for how a run ended.
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "pruned": "KILLED", "killed": "KILLED"}


class MlflowTracker:
    """``uri`` None is the database in `outputs/mlflow/`, with the files beside it."""

    def __init__(self, run: Begun, uri: str | None, experiment: str) -> None:
        self.run = run
        store = STORE.absolute()
        self.uri = uri or f"sqlite:///{store / DATABASE}"
        with opening(self.uri):
            self.client = MlflowClient(tracking_uri=self.uri)
            experiment_id = self.experiment(experiment, None if uri else (store / FILES).as_uri())
        self.run_id: str = run.remembered.get("run_id") or self.new_run(experiment_id)
        self.client.update_run(self.run_id, status="RUNNING")
        self.client.set_tag(self.run_id, "status", "running")
        self.log_config()

    def new_run(self, experiment_id: str) -> str:
        made = self.client.create_run(experiment_id, run_name=self.run.id, tags={"run_directory": self.run.id})
        self.run.remember(run_id=made.info.run_id)
        return str(made.info.run_id)

    def experiment(self, name: str, artifacts: str | None) -> str:
        try:
            return str(self.client.create_experiment(name, artifact_location=artifacts))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
        return str(found.experiment_id)

    def log_config(self) -> None:
        texts = {re.sub(r"[^\w./ -]", "_", name)[:250]: as_text(value) for name, value in flat(self.run.config).items()}
        params = [Param(name, text[:LONGEST_PARAMETER]) for name, text in texts.items()]
        for start in range(0, len(params), PARAMETERS_AT_ONCE):
            self.client.log_batch(self.run_id, params=params[start : start + PARAMETERS_AT_ONCE])
        self.client.log_artifact(self.run_id, str(self.run.directory / "run.yaml"))

    def epoch(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.metrics(figures, epoch)

    def system(self, seconds: int, figures: Mapping[str, float]) -> None:
        self.metrics({f"system/{name}": value for name, value in figures.items()}, seconds)

    def metrics(self, figures: Mapping[str, float], step: int) -> None:
        now = round(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for name, value in figures.items()])

    def end(self, ended: Ended) -> str:
        self.metrics(ended.figures, ended.epochs)
        for name, text in {**ended.texts, "status": ended.status}.items():
            self.client.set_tag(self.run_id, name, text)
        for name, picture in ended.pictures.items():
            self.client.log_image(self.run_id, picture, f"pictures/{name}.png")
        if ended.bundle:
            self.client.log_artifacts(self.run_id, str(ended.bundle), "bundle")
        self.client.set_terminated(self.run_id, STATUSES[ended.status])
        look = f"mlflow ui --backend-store-uri {self.uri}" if self.uri.startswith("sqlite:") else self.uri
        return f"{look} (run {self.run_id})"


@contextmanager
def opening(uri: str) -> Iterator[None]:
    """Two processes that create the tables of a SQLite database at once would clash: one after the other."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    folder = Path(uri.removeprefix("sqlite:///")).parent
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK):
        yield


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
