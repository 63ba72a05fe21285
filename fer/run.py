"""The run directory: its configuration, where its figures come from, and how it ended."""

import hashlib
import importlib.metadata
import json
import os
import platform
import random
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from fer.config import Config
from fer.errors import UserError
from fer.files import sha256_file, write_text

RUN_YAML = "run.yaml"
PROVENANCE = "provenance.json"
METRICS = "metrics.json"
PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("torch", "torchvision", "timm", "pytorch-lightning", "torchmetrics", "numpy", "scipy", "pandas"),
    *("opencv-python", "imagehash", "safetensors", "hydra-core", "omegaconf", "pydantic"),
)
HEADER = """\
# The whole configuration of this run. RUN being its directory, run it again (overrides may follow) with
#   python train.py --config-dir RUN --config-name run
# and compare every figure of another run of it with
#   python -m fer.replay RUN
"""


class Run:
    """A run directory that belongs to this process alone.

    Raises UserError where the directory already holds a run: none is ever overwritten.
    """

    def __init__(self, directory: Path, config: Config) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        try:
            # Creating this file is the claim: of two processes only one succeeds.
            with (directory / PROVENANCE).open("x", encoding="utf-8"):
                pass
        except FileExistsError:
            raise UserError(
                f"{directory}: already holds a run, which is never overwritten; choose another hydra.run.dir"
            ) from None
        self.provenance: dict[str, Any] = {
            "status": "running",
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "start": now(),
            "end": None,
            **environment_now(),
        }
        content = {"defaults": ["base", "_self_"], **config.dump()}
        write_text(directory / RUN_YAML, HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        self.note()

    def note(self, **facts: Any) -> None:
        """Add facts to provenance.json."""
        self.provenance.update(facts)
        write_text(self.directory / PROVENANCE, json.dumps(self.provenance, indent=2, default=str) + "\n")

    def end(self, status: str, **facts: Any) -> None:
        """Mark how the run ended: finished, interrupted or failed."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mebibytes = round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
        self.note(status=status, end=now(), peak_memory_mib=mebibytes, **facts)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        write_text(self.directory / METRICS, json.dumps(metrics, indent=2, allow_nan=False) + "\n")

    @property
    def config_text(self) -> str:
        """Content of run.yaml."""
        return (self.directory / RUN_YAML).read_text(encoding="utf-8")

    @property
    def config_sha256(self) -> str:
        """SHA-256 of run.yaml."""
        return sha256_file(self.directory / RUN_YAML)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment_now() -> dict[str, Any]:
    """Code, interpreter, machine and packages of this process: what decides whether figures can be repeated."""
    return {
        **git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_state() -> dict[str, str | None]:
    """The project's commit, and the SHA-256 of uncommitted changes to it (None where there are none)."""

    def git(*arguments: str) -> bytes | None:
        try:
            done = subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout

    commit, diff = git("rev-parse", "HEAD"), git("diff", "HEAD")
    return {
        "git_commit": commit.decode().strip() if commit else None,
        "git_diff_sha256": hashlib.sha256(diff).hexdigest() if diff else None,
    }


def processor() -> str:
    """The CPU's name: bit-identical results are promised on the same kind only."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def set_threads(threads: int | None) -> int:
    """Use so many CPU threads, or one a core that this process may use; returns the number."""
    count = threads or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    torch.set_num_threads(count)
    return count


def seed_everything(seed: int) -> None:
    """Seed every global random generator; the data's own draws have generators of their own."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
