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

from fer.core.flatten import flatten_dict
from fer.core.run_layout import BUNDLE_DIR, RUN_YAML
from fer.trackers.base import RunInfo, RunResult, Tracker

# MLflow would otherwise report its use over the network.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
# MLflow's own patience with a server that does not answer is a quarter of an hour.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from typing_extensions import override

STORE, DATABASE, FILES, LOCK = Path("outputs/mlflow"), "mlflow.db", "artifacts", ".opening.lock"
MAX_PARAMETER_LENGTH, PARAMETER_BATCH_SIZE = 6000, 100
# MLflow's words for how a run ended.
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "pruned": "KILLED", "killed": "KILLED"}


class MlflowTracker(Tracker):
    """Logs to MLflow; ``uri`` None is the database in `outputs/mlflow/`, with the files beside it."""

    def __init__(self, run: RunInfo, uri: str | None, experiment: str) -> None:
        self.run = run
        store = STORE.absolute()
        self.uri = uri or f"sqlite:///{store / DATABASE}"
        with _lock_database(self.uri):
            self.client = MlflowClient(tracking_uri=self.uri)
            experiment_id = self._get_or_create_experiment(experiment, None if uri else (store / FILES).as_uri())
        self.run_id: str = run.saved_state.get("run_id") or self._create_run(experiment_id)
        self.client.update_run(self.run_id, status="RUNNING")
        self.client.set_tag(self.run_id, "status", "running")
        self._log_config()

    def _create_run(self, experiment_id: str) -> str:
        created = self.client.create_run(experiment_id, run_name=self.run.id, tags={"run_directory": self.run.id})
        self.run.save_state(run_id=created.info.run_id)
        return str(created.info.run_id)

    def _get_or_create_experiment(self, name: str, artifacts: str | None) -> str:
        try:
            return str(self.client.create_experiment(name, artifact_location=artifacts))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            existing = self.client.get_experiment_by_name(name)
            if existing is None:
                raise
        return str(existing.experiment_id)

    def _log_config(self) -> None:
        texts = {
            re.sub(r"[^\w./ -]", "_", name)[:250]: _format_value(value)
            for name, value in flatten_dict(self.run.config).items()
        }
        params = [Param(name, text[:MAX_PARAMETER_LENGTH]) for name, text in texts.items()]
        for start in range(0, len(params), PARAMETER_BATCH_SIZE):
            self.client.log_batch(self.run_id, params=params[start : start + PARAMETER_BATCH_SIZE])
        self.client.log_artifact(self.run_id, str(self.run.directory / RUN_YAML))

    @override
    def log_epoch(self, row_number: int, metrics: Mapping[str, float]) -> None:
        self._log_metrics(metrics, row_number)

    @override
    def log_system_metrics(self, seconds: int, metrics: Mapping[str, float]) -> None:
        self._log_metrics({f"system/{name}": value for name, value in metrics.items()}, seconds)

    def _log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        now = round(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    @override
    def finish(self, result: RunResult) -> str:
        self._log_metrics(result.metrics, result.epochs)
        for name, text in {**result.texts, "status": result.status}.items():
            self.client.set_tag(self.run_id, name, text)
        for name, image in result.images.items():
            self.client.log_image(self.run_id, image, f"pictures/{name}.png")
        if result.bundle:
            self.client.log_artifacts(self.run_id, str(result.bundle), BUNDLE_DIR)
        self.client.set_terminated(self.run_id, STATUSES[result.status])
        command = f"mlflow ui --backend-store-uri {self.uri}" if self.uri.startswith("sqlite:") else self.uri
        return f"{command} (run {self.run_id})"


@contextmanager
def _lock_database(uri: str) -> Iterator[None]:
    """Let processes create the tables of a SQLite database one after the other: at once they would clash."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    folder = Path(uri.removeprefix("sqlite:///")).parent
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK):
        yield


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
