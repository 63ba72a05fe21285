"""A hook of MkDocs: ``<!-- help: train.py -->`` becomes what ``python train.py --help`` prints: never stale."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

PROJECT = Path(__file__).resolve().parents[1]
MARKER = re.compile(r"<!-- help: (.+?) -->")
WIDTH = "100"  # columns


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page. Raises PluginError, which ends the build, for a command without help."""
    commands = MARKER.findall(markdown)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = dict(zip(commands, pool.map(_run_help, commands), strict=True))
    return MARKER.sub(lambda marker: f"```text\n{texts[marker[1]]}\n```", markdown)


def _run_help(command: str) -> str:
    completed = subprocess.run(
        [sys.executable, *command.split(), "--help"],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": WIDTH, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if completed.returncode:
        raise PluginError(f"python {command} --help ends with exit code {completed.returncode}: {completed.stderr}")
    return completed.stdout.strip()
