"""User-facing messages for configuration errors of Hydra, OmegaConf and Pydantic."""

import os
import re
import shlex
from collections.abc import Sequence
from typing import Any, get_args

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import GrammarParseError, InterpolationResolutionError, OmegaConfBaseException
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fer.config import Config, Dataset
from fer.config.diff import format_override_value
from fer.config.key_docs import find_nearest, find_sections, get_kind, iter_keys
from fer.config.quoting import is_text_key, quote_literally
from fer.core.installation import format_command, get_program_name
from fer.errors import ConfigError, shorten_error

SECTIONS = tuple(Config.model_fields)
GROUPS = ("dataset", "model", "optimizer", "trainer", "tracker", "extraction", "aws", "experiment")
LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
STUDY_KEYS = (
    f"`{format_command('fer.config')} docs study` lists every key of a study's file, "
    "and so does docs/reference/study-file.md"
)
LIST_KEYS = (
    f"`{format_command('fer.config')} docs` lists every key, "
    f"`{format_command('train.py')} --help` the groups and options"
)


def list_known_keys(config: Any = None) -> list[str]:
    """List all dotted keys, with the names and the kinds that sources have in ``config``."""
    keys = [key.name for key in iter_keys(Config) if "<name>" not in key.name]
    dataset = config.get("dataset") if isinstance(config, dict) else None
    names = dataset.get("sources") if isinstance(dataset, dict) else None
    if not isinstance(names, dict):
        names = {}
    concrete = [
        key.name
        for name, source in names.items()
        for section in find_sections(get_args(Dataset.model_fields["sources"].annotation)[1])
        if not isinstance(source, dict) or source.get("kind", get_kind(section)) == get_kind(section)
        for key in iter_keys(section, f"dataset.sources.{name}.")
    ]
    return list(dict.fromkeys([*concrete, *keys, *SECTIONS]))


def _suggest_name(name: str, known: list[str], cutoff: float = 0.75) -> str:
    near = find_nearest(name, known, cutoff)
    return f"; did you mean {near}?" if near and near != name else ""


def _format_location(error: ErrorDetails) -> str:
    """Format the dotted key of a Pydantic error, without the tag that Pydantic adds inside a union on `kind`."""
    names = [str(name) for name in error["loc"]]
    for union, tag in ((["dataset", "sources"], 3), (["extraction", "detector"], 2), (["aws"], 1)):
        if names[: len(union)] == union and len(names) > tag:
            del names[tag]
    return ".".join(names)


def _format_error(error: ErrorDetails, config: Any) -> str:
    """Format a Pydantic error as `key=value: what is wrong and what is allowed`."""
    key, value = _format_location(error), error["input"]
    shown = key if isinstance(value, dict) else f"{key}={format_override_value(value)}"
    match error["type"]:
        case "extra_forbidden" if key in list_known_keys():
            return f"{shown}: the chosen {key.split('.')[-2]} has no such key; another kind of it has"
        case "extra_forbidden":
            return f"{shown}: there is no such key{_suggest_name(key, list_known_keys(config))}"
        case _:
            return format_value_error(error, key)


def format_value_error(error: ErrorDetails, key: str) -> str:
    """Format a Pydantic error of a value as `key=value: what is wrong and what is allowed`.

    Args:
        error: The error, of any type but that of an unknown key.
        key: What the user calls the place where the value stands.
    """
    value, context = error["input"], error.get("ctx", {})
    shown = key if isinstance(value, dict) else f"{key}={format_override_value(value)}"
    match error["type"]:
        case "missing":
            return f"{key}: a value is needed"
        case "literal_error":
            return f"{shown}: allowed are {context['expected'].replace(chr(39), '')}"
        case "union_tag_invalid":
            kinds = context["expected_tags"].replace("'", "")
            near = _suggest_name(context["tag"], kinds.split(", "), cutoff=0.5)
            return f"{key}.kind={context['tag']}: allowed are {kinds}{near}"
        case "union_tag_not_found":
            return f"{key}.kind: a value is needed; it names the kind of source"
        case "value_error":
            return f"{shown if error['loc'] else 'the configuration'}: {context['error']}"
        case "string_pattern_mismatch":
            return f"{shown}: must match {context['pattern']}"
        case "int_parsing" | "int_type" | "int_from_float":
            return f"{shown}: must be a whole number"
        case "float_parsing" | "float_type" | "finite_number":
            return f"{shown}: must be a number"
        case "bool_parsing" | "bool_type":
            return f"{shown}: must be true or false"
        case "dict_type":
            return f"{shown}: must be a map, such as {{}}"
        case "string_type":
            return f"{shown}: must be a text; a file of YAML has it in quotes"
        case "tuple_type":
            return f"{shown}: must be a list, such as [{format_override_value(value)}]"
        case kind if kind in LIMITS:
            word, limit = LIMITS[kind]
            return f"{shown}: must be {word} {context[limit]}"
        case _:
            return f"{shown}: {error['msg'][0].lower()}{error['msg'][1:]}"


def convert_validation_error(error: ValidationError, config: Any) -> ConfigError:
    """Convert Pydantic's errors, a line each, less those that only follow from one further inside.

    Args:
        error: Pydantic's error.
        config: The values that were checked.
    """
    details = error.errors()
    locations = [detail["loc"] for detail in details]
    inner = [
        d for d in details if not any(len(p) > len(d["loc"]) and p[: len(d["loc"])] == d["loc"] for p in locations)
    ]
    return ConfigError("\n".join(dict.fromkeys(_format_error(detail, config) for detail in inner)))


