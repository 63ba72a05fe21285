"""The registry on this machine: MLflow's, a SQLite database and files beside it."""

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from filelock import FileLock
from typing_extensions import override

from fer.core.flatten import flatten_dict
from fer.core.io import atomic_write
from fer.errors import UserError, shorten_error
from fer.registry.base import (
    CHALLENGER,
    CHAMPION,
    JUDGED_ANEW,
    Aliases,
    Candidate,
    ModelRegistry,
    ModelVersion,
    parse_properties,
    resolve_version_number,
    verify_checksum,
)
from fer.registry.package import PACKAGE
from fer.registry.status import Status

# MLflow would otherwise report its use over the network.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

Params = ParamSpec("Params")
Result = TypeVar("Result")

# At their own level they log every table of a new database.
for name in ("mlflow", "alembic"):
    logging.getLogger(name).setLevel(logging.WARNING)

DATABASE, ARTIFACTS_DIR, LOCK_FILE, OPENING_LOCK_FILE = "mlflow.db", "artifacts", ".changing.lock", ".opening.lock"
STATUS, NOTE, HISTORY = "status", "note", "champions_before"
MAX_KEY_LENGTH, MAX_PARAMETER_LENGTH, MAX_PARAMETERS_PER_BATCH = 250, 6000, 100


def _wrap_mlflow_errors(
    method: Callable[Concatenate["MlflowRegistry", Params], Result],
) -> Callable[Concatenate["MlflowRegistry", Params], Result]:
    """Return the method with errors of MLflow and of its database turned into a UserError."""

    @wraps(method)
    def wrapper(self: "MlflowRegistry", *args: Params.args, **kwargs: Params.kwargs) -> Result:
        try:
            return method(self, *args, **kwargs)
        except (MlflowException, SQLAlchemyError) as error:
            raise UserError(
                f"{self.store / DATABASE}: cannot be used ({shorten_error(error)}); make room or restore it, or choose "
                "another registry.store"
            ) from None

    return wrapper


