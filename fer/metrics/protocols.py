"""Protocols of evaluation: the published rules under which figures may be compared, and published figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BARSOUM = "Barsoum et al. 2016 (arXiv:1608.01041)"
NETWORKS = (
    "credible figures of networks pretrained on ImageNet are about 87.5 %, of networks pretrained on faces 90.7 to "
    "91.9 %"
)


@dataclass(frozen=True)
class Protocol:
    """The rules of an evaluation.

    Attributes:
        title: The rules, in words.
        kind: Kind of the one source.
        classes: Number of classes.
        eval_label_rule: The rule for validation and test images; None where a source has single labels.
        test_images: Number of images of the published test part under these rules.
        comparisons: What the figures may be compared with, a sentence each.
    """

    title: str
    kind: str
    classes: int
    eval_label_rule: str | None
    test_images: int
    comparisons: tuple[str, ...]


PROTOCOLS: Mapping[str, Protocol] = {
    "ferplus7": Protocol(
        "FERPlus, official parts, majority of the votes, 7 classes: images that contempt wins are left out",
        "ferplus",
        7,
        "majority",
        3137,
        (
            "Comparable: accuracies on FERPlus's test part under the majority rule without contempt.",
            "Nearly comparable: those with contempt, which are published more often; it has 16 of 3,153 test images. "
            f"There {BARSOUM} have 84 to 85 % (VGG13), and {NETWORKS}.",
        ),
    ),
    "ferplus8": Protocol(
        "FERPlus, official parts, majority of the votes, 8 classes",
        "ferplus",
        8,
        "majority",
        3153,
        (
            "Comparable: accuracies on FERPlus's test part under the majority rule. "
            f"{BARSOUM} have 84 to 85 % (VGG13); {NETWORKS}.",
        ),
    ),
    "rafdb": Protocol(
        "RAF-DB, basic emotions, official test part, 7 classes",
        "rafdb",
        7,
        None,
        3068,
        (
            "Comparable: accuracies on RAF-DB's test part; credible figures of MobileNets pretrained on ImageNet are "
            "about 88 %, of networks pretrained on faces 91 to 92 %.",
            "Balanced accuracies are 5 to 7 points lower, and often left out. RAF-DB has no validation part, so that "
            "many published figures are of an epoch that was chosen on the test part; here validation is carved out of "
            "training.",
        ),
    ),
}
ALL_RULES = "Not comparable: figures under another label rule, of other parts, or of another number of classes."
NO_TEST = "There is no test part, so that no published figure compares: they are of test images."


def find_misfits(name: str, dataset: Mapping[str, Any]) -> list[str]:
    """Find what a configuration does otherwise than a protocol says.

    Args:
        name: One of PROTOCOLS.
        dataset: The section ``dataset``, as plain values.

    Returns:
        The key and the value that each rule needs, such as ``dataset.classes=8``.
    """
    protocol = PROTOCOLS[name]
    needed = []
    sources = dataset["sources"]
    kinds = [source["kind"] for source in sources.values()]
    if kinds != [protocol.kind]:
        needed.append(f"dataset={protocol.kind} as the only source")
    if dataset["split"] != "official":
        needed.append("dataset.split=official")
    if dataset["classes"] != protocol.classes:
        needed.append(f"dataset.classes={protocol.classes}")
    if dataset["limit"] is not None:
        needed.append("dataset.limit=null")
    if kinds == [protocol.kind] and protocol.eval_label_rule is not None:
        ((source, spec),) = sources.items()
        if spec["eval_label_rule"] != protocol.eval_label_rule:
            needed.append(f"dataset.sources.{source}.eval_label_rule={protocol.eval_label_rule}")
        if protocol.classes == 7 and spec["contempt"] != "drop":
            needed.append(f"dataset.sources.{source}.contempt=drop")
    return needed


def describe_protocol(
    name: str, splits: Mapping[str, Mapping[str, Any] | None], on_leak: str, excludes: bool = False
) -> dict[str, Any]:
    """Describe the protocol of an evaluation, as metrics.json holds it.

    Args:
        name: One of PROTOCOLS.
        splits: Metrics of each split, as metrics.json has them; None for one that was not evaluated.
        on_leak: What was done about images that also stand in an earlier part (``dataset.on_leak``).
        excludes: Whether images were left out by a list (``dataset.exclude``).

    Returns:
        ``name``, ``title``, ``images`` (of each class in each split), ``published_test_images`` and ``comparisons``,
        sentences on what the figures may be compared with.
    """
    protocol = PROTOCOLS[name]
    evaluated = {split: metrics for split, metrics in splits.items() if metrics}
    comparisons = [
        *_compare_test_part(protocol, evaluated.get("test"), on_leak, excludes),
        *protocol.comparisons,
        ALL_RULES,
    ]
    return {
        "name": name,
        "title": protocol.title,
        "images": {
            split: {emotion: row["samples"] for emotion, row in metrics["per_class"].items()}
            for split, metrics in evaluated.items()
        },
        "published_test_images": protocol.test_images,
        "comparisons": comparisons,
    }


def _compare_test_part(
    protocol: Protocol, test: Mapping[str, Any] | None, on_leak: str, excludes: bool
) -> Sequence[str]:
    """Say whether the test part is the published one."""
    if test is None:
        return [NO_TEST]
    if test["samples"] == protocol.test_images:
        return []
    left_out = (
        "; images that also stand in an earlier part were left out (dataset.on_leak=ignore evaluates them too)"
        if on_leak == "drop"
        else ""
    )
    if excludes:
        left_out += "; dataset.exclude may have left out others, and a test without what a model gets wrong is easier"
    return [
        f"The test part has {test['samples']:,d} images, the published one {protocol.test_images:,d}{left_out}: small "
        "differences to published figures mean nothing."
    ]