def convert_composition_error(error: HydraException | OmegaConfBaseException) -> ConfigError:
    """Convert an error of Hydra or OmegaConf into one sentence."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        options = sorted(error.options)
        near = _suggest_name(option, options, cutoff=0.5)
        return ConfigError(f"{group}={option}: there is no such option{near}; allowed are {', '.join(options)}")
    if isinstance(error, ConfigCompositionException | MissingConfigException):
        if match := re.search(r"Could not (?:override|append to|delete)[^']*'([^'@]+)", text):
            return _build_unknown_override_error(match.group(1), text)
        if error.__cause__ is not None and isinstance(error.__cause__, OmegaConfBaseException):
            return convert_composition_error(error.__cause__)
    if isinstance(error, OverrideParseException):
        return _build_unreadable_override_error(error.override)
    if match := re.match(r"Ambiguous value for argument '(.*?)'\n1\. ", text, re.DOTALL):
        return _build_several_values_error(match.group(1))
    if match := re.match(r"Sweep parameters '(.*)' requires --multirun", text, re.DOTALL):
        return _build_several_values_error(match.group(1))
    key = getattr(error, "full_key", None)
    if isinstance(error, GrammarParseError):
        reason = "${ begins what cannot be read; another key is ${KEY}, the environment's ${oc.env:NAME}, the text \\${"
    else:
        reason = shorten_error(error) + _suggest_variable(error)
    return ConfigError(f"{key}: {reason}" if key else reason)


def _suggest_variable(error: Exception) -> str:
    """How an environment variable is written that was taken for a key."""
    match = re.match(r"Interpolation key '(\w+)' not found", str(error))
    if not isinstance(error, InterpolationResolutionError) or match is None or match.group(1) not in os.environ:
        return ""
    return f"; the environment variable is ${match.group(1)} in a path, elsewhere ${{oc.env:{match.group(1)}}}"


def _build_unreadable_override_error(override: str) -> ConfigError:
    """Say how an override is written that Hydra's grammar does not take."""
    sign, key, value = re.fullmatch(r"([+~]*)([^=]*)(?:=(.*))?", override, re.DOTALL).groups()  # type: ignore[union-attr]
    if value is None:
        return ConfigError(f"{override}: is not of the form key=value")
    if key.split("@")[0].split("/")[0] not in ("hydra", *GROUPS) and not _is_known(key):
        return _build_unknown_override_error(key, "")
    quoted = shlex.quote(f"{sign}{key}={quote_literally(value)}")
    return ConfigError(
        f"{override}: the value is no number, word, list [a,b] or map {{a: b}}; a text with such characters stands in "
        f"quotes: {quoted}"
    )


def _is_known(key: str) -> bool:
    """Whether there is such a key, in a source of any name as well."""
    pattern = re.sub(r"^dataset\.sources\.[^.]+\.", "dataset.sources.<name>.", key)
    names = [known.name for known in iter_keys(Config)]
    return (
        key in SECTIONS or key.startswith("hydra.") or any(n == pattern or n.startswith(f"{pattern}.") for n in names)
    )


def _build_several_values_error(override: str) -> ConfigError:
    """Say what commas mean, and how the other things are written that may be meant."""
    key, _, value = override.partition("=")
    # infer.py sweeps too, register.py does not, and whatever else composes speaks of trainings.
    started = get_program_name().removesuffix(".py").rpartition(" ")[2]
    program = format_command("infer.py" if started == "infer" else "train.py")
    ways = [] if started == "register" else [f"a run with each of them: {program} -m {shlex.quote(override)}"]
    name = key.lstrip("+")
    if name in ("dataset", "tracker") or any(k.name == name and "list of" in k.allowed for k in iter_keys(Config)):
        ways.insert(0, f"all of them in one run: {shlex.quote(f'{key}=[{value}]')}")
    if is_text_key(name):
        ways.append(f"one text with a comma: {shlex.quote(f'{key}={quote_literally(value)}')}")
    return ConfigError(f"{override}: several values; {'; '.join(ways)}")


def _build_unknown_override_error(key: str, text: str) -> ConfigError:
    """Explain an override of something that does not exist, or that a saved run holds as values."""
    if key in GROUPS and "defaults list" in text:
        return ConfigError(
            f"{key}: this configuration holds values, not a choice of {key} option, so `{key}=…` cannot replace it; "
            f"override single keys ({key}.KEY=VALUE), or merge an option over the saved values with `+{key}=OPTION`"
        )
    if match := re.fullmatch(r"dataset\.sources\.([^.]+)(\..+)?", key):
        return ConfigError(
            f"{key}: the configuration has no source {match.group(1)!r} or the source has no such key"
            f"{_suggest_name(key, list_known_keys({'dataset': {'sources': {match.group(1): {}}}}))}; choose it "
            f"(dataset={match.group(1)}) or add one (+dataset.sources.{match.group(1)}='{{kind: folder, root: …}}')"
        )
    if key in list_known_keys():
        group = key.partition(".")[0]
        return ConfigError(f"{key}: the chosen {group} has no such key; another one has: choose it with {group}=OPTION")
    return ConfigError(f"{key}: there is no such key{_suggest_name(key, list_known_keys())}")


def convert_group_error(error: ValueError, overrides: Sequence[str]) -> ConfigError:
    """Convert Hydra's ValueError after `trainer=null` or `model=50`; any other error is raised as it is."""
    if not str(error).startswith("Config group override must be"):
        raise error
    value_pattern = re.compile(r"([^.=-]*)=(null|true|false|[\d.+-]*)", re.IGNORECASE)
    matches = [(text, value_pattern.fullmatch(text)) for text in overrides]
    values = set(SECTIONS) - set(GROUPS)
    wrong = [text for text, match in matches if match and match.group(1).lstrip("+") not in values]
    return ConfigError(f"{' '.join(wrong)}: a group is set to the name of an option, not to null or a number")
