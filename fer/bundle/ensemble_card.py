"""The model card of an ensemble, by what its members' cards say of their data."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer.bundle.metadata import MODEL_CARD_FILE, BundleDescription
from fer.bundle.model_card import (
    LICENCE_TERMS,
    USE_SECTIONS,
    escape_markdown,
    format_value,
    render_confidence_rule,
    render_metrics_table,
)
from fer.bundle.performance import MAX_CARD_BYTES
from fer.core.documents import read_bounded_text

_FINGERPRINT = "- fingerprint"


def list_licence_terms(members: Sequence[BundleDescription]) -> list[str]:
    """List the licence terms of the training data that the members' cards name."""
    cards = [_read_card(member) for member in members]
    return [terms for terms in dict.fromkeys(LICENCE_TERMS.values()) if any(terms in card for card in cards)]


def render_ensemble_card(name: str, ensemble: BundleDescription, metrics: Mapping[str, Any]) -> str:
    """Return the model card of an ensemble as Markdown.

    Args:
        name: Title of the card.
        ensemble: The ensemble.
        metrics: Content of metrics.json; its splits may be missing.
    """
    members = [member.description for member in ensemble.members]
    lines = [
        f"# {escape_markdown(name)}",
        "",
        f"An {escape_markdown(ensemble.architecture)}: it answers with the weighted mean of their calibrated "
        f"probabilities. Classes: {', '.join(map(escape_markdown, ensemble.classes))}. Any picture is brought to "
        f"{ensemble.faces.side} pixels, {'colour' if ensemble.faces.colour else 'gray'}, before each network brings it "
        "to its own form.",
        "",
        "| network | architecture | pixels | weight | accuracy on its validation | SHA-256 of its weights |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| members/{number} | {escape_markdown(member.description.architecture)} | "
            f"{member.description.image_size} | {member.weight:.4f} | {_find_accuracy(member.description)} | "
            f"{member.description.weights_sha256} |"
            for number, member in enumerate(ensemble.members)
        ),
        "",
        "Each member's own card stands beside its weights.",
        "",
        "## Data",
        *_merge_data_lines(members),
        "",
    ]
    for split, title in (("test", "Test figures"), ("val", "Validation figures")):
        if metrics.get(split):
            lines += [f"## {title}", *render_metrics_table(metrics[split]), ""]
    return "\n".join([*lines, *_render_calibration(ensemble), USE_SECTIONS])


def _render_calibration(ensemble: BundleDescription) -> list[str]:
    fitted = (
        f"The mean is calibrated by one temperature ({ensemble.temperature:.3f}) on the validation images of its "
        "networks' trainings, which changes no answer."
        if ensemble.set_thresholds is not None
        else "The mean is not calibrated: its networks' trainings have no validation images in common."
    )
    rule = ensemble.content.get("uncertainty")
    return [
        "## Calibration",
        f"Each network's probabilities are calibrated. {fitted}",
        "",
        *render_confidence_rule(rule),
    ]


def _read_card(member: BundleDescription) -> str:
    try:
        return read_bounded_text(member.folder / MODEL_CARD_FILE, MAX_CARD_BYTES)
    except (OSError, ValueError):
        return ""


def _find_accuracy(member: BundleDescription) -> str:
    """Accuracy of a member on its validation, as its bundle repeats it."""
    figures = (member.content.get("metrics") or {}).get("val") or {}
    value = (figures.get("accuracy") or {}).get("value")
    return format_value(value if isinstance(value, float | int) else None)


def _merge_data_lines(members: Sequence[BundleDescription]) -> list[str]:
    """What the members' cards say of their data, each line once: notes, fingerprints, then terms."""
    parts: list[list[str]] = [[], [], []]
    for member in members:
        section = _read_card(member).partition("\n## Data\n")[2].partition("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("- ")]
        places = [number for number, line in enumerate(lines) if line.startswith(_FINGERPRINT)]
        first = places[0] if places else len(lines)
        for number, line in enumerate(lines):
            parts[0 if number < first else 1 if line.startswith(_FINGERPRINT) else 2].append(line)
    return list(dict.fromkeys(line for part in parts for line in part))
