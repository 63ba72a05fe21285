"""Whether figures of runs may be ranked: only those of the same images by the same label rules say who is better."""

from collections.abc import Hashable, Sequence
from typing import Any

from fer.compare.ranking import SPLIT_NAMES, get_recalls
from fer.compare.runs import ComparedRun, parse_number
from fer.config.diff import ABSENT, canonicalize

FINGERPRINT = "data_fingerprint"
# Last words of the keys of `dataset` that decide which images count as what.
LABEL_KEYS = ("label_rule", "eval_label_rule", "contempt", "votes", "class_map")


def find_differences(runs: Sequence[ComparedRun], split: str) -> list[str]:
    """Find in what the data and labels of runs differ, for a sentence "they differ in …".

    Args:
        runs: The runs; those without metrics do not count.
        split: Whose metrics are compared, "val" or "test".

    Returns:
        Nouns such as "data fingerprints"; empty where nothing differs that is known of. The comparison of all runs and
        that of two of them say the same, because both ask here.
    """
    evaluated = [run for run in runs if run.metrics]
    if len(evaluated) < 2:
        return []
    fingerprints = {str(run.facts.get(FINGERPRINT)) for run in evaluated if run.facts.get(FINGERPRINT) is not None}
    sizes = {parse_number(run.metrics.get(split, {}).get("samples")) for run in evaluated} - {None}
    classes = {tuple(sorted(recalls)) for run in evaluated if (recalls := get_recalls(run, split))}
    rules = _find_differing_label_keys([run for run in evaluated if run.settings])
    return [
        *(["data fingerprints"] if len(fingerprints) > 1 else []),
        *([f"label rules ({', '.join(rules)})"] if rules else []),
        *([f"numbers of {SPLIT_NAMES[split]} images"] if len(sizes) > 1 else []),
        *(["classes"] if len(classes) > 1 else []),
    ]


def describe_data(run: ComparedRun, split: str) -> Hashable:
    """Describe all of a run that ``find_differences`` looks at: it finds the same in runs that are described alike."""
    fingerprint = run.facts.get(FINGERPRINT)
    return (
        bool(run.metrics),
        None if fingerprint is None else str(fingerprint),
        parse_number(run.metrics.get(split, {}).get("samples")),
        tuple(sorted(get_recalls(run, split))),
        bool(run.settings),
        tuple((key, _get_token(run, key)) for key in run.settings if _is_label_key(key)),
    )


def count_unknown_data(runs: Sequence[ComparedRun]) -> int:
    """Count the runs with metrics of which it is not known on which data they are."""
    return sum(run.facts.get(FINGERPRINT) is None for run in runs if run.metrics)


def are_comparable(runs: Sequence[ComparedRun], split: str) -> bool:
    """Tell whether all runs with metrics are known to be of the same data and label rules."""
    evaluated = [run for run in runs if run.metrics]
    return len(evaluated) < 2 or not (find_differences(evaluated, split) or count_unknown_data(evaluated))


def _find_differing_label_keys(runs: Sequence[ComparedRun]) -> list[str]:
    keys = dict.fromkeys(key for run in runs for key in run.settings if _is_label_key(key))
    return [key for key in keys if len({_get_token(run, key) for run in runs}) > 1]


def _is_label_key(key: str) -> bool:
    return key.startswith("dataset.") and any(part in LABEL_KEYS for part in key.split("."))


def _get_token(run: ComparedRun, key: str) -> Any:
    return canonicalize(run.settings.get(key, ABSENT))
