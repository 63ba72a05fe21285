"""The run directory: its configuration, where its results come from, and how it ended."""

import atexit
import json
import logging
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from omegaconf import OmegaConf
from pydantic import ValidationError

from fer.config import Config, Program
from fer.config.error_messages import convert_validation_error
from fer.config.quoting import escape_interpolations, unescape_interpolations
from fer.core.documents import read_json_object, read_yaml
from fer.core.installation import format_command, with_project_path
from fer.core.io import compute_sha256, write_text
from fer.core.process import LAUNCHED_ENV, get_global_rank
from fer.core.run_layout import LOCK_FILE, METRICS_JSON, PROVENANCE_JSON, RUN_YAML
from fer.errors import PreconditionError, UserError, shorten_error
from fer.runs.provenance import collect_environment, get_command_line, get_timestamp

OUTPUTS = "outputs"
HEADER = """\
# The whole configuration of this run. RUN being its directory, run it again (overrides may follow) with
#   {command} --config-dir RUN --config-name run
"""
REPLAY = """\
# and compare every figure of another run of it with
#   {command} RUN
"""
DELETE_AFTER = """\
# To be deleted after {date}: see extraction.retention_days, and `{command}`.
"""


class Run:
    """A run directory that belongs to this process alone until it has finished.

    Creating one writes run.yaml and provenance.json.

    Args:
        directory: The directory, which is made where it is missing.
        config: The run's configuration.
        program: The script that the run is of.

    Raises:
        UserError: The directory already holds a run: none is ever overwritten.

    Examples:
        >>> run = Run(Path("outputs/train/first"), config)
        >>> run.update_provenance(device="cpu")
        >>> run.finish("finished")
    """

    def __init__(self, directory: Path, config: Config, program: str = "train.py") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.lock = acquire_lock(directory)
        try:
            # Of two processes that create this file only one succeeds.
            with (directory / PROVENANCE_JSON).open("x", encoding="utf-8"):
                pass
        except FileExistsError:
            raise UserError(
                f"{directory}: already holds a run, which is never overwritten; choose another hydra.run.dir"
            ) from None
        self.provenance: dict[str, Any] = {
            "status": "running",
            "command": get_command_line(),
            "directory": os.getcwd(),
            "start": get_timestamp(),
            "end": None,
            **collect_environment(),
        }
        self._keep_deletion_date(config)
        write_config(directory, config, program, self.provenance.get("delete_after"))
        self.update_provenance()

    @classmethod
    def resume(cls, directory: Path, config: Config, program: str, command: Sequence[str] | None = None) -> Self:
        """Open a run that was begun before; its provenance keeps how it began.

        Args:
            directory: The run directory.
            config: The configuration to go on with.
            program: The script that the run is of.
            command: The command line to be recorded; None is that of this process.

        Raises:
            UserError: Another process is at work on it.
        """
        run = cls.__new__(cls)
        run.directory = directory
        run.lock = acquire_lock(directory)
        run.provenance = read_provenance(directory)
        started = {"command": get_command_line() if command is None else list(command), "start": get_timestamp()}
        resumed = [*run.provenance.get("resumed", []), started]
        run._keep_deletion_date(config)
        write_config(directory, config, program, run.provenance.get("delete_after"))
        run.update_provenance(status="running", end=None, resumed=resumed)
        return run

    @classmethod
    def create_or_resume(cls, directory: Path, config: Config, program: str) -> Self:
        """Open the run of a directory that holds its run.yaml, whether or not it was begun. Raises UserError."""
        provenance = directory / PROVENANCE_JSON
        if provenance.is_file() and provenance.stat().st_size:
            return cls.resume(directory, config, program)
        # Killed between creating the file and writing it.
        provenance.unlink(missing_ok=True)
        return cls(directory, config, program)

    def _keep_deletion_date(self, config: Config) -> None:
        """Keep the last day of the run, counted from the day on which it was begun."""
        self.provenance.pop("delete_after", None)
        if (days := config.extraction.retention_days) is not None:
            began = datetime.fromisoformat(str(self.provenance.get("start") or get_timestamp()))
            self.provenance["delete_after"] = (began.date() + timedelta(days=days)).isoformat()

    def update_provenance(self, **facts: Any) -> None:
        """Add facts to provenance.json."""
        self.provenance.update(facts)
        write_text(self.directory / PROVENANCE_JSON, json.dumps(self.provenance, indent=2, default=str) + "\n")

    def finish(self, status: str, **facts: Any) -> None:
        """Mark the run as ended, and release its directory.

        Args:
            status: ``finished``, ``interrupted``, ``failed`` or ``pruned``.
            facts: Further entries of provenance.json.
        """
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mebibytes = round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
        self.update_provenance(status=status, end=get_timestamp(), peak_memory_mib=mebibytes, **facts)
        (self.directory / LOCK_FILE).unlink(missing_ok=True)
        self.lock.release()

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json."""
        write_text(self.directory / METRICS_JSON, json.dumps(metrics, indent=2, allow_nan=False) + "\n")

    @property
    def config_text(self) -> str:
        """Content of run.yaml."""
        return (self.directory / RUN_YAML).read_text(encoding="utf-8")

    @property
    def config_sha256(self) -> str:
        """SHA-256 of run.yaml."""
        return compute_sha256(self.directory / RUN_YAML)


def write_config(directory: Path, config: Config, program: str, delete_after: str | None = None) -> None:
    """Write run.yaml, which makes a directory one that ``program`` can begin or resume; it is to go after a date."""
    header = HEADER.format(command=format_command(program)) + (
        REPLAY.format(command=format_command("fer.replay")) if program == "train.py" else ""
    )
    if delete_after is not None:
        header += DELETE_AFTER.format(date=delete_after, command=f"{format_command('fer.privacy')} expired")
    content = {"defaults": ["base", "_self_"], **config.dump()}
    # OmegaConf writes texts such as 1e3 so that it reads them as texts again.
    write_text(
        directory / RUN_YAML, header + OmegaConf.to_yaml(OmegaConf.create(_map_texts(escape_interpolations, content)))
    )


def _map_texts(change: Callable[[str], str], node: Any) -> Any:
    """Replace every text inside of lists and maps; keys stay."""
    if isinstance(node, dict):
        return {key: _map_texts(change, inner) for key, inner in node.items()}
    if isinstance(node, list):
        return [_map_texts(change, inner) for inner in node]
    return change(node) if isinstance(node, str) else node


def acquire_lock(directory: Path) -> FileLock:
    """Acquire the lock of a run directory. Raises UserError where another process has it."""
    lock = FileLock(directory / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{directory}: another process is at work on this run; wait for it, or end it") from None
    return lock


def read_provenance(directory: Path) -> dict[str, Any]:
    """Read what is known of a run; nothing where it was not begun. Raises PreconditionError where it cannot be read."""
    path = directory / PROVENANCE_JSON
    if not path.is_file() or not path.stat().st_size:
        return {}
    try:
        return read_json_object(path)
    except ValueError as error:
        raise PreconditionError(f"{path}: cannot be read ({shorten_error(error)}); restore the run") from None


def mark_ended(directory: Path, status: str, error: str | None = None) -> None:
    """Mark a run whose process could not do so itself; one not begun, or that a process has, is left as it is."""
    provenance = read_provenance(directory)
    try:
        lock = acquire_lock(directory)
    except UserError:
        return
    if provenance:
        provenance |= {"status": status, "end": get_timestamp()} | ({"error": error} if error else {})
        write_text(directory / PROVENANCE_JSON, json.dumps(provenance, indent=2, default=str) + "\n")
    (directory / LOCK_FILE).unlink(missing_ok=True)
    lock.release()


def read_status(directory: Path) -> str | None:
    """Read the status of a run; None where it was not begun."""
    try:
        return str(read_json_object(directory / PROVENANCE_JSON)["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_run_config(run: Path, program: Program = "train") -> Config:
    """Load and check the configuration of a run.

    Args:
        run: The run directory.
        program: The program whose rules the configuration must keep.

    Raises:
        PreconditionError: run.yaml cannot be read.
        ConfigError: It breaks a rule.
    """
    try:
        content = read_yaml(run / RUN_YAML)
        content.pop("defaults", None)
        content = _map_texts(unescape_interpolations, content)
        return Config.model_validate(content, context={"program": program, "is_saved": True})
    except ValidationError as error:
        raise convert_validation_error(error, content) from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise PreconditionError(
            f"{run / RUN_YAML}: cannot be read ({shorten_error(error)}); name a run directory"
        ) from None


def create_unique_directory(base_path: str) -> str:
    """Create a directory that did not exist before.

    Two programs that start in the same second get two directories: creating one that exists fails. A process that
    train.py has started gets the directory of train.py, another rank than 0 a temporary one.

    Args:
        base_path: The path; where it exists, the first one of ``base_path-2``, ``base_path-3``… that does not.

    Returns:
        The path of the new directory.
    """
    if LAUNCHED_ENV in os.environ:
        return os.environ[LAUNCHED_ENV]
    if get_global_rank():
        # Only rank 0 writes; what Hydra writes for another rank is deleted at its end.
        scratch = tempfile.mkdtemp(prefix="fer-rank-")
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        return scratch
    path, attempt = Path(base_path), 1
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            path.mkdir()
            return str(path)
        except FileExistsError:
            attempt += 1
            path = Path(f"{base_path}-{attempt}")


def remove_if_empty(directory: Path | None) -> None:
    """Remove a directory that holds nothing but Hydra's empty log, and those of outputs/ above that are empty then."""
    if (
        directory is None
        or not directory.is_dir()
        or any(file.suffix != ".log" or file.stat().st_size for file in directory.iterdir())
    ):
        return
    # Fails where another process removes the same, or other runs are left; asking first would race as well.
    with suppress(OSError):
        for file in directory.iterdir():
            file.unlink(missing_ok=True)
        directory.rmdir()
        directory.parent.rmdir()
        outputs = Path(OUTPUTS).resolve()
        for parent in directory.parent.resolve().parents:
            if parent != outputs and outputs not in parent.parents:
                break
            parent.rmdir()


def return_to_directory(run: Path) -> None:
    """Change to the directory in which a run was begun: there are its caches, and what relative paths of it mean."""
    directory = read_provenance(run).get("directory")
    if isinstance(directory, str) and Path(directory).is_dir():
        # Processes that are started from there must find the program and the project.
        sys.argv[0] = os.path.abspath(sys.argv[0])
        os.environ.update(with_project_path(os.environ))
        os.chdir(directory)


def redirect_log(directory: Path) -> None:
    """Write the log into the directory of a resumed run: Hydra has opened one where a new run would be."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            name = Path(handler.baseFilename).name
            handler.close()
            handler.baseFilename = str((directory / name).resolve())
