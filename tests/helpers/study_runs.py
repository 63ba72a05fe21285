"""A small study of a run of infer.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fer.config import Config
from fer.config.compose import load_overrides


def configure(study: Path, *overrides: str, saved: Path | None = None) -> Config:
    named = [f"extraction.study={study}"] if saved is None else []
    return load_overrides(["extraction=haar", *named, *overrides] if saved is None else [*overrides], "infer", saved)


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path
