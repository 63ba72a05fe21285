"""Registered models on this machine: MLflow's registry, a SQLite database and files beside it."""

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

from fer.core.io import written_beside
from fer.errors import UserError, first_line
from fer.registry.base import (
    CHALLENGER,
    CHAMPION,
    Aliases,
    Candidate,
    Version,
    checked_package,
    facts_of,
    numbered,
)
from fer.registry.package import PACKAGE

# MLflow would otherwise report its use over the network.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

# They tell of every table that a new database gets.
for chatty in ("mlflow", "alembic"):
    logging.getLogger(chatty).setLevel(logging.WARNING)

DATABASE, FILES, LOCK, OPENING = "mlflow.db", "artifacts", ".changing.lock", ".opening.lock"
STATUS, NOTE, HISTORY = "status", "note", "champions_before"
LONGEST_PARAMETER, PARAMETERS_AT_ONCE = 6000, 100


def sentences(
    method: Callable[Concatenate["MlflowRegistry", Given], Answer],
) -> Callable[Concatenate["MlflowRegistry", Given], Answer]:
    """Errors of MLflow and of the database below it become a UserError."""

    @wraps(method)
    def told(self: "MlflowRegistry", *given: Given.args, **named: Given.kwargs) -> Answer:
        try:
            return method(self, *given, **named)
        except (MlflowException, SQLAlchemyError) as error:
            raise UserError(
                f"{self.store / DATABASE}: cannot be used ({first_line(error)}); make room or restore it, or choose "
                "another registry.store"
            ) from None

    return told


