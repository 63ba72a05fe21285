"""YAML that Hydra composes and that others may have written: what of it could run code or tell secrets is refused.

Run directories are passed from hand to hand, and a run is repeated by Hydra's composing its run.yaml.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fer.config.study import Study
from fer.core.documents import MAX_LIST_BYTES, MAX_YAML_BYTES, parse_yaml, parse_yaml_texts, read_bounded_text
from fer.core.run_layout import RUN_YAML, STUDY_YAML

# Keys by which Hydra or logging's configuration call what a value names, or Hydra reads further YAML.
CALLING_KEYS = ("_target_", "()", "class", "searchpath")
# Of Hydra's own keys the harmless ones: others set the environment or write logs anywhere.
HYDRA_KEYS = ("mode", "run", "sweep", "sweeper", "launcher")
# Groups of Hydra that a user may add to, and keys of a launcher that are commands for the cluster's shell.
HYDRA_GROUPS = ("sweeper", "launcher")
COMMAND_KEYS = ("setup", "additional_parameters", "srun_args", "python")
ENVIRONMENT = "${oc.env"
# References to other keys, and resolvers that give texts. With braces inside, a resolver may make a map of any key.
_KEY, _RESOLVER = r"[^${}:]+", r"(?:now|hydra|run_log|command|program_help|fresh_directory):[^${}]*"
_OF_A_RUN = re.compile(rf"\$\{{(?:{_KEY}|{_RESOLVER})\}}")
_OF_A_USER = re.compile(rf"\$\{{(?:{_KEY}|{_RESOLVER}|oc\.env:[^${{}}]*)\}}")
_INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*(?P<start>\$\{)")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_HYDRA_PACKAGE = re.compile(r"^\s*#\s*@package\s.*hydra", re.MULTILINE)


def iter_yaml_files(folder: Path) -> Iterator[Path]:
    """Yield the YAML files of a directory and all below it, as Hydra finds them: also behind links."""
    seen = set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if os.path.realpath(Path(place, name)) not in seen)
        seen.update(os.path.realpath(Path(place, name)) for name in folders)
        yield from (Path(place, name) for name in sorted(names) if name.endswith((".yaml", ".yml")))


def find_danger(file: Path, folder: Path) -> str | None:
    """Return what a YAML file holds that is refused, and why, "`_target_`, which could run code"; None without danger.

    Args:
        file: The file.
        folder: The ``--config-dir``. That of a run may name neither variables of the environment nor keys of Hydra.

    Raises:
        OSError: It cannot be read.
        DocumentError: It is no YAML, or beyond a bound.
    """
    is_run = (folder / RUN_YAML).is_file()
    if is_run and file == folder / STUDY_YAML and _holds_study(file):
        return None
    text = read_bounded_text(file, MAX_YAML_BYTES)
    content = parse_yaml(text)
    groups = file.relative_to(folder).parts[:-1]
    if code := _find_code(text, content, groups, is_run):
        return f"`{code}`, which could run code"
    if is_run and (variable := _find_variable(content)):
        return f"`{variable}`, which could tell secrets"
    if found := _find_interpolation(content, _OF_A_RUN if is_run else _OF_A_USER):
        return f"`{found}`, which could {'tell secrets' if found.startswith(ENVIRONMENT) else 'run code'}"
    return None


def _holds_study(file: Path) -> bool:
    """Whether a file is a study as a run keeps it: people's names and files, none of Hydra's keys on the top level.

    Below it names are free; a group column may be called `class`. Raises OSError and DocumentError.
    """
    text = read_bounded_text(file, MAX_LIST_BYTES)
    if _HYDRA_PACKAGE.search(text):
        return False
    try:
        Study.model_validate(parse_yaml_texts(text))
    except ValidationError:
        return False
    return True


def _find_code(text: str, content: Any, groups: Sequence[str], is_run: bool) -> str | None:
    """The first key or name by which Hydra calls, sets or runs something; ``groups``: the file's folders."""
    of_hydra = "hydra" in groups
    if of_hydra and (is_run or groups[groups.index("hydra") + 1 :][:1] not in [(name,) for name in HYDRA_GROUPS]):
        return "hydra"
    if _HYDRA_PACKAGE.search(text):
        return "hydra"
    defaults = content.get("defaults") if isinstance(content, dict) else None
    for name in _iter_texts(defaults):
        if ("@" in name and ("hydra" in name or "$" in name)) or ".." in name.split("/"):
            return name
    if called := next((key for key, _ in _iter_items(content) if key in CALLING_KEYS), None):
        return str(called)
    allowed = () if is_run else HYDRA_KEYS
    for key, value in _iter_items(content):
        if key == "hydra" and (not isinstance(value, dict) or not set(value) <= set(allowed)):
            return f"hydra: {', '.join(map(str, value))}" if isinstance(value, dict) else "hydra"
        if (key == "hydra" or of_hydra) and (command := _find_command({key: value})):
            return command
    return None


def _iter_items(node: Any) -> Iterator[tuple[Any, Any]]:
    """Keys and values of all maps of a document."""
    if isinstance(node, dict):
        yield from node.items()
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from _iter_items(value)


def _find_command(node: Any) -> str | None:
    """The first key of a launcher that is a command for a shell."""
    return next((str(key) for key, _ in _iter_items(node) if key in COMMAND_KEYS), None)


def _find_variable(content: Any) -> str | None:
    """The first variable of this machine's environment: a run holds what paths of it were expanded to."""
    names = (match for text in _iter_texts(content) for match in _VARIABLE.finditer(text))
    return next((match[0] for match in names if match[1] in os.environ), None)


def _find_interpolation(content: Any, allowed: re.Pattern[str]) -> str | None:
    for text in _iter_texts(content):
        for match in _INTERPOLATION.finditer(text):
            if not allowed.match(text, match.start("start")):
                return text[match.start("start") :][:60]
    return None


def _iter_texts(node: Any) -> Iterator[str]:
    """All texts of a document, keys included."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _iter_texts(key)
            yield from _iter_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _iter_texts(value)
