"""`python -m fer.replay RUN`: run a training again and compare every figure and the weights, bit for bit."""

import argparse
import json
import logging
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer.cli import reported
from fer.config import Config
from fer.core.io import sha256_file
from fer.core.system import PROJECT
from fer.errors import DataError, UserError
from fer.runs.provenance import environment_now, now
from fer.runs.run_directory import METRICS, PROVENANCE, fresh_directory, saved_config

log = logging.getLogger(__name__)
MOST_SHOWN = 20


def saved_json(path: Path) -> dict[str, Any]:
    """A JSON file of a run. Raises UserError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); only a finished run can be replayed") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no figures of a run")
    return content


def environment_differences(provenance: dict[str, Any]) -> list[str]:
    """What differs between the machine and code of a run and those of this process, a line each."""
    present = environment_now()
    lines = []
    for key, value in present.items():
        was = provenance.get(key)
        if key == "packages":
            packages = was if isinstance(was, dict) else {}
            lines += [
                f"{name}: {packages.get(name)} then, {v} now" for name, v in value.items() if packages.get(name) != v
            ]
        elif was != value:
            lines.append(f"{key}: {was} then, {value} now")
    return lines


def data_differences(config: Config, provenance: dict[str, Any]) -> list[str]:
    """Whether data and starting weights are still those of the run, a line for each that is not."""
    from fer.data.image_store import survey
    from fer.train.inputs import at_hand, sources_of

    lines = []
    fingerprint, _, _ = survey(sources_of(config))
    if fingerprint != provenance.get("data_fingerprint"):
        lines.append(f"data fingerprint: {provenance.get('data_fingerprint')} then, {fingerprint} now")
    weights, was = Path(at_hand(config.model.weights, config)), provenance.get("starting_weights_sha256")
    if weights.is_file() and was and (found := sha256_file(weights)) != was:
        lines.append(f"{weights}: SHA-256 {was} then, {found} now")
    return lines


def figures_of(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf of metrics.json."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from figures_of(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from figures_of(value, f"{name}[{place}]")
    else:
        yield name, node


def metric_differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Every figure that is not identical, a line each."""
    one, two = dict(figures_of(first)), dict(figures_of(second))
    lines = []
    for name in dict.fromkeys([*one, *two]):
        if name not in one or name not in two or one[name] != two[name]:
            was, present = one.get(name, "absent"), two.get(name, "absent")
            both = isinstance(was, float) and isinstance(present, float)
            apart = f" ({math.fabs(present - was):.3g} apart)" if both else ""
            lines.append(f"{name}: {was} then, {present} now{apart}")
    return lines


def replay(run: Path, allow_changed_data: bool) -> bool:
    """Run ``run`` again in a new directory; whether every figure and the weights came out identical."""
    config = saved_config(run)
    provenance, metrics = saved_json(run / PROVENANCE), saved_json(run / METRICS)
    if provenance.get("status") != "finished":
        raise UserError(
            f"{run}: the run is {provenance.get('status')}, so there is nothing to compare a whole one with; to run it "
            f"again: python train.py --config-dir {run} --config-name run"
        )
    for line in environment_differences(provenance):
        log.warning("Environment differs: %s", line)
    if changed := data_differences(config, provenance):
        for line in changed:
            log.warning("Data differ: %s", line)
        if not allow_changed_data:
            raise DataError("the data are not those of the run; restore them, or add --allow-changed-data")
    directory = fresh_directory(f"outputs/replay/{now()[:10]}/{now()[11:19].replace(':', '-')}-{config.name}")
    command = [sys.executable, str(PROJECT / "train.py"), "--config-dir", str(run.resolve()), "--config-name", "run"]
    # Without a number in the configuration the run took the cores of its machine: the sums depend on it.
    command += [f"hydra.run.dir={json.dumps(directory)}", f"trainer.threads={provenance['threads']}"]
    log.info("Replaying %s in %s", run, directory)
    if code := subprocess.run(command).returncode:
        raise UserError(f"the replay ended with exit code {code}; its log is {directory}/train.log")
    differences = metric_differences(metrics, saved_json(Path(directory) / METRICS))
    for line in differences[:MOST_SHOWN]:
        log.warning("Differs: %s", line)
    if differences:
        log.warning("Not identical: %d of the run's figures differ", len(differences))
    else:
        count = sum(1 for _ in figures_of(metrics))
        log.info("Identical: all %d figures and the weights (SHA-256 %s)", count, metrics["weights_sha256"])
    return not differences


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fer.replay", description=__doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("--allow-changed-data", action="store_true", help="go on although the data set was changed")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with reported():
        sys.exit(0 if replay(arguments.run, arguments.allow_changed_data) else 1)


if __name__ == "__main__":
    main()
