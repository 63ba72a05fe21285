"""What the runs' configurations differ in, and which of it may change what is learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer.compare.runs import ComparedRun
from fer.config.diff import ABSENT, as_typed, differing_keys, token

SEED = "seed"
# Keys that change where and how a run is kept, sent or used afterwards, not what it learns.
WITHOUT_EFFECT = ("name", "dry_run", "resume", "dataset.cache_dir", "trainer.resume_from")
SECTIONS_WITHOUT_EFFECT = ("tracker", "extraction", "inference", "registry", "aws", "sweep")
# A last part that says nothing alone, as in model.name and dataset.sources.<name>.kind.
VAGUE = ("name", "kind", "root", "count", "size", "fps")
MOST_SHOWN = 8


@dataclass(frozen=True)
class Parameter:
    """A key that differs. ``short``: its last parts, which tell it from the others; ``along``: keys that always
    changed together with it, so that their effects cannot be told apart.
    """

    key: str
    short: str
    along: tuple[str, ...]


def all_differing(runs: Sequence[ComparedRun]) -> list[str]:
    """Every key in which runs with a readable configuration differ."""
    return differing_keys([run.settings for run in runs if run.settings])


def has_effect(key: str) -> bool:
    return key not in WITHOUT_EFFECT and key.partition(".")[0] not in SECTIONS_WITHOUT_EFFECT


def value_of(run: ComparedRun, key: str) -> Any:
    return run.settings.get(key, ABSENT)


def text_of(value: Any) -> str:
    """A value in a table: as an override writes it, a dash where the run has no such key."""
    return "\N{EN DASH}" if value is ABSENT else as_typed(value)


def parameters(runs: Sequence[ComparedRun]) -> list[Parameter]:
    """The differing keys that have an effect, those that always changed together as one; the seed stays alone."""
    known = [run for run in runs if run.settings]
    keys = [key for key in all_differing(known) if has_effect(key)]
    together: dict[tuple[int, ...], list[str]] = {}
    for key in keys:
        together.setdefault((-1,) if key == SEED else pattern(known, key), []).append(key)
    short = short_names(keys)
    return [Parameter(first, short[first], tuple(others)) for first, *others in together.values()]


def pattern(runs: Sequence[ComparedRun], key: str) -> tuple[int, ...]:
    """Which runs share a value: the same for two keys that changed together."""
    tokens = [token(value_of(run, key)) for run in runs]
    order = {found: place for place, found in enumerate(dict.fromkeys(tokens))}
    return tuple(order[found] for found in tokens)


def shown_columns(runs: Sequence[ComparedRun]) -> list[Parameter]:
    """The columns of a table of runs: each key if there are few, else keys that changed together as one, the first
    ones of these if there still are many.
    """
    found = parameters(runs)
    single = [key for parameter in found for key in (parameter.key, *parameter.along)]
    if len(single) <= MOST_SHOWN:
        short = short_names(single)
        found = [Parameter(key, short[key], ()) for key in single]
    return found[:MOST_SHOWN]


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The shortest ends of dotted keys that tell them apart."""
    found = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(2 if parts[-1] in VAGUE else 1, len(parts))]
        others = [other for other in keys if other != key]
        found[key] = next((end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others)), key)
    return found
