"""What becomes of a registered version: judged anew by other limits, archived, deleted."""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from fer.bundle.metadata import MODEL_CARD_FILE
from fer.bundle.model_card import insert_verdict
from fer.config.registry import Gate
from fer.core.io import write_text
from fer.core.run_layout import BUNDLE_DIR, METRICS_JSON
from fer.errors import ModelError, UserError, shorten_error
from fer.registry.base import JUDGED_ANEW, TEST_TABLE_FILE, Aliases, ModelRegistry, ModelVersion
from fer.registry.decisions import add_decision, build_gate_decision, build_manual_decision
from fer.registry.gate import Champion, Verdict, evaluate_gate
from fer.registry.package import open_package
from fer.registry.promotion import assign_alias
from fer.registry.run_artifacts import read_run_artifacts, read_table
from fer.registry.status import APPROVED, ARCHIVED

VERDICT_FILE = "verdict.json"
log = logging.getLogger(__name__)


def judge_anew(registry: ModelRegistry, gate: Gate, name: str, number: int) -> ModelVersion:
    """Put a version through the gate again, with the limits of now; the earlier decisions are kept.

    One that is approved gets the alias that it would have got at its registration, one that no longer is loses its own.

    Args:
        registry: The registry.
        gate: The limits.
        name: Name of the model.
        number: Number of the version.

    Returns:
        The version as it is now.

    Raises:
        UserError: There is no such version, its package is not what was registered, or it is the champion.
    """
    with registry.lock(name), tempfile.TemporaryDirectory() as folder:
        version = registry.find(name, number)
        aliases = registry.get_aliases(name)
        if aliases.champion == version.version and not registry.is_dry_run:
            raise UserError(
                f"{version.uri}: is the champion, so nothing is there to compare it with; promote another one or go "
                "back first"
            )
        metrics, table = _fetch_figures(registry, version, Path(folder))
        verdict = evaluate_gate(gate, metrics, table, load_champion(registry, name))
        add_decision(registry, version, build_gate_decision(verdict, gate))
        registry.set_status(version, verdict.status, " ".join([JUDGED_ANEW, *verdict.reasons]))
        _store_verdict(registry, version, verdict, Path(folder))
        if verdict.status == APPROVED:
            assign_alias(registry, registry.find(name, number))
        else:
            _withdraw_aliases(registry, version)
        return registry.find(name, number)


def archive(registry: ModelRegistry, name: str, number: int) -> ModelVersion:
    """Take a version out of use: it has no alias and cannot be promoted, and its files stay.

    Returns:
        The version as it is now.

    Raises:
        UserError: There is no such version, or it is archived already.
    """
    with registry.lock(name):
        version = registry.find(name, number)
        if version.status == ARCHIVED:
            raise UserError(f"{version.uri}: is archived already")
        _withdraw_aliases(registry, version)
        add_decision(registry, version, build_manual_decision(ARCHIVED, "Archived by hand."))
        registry.set_status(version, ARCHIVED, "Archived by hand.")
        return registry.find(name, number)


def delete(registry: ModelRegistry, name: str, number: int) -> ModelVersion:
    """Delete a version: its aliases, its files and its entry; returns what it was.

    Raises:
        UserError: There is no such version, or an endpoint serves it.
    """
    with registry.lock(name):
        version = registry.find(name, number)
        registry.check_not_served(version)
        # In this order a deletion that is killed is finished by the next one, and no alias ever names nothing.
        _withdraw_aliases(registry, version)
        registry.delete(version)
        return version


def load_champion(registry: ModelRegistry, name: str) -> Champion | None:
    """Return the version in use with its test table, None where there is none. Raises UserError."""
    number = registry.get_aliases(name).champion
    if number is None:
        return None
    version = registry.find(name, number)
    with tempfile.TemporaryDirectory() as folder:
        path = registry.fetch_file(version, TEST_TABLE_FILE, Path(folder))
        return Champion(version.uri, None if path is None else read_table(path))


def _withdraw_aliases(registry: ModelRegistry, version: ModelVersion) -> None:
    """Take a version out of the aliases and out of the champions that one can go back to."""
    aliases, number = registry.get_aliases(version.name), version.version
    remaining = Aliases(
        None if aliases.champion == number else aliases.champion,
        None if aliases.challenger == number else aliases.challenger,
        tuple(former for former in aliases.history if former != number),
    )
    if remaining == aliases:
        return
    registry.set_aliases(version.name, remaining)
    if aliases.champion == number:
        log.warning("models:/%s: has no champion now; choose one with registry.action=promote", version.name)


def _fetch_figures(
    registry: ModelRegistry, version: ModelVersion, folder: Path
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Return the metrics and the test table that were registered with a version. Raises UserError."""
    # The package is fetched too: what was changed since must not be approved.
    package = registry.fetch(version, folder)
    if registry.is_dry_run:
        return {}, None
    table = read_table(folder / TEST_TABLE_FILE) if (folder / TEST_TABLE_FILE).is_file() else None
    if not (folder / METRICS_JSON).is_file():
        return read_run_artifacts(open_package(package, folder / "package") / BUNDLE_DIR).metrics, table
    try:
        metrics = json.loads((folder / METRICS_JSON).read_text(encoding="utf-8"))
        if not isinstance(metrics, dict):
            raise ValueError("no mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{version.uri}: its {METRICS_JSON} cannot be read ({shorten_error(error)}); register the run again"
        ) from None
    return metrics, table


def _store_verdict(registry: ModelRegistry, version: ModelVersion, verdict: Verdict, folder: Path) -> None:
    """Bring verdict.json and the model card up to date."""
    write_text(folder / VERDICT_FILE, json.dumps(verdict.to_dict(), indent=2) + "\n")
    registry.store_file(version, folder / VERDICT_FILE)
    card = folder / MODEL_CARD_FILE
    if card.is_file():
        write_text(card, insert_verdict(card.read_text(encoding="utf-8"), verdict.status, verdict.reasons))
        registry.store_file(version, card)
