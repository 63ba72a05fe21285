"""The history of a version: each decision on whether it may be used, with the limits of then, in one file beside it."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer.config.registry import Gate
from fer.core.io import write_text
from fer.errors import ModelError, shorten_error
from fer.registry.base import ModelRegistry, ModelVersion
from fer.registry.gate import Verdict

DECISIONS_FILE = "decisions.json"


@dataclass(frozen=True)
class Decision:
    """One decision on a version.

    Args:
        time: When it was made, ISO 8601; empty where that is not known.
        status: The status that it gave the version.
        reasons: A sentence for each finding.
        limits: Section registry.gate of then; empty for what a person decided.
    """

    time: str
    status: str
    reasons: tuple[str, ...]
    limits: Mapping[str, float | None] = field(default_factory=dict)


def build_gate_decision(verdict: Verdict, gate: Gate) -> Decision:
    """Return what the gate has decided, now."""
    return Decision(_format_now(), verdict.status, verdict.reasons, gate.model_dump())


def build_manual_decision(status: str, reason: str) -> Decision:
    """Return what a person has decided, now."""
    return Decision(_format_now(), status, (reason,))


def format_decisions(decisions: Sequence[Decision]) -> str:
    """Return the content of DECISIONS_FILE."""
    return json.dumps([asdict(decision) for decision in decisions], indent=2) + "\n"


def read_decisions(registry: ModelRegistry, version: ModelVersion) -> tuple[Decision, ...]:
    """Return all decisions on a version, the latest last.

    Of a version that was registered before decisions were kept, only the present one is known.

    Raises:
        ModelError: The file is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = registry.fetch_file(version, DECISIONS_FILE, Path(folder))
        if path is None:
            return (Decision(version.created, version.status, (version.reasons,)),)
        try:
            return tuple(_parse(entry) for entry in json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{version.uri}: its {DECISIONS_FILE} is damaged ({shorten_error(error)}); restore it beside "
                f"{version.package}"
            ) from None


def add_decision(registry: ModelRegistry, version: ModelVersion, decision: Decision) -> None:
    """Add a decision to the history of a version. Raises UserError."""
    decisions = (*read_decisions(registry, version), decision)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / DECISIONS_FILE
        write_text(path, format_decisions(decisions))
        registry.store_file(version, path)


def _parse(entry: Mapping[str, Any]) -> Decision:
    reasons = tuple(str(reason) for reason in entry["reasons"])
    return Decision(str(entry["time"]), str(entry["status"]), reasons, dict(entry["limits"]))


def _format_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
