"""What the card of the shipped model says beyond that of its run: weak classes, precision, terms, repetition."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from fer.bundle.half_precision import PrecisionDifference
from fer.bundle.model_card import format_value

USE_HEADING = "## Intended use"
# Below this recall a class is named as weak; the two worst are, whatever theirs is.
WEAK_RECALL = 0.6
IMAGENET = (
    "ImageNet weights of MobileNetV2 under the names of timm's mobilenetv2_100 (timm's repository has the "
    "Apache-2.0 licence). They are not the file that timm distributes: they were recovered from the int8 file of "
    "the ONNX model zoo (Apache-2.0), in half precision, and batch norm's statistics were estimated anew; they are "
    "close to the original weights, not equal to them. ImageNet's own images are for non-commercial research"
)
# Starting weights whose origin is known, by their SHA-256.
WEIGHTS_ORIGINS = {
    "267196842885d92bb44969a17467e1373d109310108bbe33263248d89f2a100a": IMAGENET,
    "55f8207116036f4f5b800a15e5ca9d2ade872a526cd79faa8d9f6adbde94fdaf": (
        f"a run of this program (`experiment=ferplus trainer.precision=auto`), which began from {IMAGENET}"
    ),
}
FER2013_TERMS = (
    "- The faces that it was trained on are FER2013's: collected from the web and released for research (the terms of "
    "its Kaggle challenge). Use the weights for research; no licence of this project settles any other use."
)
TERMS = {
    "ferplus": (FER2013_TERMS, "- The votes are FERPlus's, under the MIT licence (Microsoft)."),
    "fer2013": (FER2013_TERMS,),
    "rafdb": ("- RAF-DB is for non-commercial research only, by agreement with its authors; so are these weights.",),
    "synthetic": ("- The faces that it was trained on are drawn: it stands in for a model of real faces.",),
}


def extend_card(
    card: str,
    *,
    config_yaml: str,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
    difference: PrecisionDifference,
    drawn: bool,
) -> str:
    """Return the card of a run as that of the shipped model.

    Args:
        card: The run's model card.
        config_yaml: Its configuration without paths, which replaces that in the card.
        metrics: Content of the shipped metrics.json.
        provenance: The facts of provenance.json.
        difference: What half precision changes.
        drawn: Whether that was measured on drawn faces.
    """
    config = yaml.safe_load(config_yaml)
    sections = [
        *render_weak_classes(metrics),
        *render_precision(difference, drawn),
        *render_terms(config, provenance),
        *render_repetition(config, provenance, metrics["half_precision"]["full_weights_sha256"]),
    ]
    head, heading, rest = card.partition(USE_HEADING)
    rest = re.sub(r"(?<=## Configuration\n```yaml\n).*?(?=\n```)", lambda _: config_yaml.strip(), rest, flags=re.DOTALL)
    return "\n".join([*head.splitlines(), *sections, heading]) + rest


def render_weak_classes(metrics: Mapping[str, Any]) -> list[str]:
    """Render the recall of each class with its interval, the worst first, and name the weak ones."""
    split = "test" if metrics.get("test") else "val"
    title = {"test": "test", "val": "validation"}[split]
    recalls = {
        name: values["recall"] | {"samples": values["samples"]}
        for name, values in metrics[split]["per_class"].items()
        if values["samples"]
    }
    ranked = sorted(recalls, key=lambda name: recalls[name]["value"])
    weak = [name for position, name in enumerate(ranked) if position < 2 or recalls[name]["value"] < WEAK_RECALL]
    rows = [
        f"| {name} | {recalls[name]['samples']} | {format_value(recalls[name]['value'])} | "
        f"{format_value(recalls[name]['low'])} to {format_value(recalls[name]['high'])} |"
        for name in ranked
    ]
    return [
        "## Weak classes",
        f"It misses most in **{', '.join(weak)}**; rest no conclusion on these alone. Recall on the {title} part:",
        "",
        "| class | images | recall | 95 % interval |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        "Pictures of another kind than the training data (other cameras, people, poses, posed faces) are classified "
        "less well, the weak classes first. Measure it on your own, in one folder a class: `python train.py "
        "'trainer.stages=[test]' model_uri=pretrained dataset=folder dataset.sources.folder.root=DIR "
        "dataset.split=official`.",
        "",
    ]


def render_precision(difference: PrecisionDifference, drawn: bool) -> list[str]:
    """Render what half precision changes."""
    lines = [
        "## Half precision",
        "Kernels and matrices are kept in float16, batch norm and biases in float32; the network computes in float32. "
        f"The figures above are those of the weights as they were trained. On {difference.images} "
        f"{'drawn faces' if drawn else 'validation images'} the largest difference of a probability is "
        f"{difference.max_probability_difference:.2g}, and {difference.changed_answers} answers change.",
    ]
    if difference.accuracy_full is not None and difference.accuracy_half is not None:
        lines.append(
            f"Accuracy there: {difference.accuracy_full:.4f} in full precision, {difference.accuracy_half:.4f} in half."
        )
    return [*lines, ""]


def render_terms(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[str]:
    """Render what is known of the weights' terms and origin."""
    kinds = dict.fromkeys(source.get("kind") for source in config["dataset"]["sources"].values())
    digest, teachers = provenance.get("starting_weights_sha256"), provenance.get("teachers", [])
    if digest is None:
        origin = "random weights"
    else:
        origin = f"weights with the SHA-256 {digest}"
        if known := WEIGHTS_ORIGINS.get(digest):
            origin += f": {known}"
    return [
        "## Terms of these weights",
        "The MIT licence of the program's code does not cover this file of weights.",
        "",
        *[line for kind in kinds for line in TERMS.get(str(kind), ())],
        f"- Training began from {origin}.",
        *(
            [f"- It learnt from teachers too, models of this program (SHA-256 {', '.join(teachers)})."]
            if teachers
            else []
        ),
        "- No picture of the training data is part of the bundle: samples.npz holds drawn faces, baseline.json "
        "histograms and moments.",
        "",
    ]


def render_repetition(config: Mapping[str, Any], provenance: Mapping[str, Any], full_weights_sha256: str) -> list[str]:
    """Render the commands that train and measure it again."""
    sources = config["dataset"]["sources"]
    roots = [f"dataset.sources.{name}.root={name}.zip" for name, source in sources.items() if "root" in source]
    weights = ["model.weights=FILE"] if config["model"]["weights"] == "???" else []
    resumed = config["trainer"].get("resume_from") == "???"
    weights += ["trainer.resume_from=RUN"] if resumed else []
    weights += ["'model.teacher=[RUN]'"] if config["model"].get("teacher") == "???" else []
    kinds = [f"dataset={source['kind']}" for source in sources.values()]
    train = " ".join(["python train.py --config-dir fer/pretrained --config-name run", *roots, *weights])
    test = " ".join(["python train.py 'trainer.stages=[test]' model_uri=pretrained", *kinds, *roots])
    commit = provenance.get("git_commit")
    return [
        "## Repeat it",
        "`run.yaml`, `metrics.json` and `provenance.json` lie beside the bundle"
        + (f"; commit {commit}." if commit else "."),
        "```sh",
        f"{train}  # trains it again",
        f"{test}  # the figures of this file",
        "```",
        "This run went on from the last epoch of another one (`trainer.resume_from`), whose checkpoint is not shipped; "
        "the recipes in the documentation say how it was trained. So the recipe can be repeated, but not the bits."
        if resumed
        else "With the same packages, kind of processor and number of threads the first gives the same weights to the "
        f"bit, before they are rounded: SHA-256 {full_weights_sha256}.",
        "",
    ]
