"""How well a bundle's model does, and on what: what its files say, for pages that show what it predicts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer.bundle.metadata import DESCRIPTION_FILE, MODEL_CARD_FILE
from fer.core.documents import parse_yaml, read_bounded_text, read_json, read_yaml
from fer.core.run_layout import METRICS_JSON

# Test figures before those of validation, on which the epoch was chosen.
# A model card has some ten kilobytes, its configuration included.
MAX_CARD_BYTES = 256 << 10
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
        Of a temporal model ``unit`` says that samples are "clips".
    """
    description, card = _read_mapping(folder / DESCRIPTION_FILE), _read_text(folder / MODEL_CARD_FILE)
    facts: dict[str, Any] = {"split": None, "samples": None, "accuracy": None, "recalls": {}, "data": _list_data(card)}
    if "temporal" in description:
        facts["unit"] = "clips"
    metrics = _read_mapping(folder.parent / METRICS_JSON)
    if not metrics or metrics.get("weights_sha256") != description.get("weights_sha256"):
        metrics = description.get("metrics") or {}
    try:
        # Only what shows performances needs it, and pydantic: containers that serve a model lack it.
        from fer.bundle.metrics_schema import check_metrics

        check_metrics(metrics)
    except (TypeError, ValueError):
        return facts
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
        return read_bounded_text(path, MAX_CARD_BYTES)
    except (OSError, ValueError):
        return ""


def _read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON or YAML file, empty where there is none or it cannot be read."""
    try:
        content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _list_recalls(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Recalls of a split of metrics.json (`per_class`) or of bundle.yaml (`recall`)."""
    if isinstance(per_class := figures.get("per_class"), Mapping):
        return {name: {**values["recall"], "samples": values["samples"]} for name, values in per_class.items()}
    return {name: dict(values) for name, values in (figures.get("recall") or {}).items()}


def _parse_recalls(card: str, split: str) -> dict[str, dict[str, Any]]:
    """Recalls of the model card's table of a split, which has three decimals and no intervals."""
    section = card.partition(f"\n## {SPLITS[split].capitalize()} figures")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| (\d{1,9}) \| \S+ \| (\d\.\d+|–) \| .*$", section, re.MULTILINE)
    return {
        name: {"value": None if recall == "–" else float(recall), "low": None, "high": None, "samples": int(samples)}
        for name, samples, recall in rows
    }


def _list_data(card: str) -> list[str]:
    """Names and kinds of the data sets, and the notes on them, of the model card."""
    text = card.partition("\n## Configuration\n```yaml\n")[2].partition("\n```")[0]
    try:
        config = parse_yaml(text)
        sources = config["dataset"]["sources"]
        names = [name if name == source["kind"] else f"{name} ({source['kind']})" for name, source in sources.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        names = []
    section, end, _ = card.partition("\n## Data\n")[2].partition("\n- fingerprint")
    notes = re.findall(r"^- (.*)$", section, re.MULTILINE) if end else []
    return [*([", ".join(names)] if names else []), *notes]
