"""The keys in which runs' configurations differ, and which of them may change what is learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer.compare.runs import ComparedRun
from fer.config.diff import ABSENT, canonicalize, find_differing_keys, format_override_value

SEED = "seed"
# Keys that change where and how a run is kept, sent or used afterwards, not what it learns.
WITHOUT_EFFECT = (
    *("name", "dry_run", "resume", "dataset.cache_dir"),
    *("trainer.resume_from", "trainer.profile", "trainer.explain"),
)
SECTIONS_WITHOUT_EFFECT = ("evaluation", "tracker", "extraction", "inference", "registry", "aws", "sweep")
# What of those sections changes predictions all the same.
WITH_EFFECT = ("evaluation.calibration",)
# A last word that says nothing alone, as in model.name and dataset.sources.<name>.kind.
AMBIGUOUS_SUFFIXES = ("name", "kind", "root", "count", "size", "fps")
MAX_COLUMNS = 8
# Longer numbers are shown with four digits.
MAX_DIGITS = 7


@dataclass(frozen=True)
class Hyperparameter:
    """A key that differs.

    Attributes:
        key: The dotted key.
        short: Its last words, which tell it from the others.
        tied_keys: Keys that always changed together with it, so that their effects cannot be told apart.
    """

    key: str
    short: str
    tied_keys: tuple[str, ...]


def find_varying_keys(runs: Sequence[ComparedRun]) -> list[str]:
    """Find every key in which runs with a readable configuration differ."""
    return find_differing_keys([run.settings for run in runs if run.settings])


def has_effect(key: str) -> bool:
    """Tell whether a key may change what a run learns."""
    return key in WITH_EFFECT or (key not in WITHOUT_EFFECT and key.partition(".")[0] not in SECTIONS_WITHOUT_EFFECT)


def get_value(run: ComparedRun, key: str) -> Any:
    """Return a run's value of a dotted key, ``ABSENT`` where it has no such key."""
    return run.settings.get(key, ABSENT)


def format_value(value: Any) -> str:
    """Format a value for a table: as an override writes it, a dash where the run has no such key.

    Numbers that a sweep has drawn have sixteen digits, which only comparison.csv has room for.
    """
    if isinstance(value, float) and len(str(value)) > MAX_DIGITS:
        return f"{value:.4g}"
    return "\N{EN DASH}" if value is ABSENT else format_override_value(value)


def find_hyperparameters(runs: Sequence[ComparedRun]) -> list[Hyperparameter]:
    """Find the differing keys that have an effect, tied ones as one; the seed stays alone."""
    known = [run for run in runs if run.settings]
    keys = [key for key in find_varying_keys(known) if has_effect(key)]
    tied: dict[tuple[int, ...], list[str]] = {}
    for key in keys:
        tied.setdefault((-1,) if key == SEED else _compute_value_pattern(known, key), []).append(key)
    short = shorten_keys(keys)
    return [Hyperparameter(first, short[first], tuple(others)) for first, *others in tied.values()]


def _compute_value_pattern(runs: Sequence[ComparedRun], key: str) -> tuple[int, ...]:
    """Number the values of a key over the runs: the same pattern for two keys that changed together."""
    tokens = [canonicalize(get_value(run, key)) for run in runs]
    order = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return tuple(order[token] for token in tokens)


def select_columns(runs: Sequence[ComparedRun]) -> list[Hyperparameter]:
    """Select the columns of a table of runs.

    Each key if there are few, else keys that changed together as one, the first of these if there still are many.
    """
    selected = find_hyperparameters(runs)
    single = [key for parameter in selected for key in (parameter.key, *parameter.tied_keys)]
    if len(single) <= MAX_COLUMNS:
        short = shorten_keys(single)
        selected = [Hyperparameter(key, short[key], ()) for key in single]
    return selected[:MAX_COLUMNS]


def shorten_keys(keys: Sequence[str]) -> dict[str, str]:
    """Shorten dotted keys to the shortest ends that tell them apart."""
    shortened = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(2 if parts[-1] in AMBIGUOUS_SUFFIXES else 1, len(parts))]
        others = [other for other in keys if other != key]
        shortened[key] = next(
            (end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others)), key
        )
    return shortened
