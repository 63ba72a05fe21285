"""The model card: what a bundle is, how well it performs, and what it must not be used for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fer.core.documents import parse_yaml
from fer.core.places import hide_places

INTENDED_USE = """\
Research on facial expression, and the analysis of consenting participants' recordings in consumer research. The
probabilities describe which emotion annotators would see in a face, not what a person feels.
"""
FORBIDDEN_USES = """\
- To infer emotions at work or in education: prohibited in the EU (Regulation 2024/1689, article 5).
- Without telling the people concerned (article 50), or for decisions about single persons.
- On faces unlike those of the training data without measuring the error there first.
"""
# Entities, because a name may end in a backslash.
_MARKDOWN = str.maketrans({"<": "&lt;", "|": "&#124;"})
USE_SECTIONS = f"## Intended use\n{INTENDED_USE}\n## Not to be used\n{FORBIDDEN_USES}"
FER2013_TERMS = (
    "FER2013's pictures come from the web and were released for research (the terms of its Kaggle challenge)."
)
# By kind of source, as dataset.sources has it.
LICENCE_TERMS = {
    "ferplus": f"FERPlus's votes are under the MIT licence (Microsoft); {FER2013_TERMS}",
    "fer2013": FER2013_TERMS,
    "rafdb": "RAF-DB is for non-commercial research only, by agreement with its authors.",
    "folder": "A folder of one's own: the terms of its pictures are those of whoever owns them.",
    "synthetic": "Faces drawn by this project: nobody's picture, MIT licence.",
}


def render_model_card(
    name: str,
    description: Mapping[str, Any],
    metrics: Mapping[str, Any],
    data_notes: Sequence[str],
    config_yaml: str,
) -> str:
    """Return the model card as Markdown.

    Args:
        name: Title of the card.
        description: Content of bundle.yaml.
        metrics: Content of metrics.json.
        data_notes: A sentence for each fact about the training data.
        config_yaml: The run's whole configuration, as text; the card shows no absolute path of it.
    """
    faces = description["faces"]
    colour = "colour" if faces["colour"] else "gray"
    classes = map(escape_markdown, description["classes"])
    sources = parse_yaml(config_yaml).get("dataset", {}).get("sources", {})
    lines = [
        f"# {escape_markdown(name)}",
        "",
        f"{description['architecture']}, {description['image_size']}×{description['image_size']} pixels, classes: "
        f"{', '.join(classes)}. Training faces were {colour}, {faces['side']} pixels wide; any picture "
        "is brought to that first.",
        *describe_windows(description.get("temporal")),
        *_describe_head(description.get("head")),
        "",
        "## Data",
        *[f"- {escape_markdown(hide_places(note))}" for note in data_notes],
        f"- fingerprint {description['data_fingerprint']}",
        *[f"- {terms}" for terms in collect_licence_terms(sources)],
        "- The licences of the training data apply to the weights too; see the data sets' own terms.",
        "",
    ]
    chosen = "the calibration was fitted" if description.get("head") else "the epoch was chosen"
    for split, title in (("test", "Test figures"), ("val", f"Validation figures ({chosen} on them)")):
        if metrics.get(split):
            unit = "clips" if description.get("temporal") else "images"
            lines += [f"## {title}", *render_metrics_table(metrics[split], unit), ""]
    lines += render_calibration(metrics)
    # No line of the configuration may end the block.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", config_yaml)), default=0))
    lines += [USE_SECTIONS, "## Configuration", f"{fence}yaml", hide_places(config_yaml.strip()), fence, ""]
    return "\n".join(lines)


def describe_windows(temporal: Mapping[str, Any] | None) -> list[str]:
    """Return what windows a model of clips looks at, as lines of Markdown; none of a model of single faces."""
    if not temporal:
        return []
    length, step_s = temporal["length"], temporal["step_s"]
    joined = "by convolutions through space and time"
    if temporal["kind"] == "temporal":
        joined = f"by the head `{temporal['head']}`"
    moment = "its last frame" if temporal["position"] == "causal" else "the frame in its middle"
    return [
        "",
        f"It looks at clips: at windows of {length} frames, {step_s:g} s apart ({(length - 1) * step_s:g} s), joined "
        f"{joined}. An answer is for {moment}; figures are of the middle window of each clip. Frames of other "
        "rates are taken by their times, and a single picture is a clip of one frame.",
    ]


def _describe_head(head: Mapping[str, Any] | None) -> list[str]:
    """What was fitted on the features of a frozen encoder, as lines of Markdown; none of a network that was trained."""
    if not head:
        return []
    kind = {"svm": "linear SVM", "mlp": "network of one hidden layer"}.get(head["kind"], head["kind"].replace("_", " "))
    return [
        "",
        f"The encoder was not trained on these data: a classifier ({kind}) was fitted by scikit-learn on the "
        f"{head['features']} features that it gives of a face.",
    ]


def escape_markdown(text: str) -> str:
    """Return a text that stays one within a line or a cell of Markdown: no HTML, link, picture or cell begins in it."""
    return " ".join(text.splitlines()).translate(_MARKDOWN).replace("](", "]&#40;")


def render_calibration(metrics: Mapping[str, Any]) -> list[str]:
    """Return what a training's metrics.json says of calibration and uncertainty, as lines of Markdown."""
    calibration, rule = metrics.get("calibration"), metrics.get("uncertainty")
    if not calibration:
        return []
    vector = calibration["method"] == "vector"
    method = "a scale and a bias for each class" if vector else f"one temperature ({metrics['temperature']:.3f})"
    lines = ["## Calibration", f"Probabilities are calibrated on validation by {method}: {calibration['reason']}.", ""]
    if calibration["candidates"]:
        titles = {"none": "none", "temperature": "temperature", "vector": "scale and bias of each class"}
        lines += [
            f"On images that they were not fitted on ({calibration['folds']}-fold cross-validation):",
            "",
            "| calibration | log-loss | expected calibration error |",
            "| --- | --- | --- |",
            *(
                f"| {titles[name]} | {figures['log_loss']:.4f} | {figures['ece']:.4f} |"
                for name, figures in calibration["candidates"].items()
            ),
            "",
        ]
    return [*lines, *render_confidence_rule(rule)]


