"""Which version and commit made a run that is run again or goes on, and what that means."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer.config.diff import read_saved_config
from fer.config.migrations import describe_origin, format_maker
from fer.core.installation import get_version
from fer.core.run_layout import RUN_YAML
from fer.errors import ConfigError
from fer.runs.run_directory import read_provenance


def describe_run_origin(run: Path) -> list[str]:
    """Describe what differs between the version that made a run and this one, a line each.

    Args:
        run: The run directory; what is none, such as a directory of experiments, gives no lines.

    Raises:
        ConfigError: run.yaml cannot be read.
    """
    if not (run / RUN_YAML).is_file():
        return []
    return describe_origin(read_saved_config(run), _read_provenance(run), get_version())


@contextmanager
def explain_other_version(run: Path | None) -> Iterator[None]:
    """Add to the errors of a run's configuration which version and commit made it, where that is known."""
    try:
        yield
    except ConfigError as error:
        provenance = _read_provenance(run) if run else {}
        if not provenance:
            raise
        commit = provenance.get("git_commit")
        remedy = f"run it with that version (git checkout {commit})" if commit else "run it with that version"
        raise ConfigError(
            f"{error}\n{run}: {format_maker(provenance)}; this is {get_version()}: correct the values, or {remedy}"
        ) from None


def _read_provenance(run: Path) -> dict[str, Any]:
    """The content of provenance.json; nothing where it is missing or damaged: it only explains."""
    try:
        return read_provenance(run)
    except (OSError, ValueError, TypeError):
        return {}
