"""How well a bundle's model does, and on what: what its files say, for pages that show what it predicts."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fer.bundle.metadata import DESCRIPTION_FILE, MODEL_CARD_FILE
from fer.core.run_layout import METRICS_JSON

# Test figures before those of validation, on which the epoch was chosen.
SPLITS = {"test": "test", "val": "validation"}


def read_performance(folder: Path) -> dict[str, Any]:
    """Read what is known of a model's performance and training data.

    The figures are those of the run's metrics.json where the bundle still stands in the run that made it, else those of
    bundle.yaml; recalls that an older bundle.yaml lacks come from the model card's table, without intervals.

    Args:
        folder: Directory of the bundle.

    Returns:
        ``split`` ("test" or "validation"), ``samples``, ``accuracy`` as {value, low, high}, ``recalls`` by class, each
        such a dictionary with ``samples``, and ``data``, a list of sentences. None, or empty, is what is not known.
    """
    description, card = _read_mapping(folder / DESCRIPTION_FILE), _read_text(folder / MODEL_CARD_FILE)
    facts: dict[str, Any] = {"split": None, "samples": None, "accuracy": None, "recalls": {}, "data": _list_data(card)}
    metrics = _read_mapping(folder.parent / METRICS_JSON)
    if not metrics or metrics.get("weights_sha256") != description.get("weights_sha256"):
        metrics = description.get("metrics") or {}
    for split, title in SPLITS.items():
        figures = metrics.get(split)
        if isinstance(figures, Mapping) and isinstance(figures.get("accuracy"), Mapping):
            recalls = _list_recalls(figures) or _parse_recalls(card, split)
            return facts | {
                "split": title,
                "samples": figures.get("samples"),
                "accuracy": dict(figures["accuracy"]),
                "recalls": recalls,
            }
    return facts


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON or YAML file, empty where there is none or it cannot be read."""
    text = _read_text(path)
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _list_recalls(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Recalls of a split of metrics.json (`per_class`) or of bundle.yaml (`recall`)."""
    if isinstance(per_class := figures.get("per_class"), Mapping):
        return {name: {**values["recall"], "samples": values["samples"]} for name, values in per_class.items()}
    return {name: dict(values) for name, values in (figures.get("recall") or {}).items()}


def _parse_recalls(card: str, split: str) -> dict[str, dict[str, Any]]:
    """Recalls of the model card's table of a split, which has three decimals and no intervals."""
    section = re.search(rf"^## {SPLITS[split].capitalize()} figures.*?(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (\w+) \| (\d+) \| \S+ \| ([\d.]+|–) \| .*$", section[0] if section else "", re.MULTILINE)
    return {
        name: {"value": None if recall == "–" else float(recall), "low": None, "high": None, "samples": int(samples)}
        for name, samples, recall in rows
    }


def _list_data(card: str) -> list[str]:
    """Names and kinds of the data sets, and the notes on them, of the model card."""
    found = re.search(r"^## Configuration\n```yaml\n(.*?)^```", card, re.DOTALL | re.MULTILINE)
    try:
        config = yaml.safe_load(found[1]) if found else {}
        sources = config["dataset"]["sources"]
        names = [name if name == source["kind"] else f"{name} ({source['kind']})" for name, source in sources.items()]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        names = []
    section = re.search(r"^## Data\n(.*?)^- fingerprint", card, re.DOTALL | re.MULTILINE)
    notes = re.findall(r"^- (.*)$", section[1], re.MULTILINE) if section else []
    return [*([", ".join(names)] if names else []), *notes]
