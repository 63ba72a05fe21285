"""Weights & Biases: a run on its server, or in files of the run directory that `wandb sync` sends later."""

import netrc
import os
import secrets
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fer.core.run_layout import RUN_YAML
from fer.errors import shorten_error
from fer.trackers.base import EXIT_CODES, RunInfo, RunResult, Tracker

# No reports of errors and use, and nothing printed.
os.environ["WANDB_ERROR_REPORTING"] = "false"
os.environ["WANDB_SILENT"] = "true"

import wandb
from typing_extensions import override

FOLDER = "wandb"
MAX_NAME_LENGTH = 128
INIT_TIMEOUT_S, FINISH_TIMEOUT_S = 20, 30


class WandbTracker(Tracker):
    """Logs to W&B; all files lie in `wandb/` of the run directory."""

    def __init__(
        self, run: RunInfo, project: str, entity: str | None, mode: Literal["auto", "offline", "online"]
    ) -> None:
        self.run = run
        for purpose in ("data", "cache"):
            os.environ[f"WANDB_{purpose.upper()}_DIR"] = str(run.directory / FOLDER / purpose)
        self.rows = int(run.saved_state.get("rows", 0))
        wandb_id = run.saved_state.get("id") or secrets.token_hex(4)
        run.save_state(id=wandb_id)
        init = partial(
            wandb.init,
            project=project,
            entity=entity,
            id=wandb_id,
            name=run.id[-MAX_NAME_LENGTH:],
            config=dict(run.config),
            resume="allow",
            dir=str(run.directory),
            settings=_build_settings(),
        )
        self.online = _has_api_key() if mode == "auto" else mode == "online"
        try:
            self.wandb = init(mode="online" if self.online else "offline")
        except wandb.Error as error:
            if not self.online:
                raise
            run.warn(f"cannot go online ({shorten_error(error)}); this run is kept offline")
            self.online = False
            # W&B's own process still holds the run's id.
            wandb.teardown()
            self.wandb = init(mode="offline")
        shutil.copyfile(run.directory / RUN_YAML, Path(self.wandb.dir) / RUN_YAML)
        self.wandb.save(str(Path(self.wandb.dir) / RUN_YAML), base_path=self.wandb.dir, policy="now")
        self.wandb.define_metric("system/*", step_metric="system/seconds")
        self.epoch_metrics = {"epoch"}

    @override
    def log_epoch(self, row_number: int, metrics: Mapping[str, float]) -> None:
        for name in metrics.keys() - self.epoch_metrics:
            self.wandb.define_metric(name, step_metric="epoch")
            self.epoch_metrics.add(name)
        self._log_row(metrics)

    @override
    def log_system_metrics(self, seconds: int, metrics: Mapping[str, float]) -> None:
        self._log_row({"system/seconds": seconds, **{f"system/{name}": value for name, value in metrics.items()}})

    def _log_row(self, row: Mapping[str, Any]) -> None:
        # W&B's own count of rows begins anew in each process of an offline run.
        step = max(self.rows, self.wandb.step)
        self.wandb.log(dict(row), step=step, commit=True)
        self.rows = step + 1
        self.run.save_state(rows=self.rows)

    @override
    def finish(self, result: RunResult) -> str:
        self.wandb.summary.update({**result.metrics, **result.texts, "status": result.status})
        self.wandb.tags = (result.status,)
        for name, image in result.images.items():
            self._log_row({f"pictures/{name}": wandb.Image(image)})
        if result.bundle:
            artifact = wandb.Artifact(f"bundle-{self.wandb.id}", "model", metadata={"run_directory": self.run.id})
            # The bundle of a run does not change: it needs no copy.
            artifact.add_dir(str(result.bundle), policy="immutable")
            self.wandb.log_artifact(artifact)
        directory, url = self.run.directory / FOLDER, self.wandb.url
        try:
            self.wandb.finish(exit_code=EXIT_CODES[result.status])
        except TimeoutError:
            self.run.warn(f"not everything was sent in {FINISH_TIMEOUT_S} s")
            self.online = False
        else:
            # W&B's own process may still be writing the last records, and is killed when the trackers' process ends.
            wandb.teardown()
        return str(url) if self.online else f"wandb sync {directory}"


def _has_api_key() -> bool:
    """Tell whether W&B would find a key of its server: in WANDB_API_KEY or the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(str(host)) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _build_settings() -> wandb.Settings:
    """Turn off code, difference to the last commit, facts about machine and user, and output; bound waits."""
    return wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        # W&B takes the machine's own name where there is none.
        host="-",
        save_code=False,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        init_timeout=INIT_TIMEOUT_S,
        login_timeout=INIT_TIMEOUT_S,
        finish_timeout=FINISH_TIMEOUT_S,
        finish_timeout_raises=True,
        silent=True,
        symlink=False,
    )