def render_confidence_rule(rule: Mapping[str, Any] | None) -> list[str]:
    """Return what the entry `uncertainty` of metrics.json or of bundle.yaml says, as lines of Markdown."""
    if not rule:
        return []
    if rule["threshold"] is None:
        return [
            f"No confidence reaches a precision of {rule['precision_target']:g} on validation: every answer is "
            "`uncertain`.",
            "",
        ]
    return [
        f"An answer of a confidence below {rule['threshold']:.3f} is `uncertain`. On validation "
        f"{rule['coverage']:.1%} of the answers reach it, and {rule['precision']:.1%} of these are right (wanted: "
        f"{rule['precision_target']:.1%}). On other faces it can be less.",
        "",
    ]


def collect_licence_terms(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the licence terms of a data set's sources, a sentence for each kind of source."""
    kinds = dict.fromkeys(str(source.get("kind")) for source in sources.values())
    return [LICENCE_TERMS[kind] for kind in kinds if kind in LICENCE_TERMS]


def insert_verdict(card: str, status: str, reasons: Sequence[str]) -> str:
    """Return the card with the gate's verdict before the intended use, in place of an earlier one."""
    verdict = "\n".join([f"## Verdict: {status}", *[f"- {escape_markdown(reason)}" for reason in reasons]])
    head, rules, rest = card.partition("\n## Intended use")
    # One that is judged anew has a verdict already.
    before, found, _ = head.rpartition("\n## Verdict: ")
    head = before if found else head
    return f"{head}\n{verdict}\n{rules}{rest}"


def render_metrics_table(metrics: Mapping[str, Any], unit: str = "images") -> list[str]:
    """Return the metrics of one split with their 95 % intervals, as lines of Markdown tables."""
    titles = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy", "macro_f1": "Macro-F1"}
    rows = [f"{metrics['samples']} {unit}.", "", "| figure | value | 95 % interval |", "| --- | --- | --- |"]
    rows += [f"| {title} | {format_interval(metrics[key])} |" for key, title in titles.items()]
    rows.append(f"| Expected calibration error | {metrics['ece_calibrated']:.3f} | |")
    rows += [
        "",
        f"| class | {unit} | precision | recall | F1 | 95 % interval of F1 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, class_metrics in metrics["per_class"].items():
        values = " | ".join(format_value(class_metrics[key]["value"]) for key in ("precision", "recall"))
        cells = f"{class_metrics['samples']} | {values} | {format_interval(class_metrics['f1'])}"
        rows.append(f"| {escape_markdown(name)} | {cells} |")
    return rows


def format_value(value: float | None) -> str:
    """Return a metric with three decimals, a dash for None."""
    return "–" if value is None else f"{value:.3f}"


def format_interval(metric: Mapping[str, float | None]) -> str:
    """Return a metric and its interval as two cells: `0.861 | 0.848 to 0.873`."""
    return f"{format_value(metric['value'])} | {format_value(metric['low'])} to {format_value(metric['high'])}"
