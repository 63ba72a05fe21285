"""`python -m fer.replay RUN`: run a training again and compare every figure and the weights, bit for bit."""

import argparse
import logging
import math
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from fer.config import Config
from fer.config.plugins import describe_plugins, list_plugin_changes
from fer.config.quoting import quote_literally
from fer.core.documents import read_json_object
from fer.core.flatten import flatten_dict
from fer.core.installation import build_train_command, format_command, format_documentation, get_program_name
from fer.core.io import compute_sha256
from fer.core.run_layout import METRICS_JSON, PROVENANCE_JSON
from fer.errors import DataError, UserError
from fer.runs.origin import describe_run_origin, explain_other_version
from fer.runs.program import user_errors_to_exit_code
from fer.runs.provenance import collect_environment, get_timestamp
from fer.runs.run_directory import create_unique_directory, load_run_config

log = logging.getLogger(__name__)
MAX_SHOWN = 20


def _read_run_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run. Raises UserError."""
    try:
        return read_json_object(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); only a finished run can be replayed") from None


def _compare_environment(config: Config, provenance: dict[str, Any]) -> list[str]:
    """Describe what differs between machine and code of a run and those of this process, a line each."""
    current = collect_environment()
    packages = current.pop("packages")
    previous_packages = provenance.get("packages")
    if not isinstance(previous_packages, dict):
        previous_packages = {}
    plugins = list_plugin_changes(provenance.get("plugins"), describe_plugins(config))
    return [*_list_differences(provenance, current), *_list_differences(previous_packages, packages), *plugins]


def _list_differences(previous: dict[str, Any], current: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {previous.get(name)} then, {value} now"
        for name, value in current.items()
        if previous.get(name) != value
    ]


def _compare_data(config: Config, provenance: dict[str, Any]) -> list[str]:
    """Describe what differs between data and starting weights of a run and those of now, a line each."""
    from fer.data.image_store import fingerprint_sources
    from fer.train.inputs import localize, read_sources

    lines = []
    fingerprint, _, _ = fingerprint_sources(read_sources(config))
    if fingerprint != provenance.get("data_fingerprint"):
        lines.append(f"data fingerprint: {provenance.get('data_fingerprint')} then, {fingerprint} now")
    weights, previous = Path(localize(config.model.weights, config)), provenance.get("starting_weights_sha256")
    if weights.is_file() and previous and (digest := compute_sha256(weights)) != previous:
        lines.append(f"{weights}: SHA-256 {previous} then, {digest} now")
    return lines


def _compare_metrics(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Describe every metric of a run that is not identical, a line each; what a later version adds is none of them."""
    before, after = flatten_dict(first, expand_lists=True), flatten_dict(second, expand_lists=True)
    lines = []
    for name, previous in before.items():
        if name not in after or previous != after[name]:
            current = after.get(name, "absent")
            both = isinstance(previous, float) and isinstance(current, float)
            distance = f" ({math.fabs(current - previous):.3g} apart)" if both else ""
            lines.append(f"{name}: {previous} then, {current} now{distance}")
    return lines


def _replay_run(run: Path, allow_changed_data: bool) -> bool:
    """Run a training again in a new directory; whether every metric and the weights came out identical."""
    with explain_other_version(run):
        config = load_run_config(run)
    provenance, metrics = _read_run_json(run / PROVENANCE_JSON), _read_run_json(run / METRICS_JSON)
    if provenance.get("status") != "finished":
        raise UserError(
            f"{run}: the run is {provenance.get('status')}, so there is nothing to compare a whole one with; to run it "
            f"again: {format_command('train.py')} --config-dir {shlex.quote(str(run))} --config-name run"
        )
    for line in describe_run_origin(run):
        log.warning("Another version: %s", line)
    for line in _compare_environment(config, provenance):
        log.warning("Environment differs: %s", line)
    if changed := _compare_data(config, provenance):
        for line in changed:
            log.warning("Data differ: %s", line)
        if not allow_changed_data:
            raise DataError("the data are not those of the run; restore them, or add --allow-changed-data")
    day, _, time = get_timestamp()[:19].replace(":", "-").partition("T")
    directory = Path(create_unique_directory(f"outputs/replay/{day}/{time}-{config.name}"))
    log.info("Replaying %s in %s", run, directory)
    _train_again(run, directory, provenance["threads"])
    differences = _compare_metrics(metrics, _read_run_json(directory / METRICS_JSON))
    for line in differences[:MAX_SHOWN]:
        log.warning("Differs: %s", line)
    if differences:
        log.warning("Not identical: %d of the run's figures differ", len(differences))
    else:
        count = len(flatten_dict(metrics, expand_lists=True))
        log.info("Identical: all %d figures and the weights (SHA-256 %s)", count, metrics["weights_sha256"])
    return not differences


def _train_again(run: Path, directory: Path, threads: int) -> None:
    """Run the configuration of a run in another directory. Raises UserError."""
    command = [sys.executable, *build_train_command(), "--config-dir", str(run.resolve()), "--config-name", "run"]
    # Sums depend on the number of threads, which a configuration may leave to the machine.
    command += [f"hydra.run.dir={quote_literally(str(directory))}", f"trainer.threads={threads}"]
    if code := subprocess.run(command).returncode:
        raise UserError(f"the replay ended with exit code {code}; its log is {directory}/train.log")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.replay"), description=format_documentation(__doc__)
    )
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("--allow-changed-data", action="store_true", help="go on although the data set was changed")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        sys.exit(0 if _replay_run(arguments.run, arguments.allow_changed_data) else 1)


if __name__ == "__main__":
    main()