class MlflowRegistry:
    """The registry in the directory ``store``, which is made on the first registration."""

    def __init__(self, store: Path) -> None:
        self.store = store.expanduser().absolute()
        if self.store.exists() and not self.store.is_dir():
            raise UserError(f"registry.store={store}: is a file, not a directory; name another place")
        self._client: MlflowClient | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; the first one creates the database."""
        if self._client is None:
            self.store.mkdir(parents=True, exist_ok=True)
            address = f"sqlite:///{self.store / DATABASE}"
            # Two processes that create the tables at once would clash.
            with FileLock(self.store / OPENING):
                made = MlflowClient(tracking_uri=address, registry_uri=address)
                made.search_registered_models(max_results=1)
            self._client = made
        return self._client

    def exists(self) -> bool:
        """Whether anything was ever registered: reading creates no database."""
        return (self.store / DATABASE).is_file()

    def changing(self, name: str) -> AbstractContextManager[object]:
        self.store.mkdir(parents=True, exist_ok=True)
        return FileLock(self.store / LOCK)

    def versions(self, name: str) -> list[Version]:
        numbers = self.numbers(name)
        aliases = self.aliases(name)
        return [self.version(name, number, aliases) for number in numbers]

    def find(self, name: str, selector: int | str) -> Version:
        numbers = self.numbers(name)
        aliases = self.aliases(name)
        return self.version(name, numbered(name, selector, numbers, aliases, str(self.store)), aliases)

    @sentences
    def numbers(self, name: str) -> list[int]:
        if not self.exists():
            return []
        found, token = [], None
        while True:
            page = self.client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
            found += [int(version.version) for version in page]
            token = page.token
            if not token:
                return sorted(found)

    @sentences
    def version(self, name: str, number: int, aliases: Aliases) -> Version:
        found = self.client.get_model_version(name, str(number))
        files = self.files(str(found.run_id))
        return Version(
            name=name,
            version=number,
            status=found.tags.get(STATUS, ""),
            aliases=aliases.of(number),
            source=str(files),
            package=str(files / PACKAGE),
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
            reasons=" ".join(filter(None, (found.description, found.tags.get(NOTE)))),
            **facts_of({key: value for key, value in found.tags.items() if key not in (STATUS, NOTE)}),
        )

    def files(self, run_id: str) -> Path:
        # MLflow keeps an absolute address; this one also holds after the store was moved.
        return self.store / FILES / run_id / "artifacts"

    def fetch(self, version: Version, directory: Path) -> Path:
        if not Path(version.package).is_file():
            return checked_package(version, Path(version.package))
        for path in sorted(Path(version.source).iterdir()):
            if path.is_file():
                self.fetch_file(version, path.name, directory)
        return checked_package(version, directory / PACKAGE)

    def fetch_file(self, version: Version, name: str, directory: Path) -> Path | None:
        path = Path(version.source) / name
        if not path.is_file():
            return None
        with written_beside(directory / name) as beside:
            shutil.copyfile(path, beside)
        return directory / name

    def ready(self) -> None:
        """Nothing has to be there beforehand."""

    @sentences
    def register(self, candidate: Candidate) -> Version:
        run = self.client.create_run(self.experiment(candidate.name), run_name=candidate.fingerprint[:12])
        run_id, files = run.info.run_id, self.files(run.info.run_id)
        for name, path in candidate.files.items():
            with written_beside(files / name) as beside:
                shutil.copyfile(path, beside)
        metrics = [Metric(name, value, 0, 0) for name, value in metrics_of(candidate).items()]
        self.client.log_batch(run_id, metrics=metrics)
        params = [Param(key, value) for key, value in flat(candidate.settings).items()]
        for start in range(0, len(params), PARAMETERS_AT_ONCE):
            self.client.log_batch(run_id, params=params[start : start + PARAMETERS_AT_ONCE])
        self.client.set_terminated(run_id)
        if not self.client.search_registered_models(f"name='{candidate.name}'"):
            self.client.create_registered_model(candidate.name)
        made = self.client.create_model_version(
            candidate.name,
            source=files.as_uri(),
            run_id=run_id,
            tags={STATUS: candidate.verdict.status, **candidate.properties()},
            description=" ".join(candidate.verdict.reasons),
            await_creation_for=0,
        )
        return self.version(candidate.name, int(made.version), self.aliases(candidate.name))

    def experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self.client.create_experiment(name, artifact_location=(self.store / FILES).as_uri()))

    @sentences
    def approve(self, version: Version, note: str) -> None:
        self.client.set_model_version_tag(version.name, str(version.version), NOTE, note)
        self.client.set_model_version_tag(version.name, str(version.version), STATUS, "Approved")

    @sentences
    def aliases(self, name: str) -> Aliases:
        if not self.exists() or not (found := self.client.search_registered_models(f"name='{name}'")):
            return Aliases()
        history = tuple(int(number) for number in found[0].tags.get(HISTORY, "").split())
        numbers = {alias: int(number) for alias, number in found[0].aliases.items()}
        return Aliases(numbers.get(CHAMPION), numbers.get(CHALLENGER), history)

    @sentences
    def set_aliases(self, name: str, aliases: Aliases) -> None:
        self.client.set_registered_model_tag(name, HISTORY, " ".join(map(str, aliases.history)))
        for alias in (CHAMPION, CHALLENGER):
            number = getattr(aliases, alias)
            if number is None:
                self.client.delete_registered_model_alias(name, alias)
            else:
                self.client.set_registered_model_alias(name, alias, str(number))


def metrics_of(candidate: Candidate) -> dict[str, float]:
    """The verdict's figures and each class's F1, those that are numbers."""
    judged = candidate.metrics.get("test") or candidate.metrics.get("val") or {}
    f1 = {f"f1_{name}": own["f1"]["value"] for name, own in judged.get("per_class", {}).items()}
    found = {**candidate.verdict.figures, **f1}
    return {name: value for name, value in found.items() if value is not None and value == value}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys and their values as text, as MLflow allows both."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        name = re.sub(r"[^\w./ -]", "_", f"{prefix}{key}")[:250]
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            found[name] = text[:LONGEST_PARAMETER]
    return found
