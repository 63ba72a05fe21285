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

from fer.errors import first_line
from fer.trackers.base import EXIT_CODES, Begun, Ended

# No reports of errors and use, and nothing printed.
os.environ["WANDB_ERROR_REPORTING"] = "false"
os.environ["WANDB_SILENT"] = "true"

import wandb

FOLDER = "wandb"
LONGEST_NAME = 128
START_S, END_S = 20, 30


class WandbTracker:
    """All files lie in `wandb/` of the run directory."""

    def __init__(
        self, run: Begun, project: str, entity: str | None, mode: Literal["auto", "offline", "online"]
    ) -> None:
        self.run = run
        for purpose in ("data", "cache"):
            os.environ[f"WANDB_{purpose.upper()}_DIR"] = str(run.directory / FOLDER / purpose)
        self.rows = int(run.remembered.get("rows", 0))
        wandb_id = run.remembered.get("id") or secrets.token_hex(4)
        run.remember(id=wandb_id)
        begin = partial(
            wandb.init,
            project=project,
            entity=entity,
            id=wandb_id,
            name=run.id[-LONGEST_NAME:],
            config=dict(run.config),
            resume="allow",
            dir=str(run.directory),
            settings=private(),
        )
        self.online = has_key() if mode == "auto" else mode == "online"
        try:
            self.wandb = begin(mode="online" if self.online else "offline")
        except wandb.Error as error:
            if not self.online:
                raise
            run.warn(f"cannot go online ({first_line(error)}); this run is kept offline")
            self.online = False
            # W&B's own process still holds the run's id.
            wandb.teardown()
            self.wandb = begin(mode="offline")
        shutil.copyfile(run.directory / "run.yaml", Path(self.wandb.dir) / "run.yaml")
        self.wandb.save(str(Path(self.wandb.dir) / "run.yaml"), base_path=self.wandb.dir, policy="now")
        self.wandb.define_metric("system/*", step_metric="system/seconds")
        self.against_epoch = {"epoch"}

    def epoch(self, epoch: int, figures: Mapping[str, float]) -> None:
        for name in figures.keys() - self.against_epoch:
            self.wandb.define_metric(name, step_metric="epoch")
            self.against_epoch.add(name)
        self.log(figures)

    def system(self, seconds: int, figures: Mapping[str, float]) -> None:
        self.log({"system/seconds": seconds, **{f"system/{name}": value for name, value in figures.items()}})

    def log(self, row: Mapping[str, Any]) -> None:
        # W&B's own count of rows begins anew in each process of an offline run.
        step = max(self.rows, self.wandb.step)
        self.wandb.log(dict(row), step=step, commit=True)
        self.rows = step + 1
        self.run.remember(rows=self.rows)

    def end(self, ended: Ended) -> str:
        self.wandb.summary.update({**ended.figures, **ended.texts, "status": ended.status})
        self.wandb.tags = (ended.status,)
        for name, picture in ended.pictures.items():
            self.log({f"pictures/{name}": wandb.Image(picture)})
        if ended.bundle:
            artifact = wandb.Artifact(f"bundle-{self.wandb.id}", "model", metadata={"run_directory": self.run.id})
            # The bundle of a run does not change: it needs no copy.
            artifact.add_dir(str(ended.bundle), policy="immutable")
            self.wandb.log_artifact(artifact)
        place, url = self.run.directory / FOLDER, self.wandb.url
        try:
            self.wandb.finish(exit_code=EXIT_CODES[ended.status])
        except TimeoutError:
            self.run.warn(f"not everything was sent in {END_S} s")
            self.online = False
        return str(url) if self.online else f"wandb sync {place}"


def has_key() -> bool:
    """Whether W&B would find a key of its server: in WANDB_API_KEY or the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(str(host)) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def private() -> wandb.Settings:
    """No code, no difference to the last commit, nothing about machine or user, no output; bounded waits."""
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
        init_timeout=START_S,
        login_timeout=START_S,
        finish_timeout=END_S,
        finish_timeout_raises=True,
        silent=True,
        symlink=False,
    )