class MlflowRegistry(ModelRegistry):
    """A registry in a directory.

    Args:
        store: The directory, which is created by the first registration.

    Raises:
        UserError: There is a file of this name.
    """

    def __init__(self, store: Path) -> None:
        self.store = store.expanduser().absolute()
        if self.store.exists() and not self.store.is_dir():
            raise UserError(f"registry.store={store}: is a file, not a directory; name another place")
        self._client: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; the first access creates the database."""
        if self._client is None:
            self.store.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{self.store / DATABASE}"
            # Two processes that create the tables at the same time would clash.
            with FileLock(self.store / OPENING_LOCK_FILE):
                client = MlflowClient(tracking_uri=uri, registry_uri=uri)
                client.search_registered_models(max_results=1)
            self._client = client
        return self._client

    def _exists(self) -> bool:
        """Whether anything was ever registered; reading must not create a database."""
        return (self.store / DATABASE).is_file()

    @override
    def lock(self, name: str) -> AbstractContextManager[object]:
        self.store.mkdir(parents=True, exist_ok=True)
        return FileLock(self.store / LOCK_FILE)

    @_wrap_mlflow_errors
    def list_names(self) -> list[str]:
        """Return the names of the registered models, in their order; none where nothing was ever registered."""
        if not self._exists():
            return []
        names, token = list[str](), None
        while True:
            page = self.client.search_registered_models(max_results=1000, page_token=token)
            names += [str(model.name) for model in page]
            token = page.token
            if not token:
                return sorted(names)

    @override
    def list_versions(self, name: str) -> list[ModelVersion]:
        numbers = self._list_version_numbers(name)
        aliases = self.get_aliases(name)
        return [self._get_version(name, number, aliases) for number in numbers]

    @override
    def find(self, name: str, selector: int | str) -> ModelVersion:
        numbers = self._list_version_numbers(name)
        aliases = self.get_aliases(name)
        return self._get_version(
            name, resolve_version_number(name, selector, numbers, aliases, str(self.store)), aliases
        )

    @_wrap_mlflow_errors
    def _list_version_numbers(self, name: str) -> list[int]:
        if not self._exists():
            return []
        numbers, token = [], None
        while True:
            page = self.client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
            numbers += [int(version.version) for version in page]
            token = page.token
            if not token:
                return sorted(numbers)

    @_wrap_mlflow_errors
    def _get_version(self, name: str, number: int, aliases: Aliases) -> ModelVersion:
        model_version = self.client.get_model_version(name, str(number))
        artifact_dir = self._get_artifact_dir(str(model_version.run_id))
        return ModelVersion(
            name=name,
            version=number,
            status=model_version.tags.get(STATUS, ""),
            aliases=aliases.get_names(number),
            source=str(artifact_dir),
            package=str(artifact_dir / PACKAGE),
            created=datetime.fromtimestamp(model_version.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
            reasons=" ".join(filter(None, (model_version.description, model_version.tags.get(NOTE)))),
            **parse_properties({key: value for key, value in model_version.tags.items() if key not in (STATUS, NOTE)}),
        )

    def _get_artifact_dir(self, run_id: str) -> Path:
        # MLflow stores an absolute path, which is wrong once the store was moved.
        return self.store / ARTIFACTS_DIR / run_id / "artifacts"

    @override
    def fetch(self, version: ModelVersion, directory: Path) -> Path:
        if not Path(version.package).is_file():
            return verify_checksum(version, Path(version.package))
        for path in sorted(Path(version.source).iterdir()):
            if path.is_file():
                self.fetch_file(version, path.name, directory)
        return verify_checksum(version, directory / PACKAGE)

    @override
    def fetch_file(self, version: ModelVersion, name: str, directory: Path) -> Path | None:
        path = Path(version.source) / name
        if not path.is_file():
            return None
        with atomic_write(directory / name) as tmp_path:
            shutil.copyfile(path, tmp_path)
        return directory / name

    @override
    def check_ready(self) -> None:
        """Do nothing: the first registration creates what it needs."""

    @override
    @_wrap_mlflow_errors
    def register(self, candidate: Candidate) -> ModelVersion:
        run = self.client.create_run(
            self._get_or_create_experiment(candidate.name), run_name=candidate.fingerprint[:12]
        )
        run_id, artifact_dir = run.info.run_id, self._get_artifact_dir(run.info.run_id)
        for name, path in candidate.files.items():
            with atomic_write(artifact_dir / name) as tmp_path:
                shutil.copyfile(path, tmp_path)
        metrics = [Metric(name, value, 0, 0) for name, value in _build_metrics(candidate).items()]
        self.client.log_batch(run_id, metrics=metrics)
        params = [Param(key, value) for key, value in flatten_settings(candidate.settings).items()]
        for start in range(0, len(params), MAX_PARAMETERS_PER_BATCH):
            self.client.log_batch(run_id, params=params[start : start + MAX_PARAMETERS_PER_BATCH])
        self.client.set_terminated(run_id)
        if not self.client.search_registered_models(f"name='{candidate.name}'"):
            self.client.create_registered_model(candidate.name)
        created = self.client.create_model_version(
            candidate.name,
            source=artifact_dir.as_uri(),
            run_id=run_id,
            tags={STATUS: candidate.verdict.status, **candidate.build_properties()},
            description=" ".join(candidate.verdict.reasons),
            await_creation_for=0,
        )
        return self._get_version(candidate.name, int(created.version), self.get_aliases(candidate.name))

    def _get_or_create_experiment(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        return str(self.client.create_experiment(name, artifact_location=(self.store / ARTIFACTS_DIR).as_uri()))

    @override
    @_wrap_mlflow_errors
    def set_status(self, version: ModelVersion, status: Status, note: str) -> None:
        name, number = version.name, str(version.version)
        if note.startswith(JUDGED_ANEW):
            self.client.update_model_version(name, number, description=note)
            note = ""
        self.client.set_model_version_tag(name, number, NOTE, note)
        self.client.set_model_version_tag(name, number, STATUS, status)

    @override
    def store_file(self, version: ModelVersion, path: Path) -> None:
        with atomic_write(Path(version.source) / path.name) as tmp_path:
            shutil.copyfile(path, tmp_path)

    @override
    @_wrap_mlflow_errors
    def delete(self, version: ModelVersion) -> None:
        number = str(version.version)
        run_id = str(self.client.get_model_version(version.name, number).run_id)
        shutil.rmtree(self.store / ARTIFACTS_DIR / run_id, ignore_errors=True)
        if Path(version.source).exists():
            raise UserError(f"{version.uri}: {version.source} cannot be deleted; mend its permissions, try again")
        self.client.delete_run(run_id)
        self.client.delete_model_version(version.name, number)

    @override
    @_wrap_mlflow_errors
    def get_aliases(self, name: str) -> Aliases:
        if not self._exists() or not (models := self.client.search_registered_models(f"name='{name}'")):
            return Aliases()
        history = tuple(int(number) for number in models[0].tags.get(HISTORY, "").split())
        numbers = {alias: int(number) for alias, number in models[0].aliases.items()}
        return Aliases(numbers.get(CHAMPION), numbers.get(CHALLENGER), history)

    @override
    @_wrap_mlflow_errors
    def set_aliases(self, name: str, aliases: Aliases) -> None:
        self.client.set_registered_model_tag(name, HISTORY, " ".join(map(str, aliases.history)))
        for alias in (CHAMPION, CHALLENGER):
            number = getattr(aliases, alias)
            if number is None:
                self.client.delete_registered_model_alias(name, alias)
            else:
                self.client.set_registered_model_alias(name, alias, str(number))


def _build_metrics(candidate: Candidate) -> dict[str, float]:
    """Return the verdict's metrics and the F1 of each class, those that are numbers."""
    split_metrics = candidate.metrics.get("test") or candidate.metrics.get("val") or {}
    f1 = {f"f1_{name}": metrics["f1"]["value"] for name, metrics in split_metrics.get("per_class", {}).items()}
    metrics = {**candidate.verdict.metrics, **f1}
    return {name: value for name, value in metrics.items() if value is not None and value == value}


def flatten_settings(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return dotted keys and their values as text, within what MLflow allows of both."""
    return {
        re.sub(r"[^\w./ -]", "_", key)[:MAX_KEY_LENGTH]: (value if isinstance(value, str) else json.dumps(value))[
            :MAX_PARAMETER_LENGTH
        ]
        for key, value in flatten_dict(settings).items()
    }
