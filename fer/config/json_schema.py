"""JSON Schemas by which editors complete and check YAML: of whole configurations, and of the options of each group.

Files hold what differs, so that no key is required; what `fer.config` checks beyond a key stays with it.
"""

import dataclasses
import importlib
import json
import re
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf

from fer.config import Config
from fer.config.key_docs import iter_keys
from fer.config.study import Study
from fer.config.sweep import OptunaSearch
from fer.core.io import write_text

# Whole configurations: conf/config.yaml, experiments, every run.yaml.
WHOLE = "config"
GROUPS = ("dataset", "model", "optimizer", "trainer", "tracker", "extraction", "aws")
LAUNCHER, SWEEPER = "hydra_launcher", "hydra_sweeper"
# A study's file, which is no configuration.
STUDY = "study"
NAMES = (WHOLE, *GROUPS, LAUNCHER, SWEEPER, STUDY)

# A value that stands elsewhere, or that the command line is to give.
_ELSEWHERE = r"\$\{|^\?\?\?$"
_WRITTEN = {
    "integer": rf"^[-+]?[0-9_]+$|{_ELSEWHERE}",
    "number": rf"^[-+]?[0-9_]*\.?[0-9]*([eE][-+]?[0-9]+)?$|{_ELSEWHERE}",
    "boolean": _ELSEWHERE,
}
_CHOICE = (
    r"^(optional +)?(override +)?/?(hydra/[a-z_]+|experiment|base|config|" + "|".join(GROUPS) + r")(@[A-Za-z_.]+)?$"
)
_DEFAULTS = {
    "type": "array",
    "description": "Options of the groups that this file begins with; _self_ is the place of its own values",
    "items": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "propertyNames": {"pattern": _CHOICE},
                "additionalProperties": {"type": ["string", "array", "null"], "items": {"type": "string"}},
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    },
}


def build_schema(name: str) -> dict[str, Any]:
    """Build one schema.

    Args:
        name: One of NAMES.
    """
    if name == LAUNCHER:
        return _close(_list_launcher_keys(), "A launcher of Hydra")
    if name == SWEEPER:
        return _close(_build_sweeper_properties(), "A sweeper of Hydra")
    if name == STUDY:
        schema = _take_texts(Study.model_json_schema())
        assert isinstance(schema, dict)
        return schema
    schema = _loosen(Config.model_json_schema())
    definitions = schema.pop("$defs")
    if name == WHOLE:
        schema["properties"] |= {"defaults": _DEFAULTS, "hydra": _build_hydra_schema()}
    else:
        section = schema["properties"][name]
        kinds = [_find_definition(kind, definitions) for kind in section.get("anyOf", [section])]
        options = [{**kind, "properties": {**kind["properties"], "defaults": _DEFAULTS}} for kind in kinds]
        schema = options[0] if len(options) == 1 else {"anyOf": options}
    return {**schema, "$defs": _collect_definitions(schema, definitions)}


def write_schemas(folder: Path) -> None:
    """Write every schema as NAME.json."""
    for name in NAMES:
        write_text(folder / f"{name}.json", json.dumps(build_schema(name), indent=1) + "\n")


def _find_definition(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return dict(definitions[node["$ref"].rpartition("/")[2]])


def _collect_definitions(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions that a schema names, directly or through others."""
    found: dict[str, Any] = {}
    pending = [schema]
    while pending:
        for name in re.findall(r'"#/\$defs/(\w+)"', json.dumps(pending.pop())):
            if name not in found:
                found[name] = definitions[name]
                pending.append(definitions[name])
    return dict(sorted(found.items()))


def _loosen(node: Any) -> Any:
    """Require no key, and let a value stand as a text or elsewhere; keys that do not exist stay refused."""
    if isinstance(node, list):
        return [_loosen(item) for item in node]
    if not isinstance(node, dict):
        return node
    names = {"required", "default", "title", "minProperties"} if "title" in node or "type" in node else set()
    node = {
        # What belongs to no kind yet may be of several.
        "anyOf" if key == "oneOf" else key: {name: _loosen(inner) for name, inner in value.items()}
        if key in ("properties", "$defs")
        else _loosen(value)
        for key, value in node.items()
        if key not in names
    }
    kind = node.get("type")
    if "enum" in node:
        # YAML reads 32 as a number.
        node["enum"] += [int(choice) for choice in node["enum"] if isinstance(choice, str) and choice.isdigit()]
        node.pop("type", None)
    elif kind in _WRITTEN:
        node |= {"type": [kind, "string"], "pattern": _WRITTEN[kind]}
    elif kind == "array":
        node |= {"type": [kind, "string"], "pattern": _ELSEWHERE}
    elif kind == "string" and "pattern" in node:
        node["pattern"] = f"(?:{node['pattern']})|{_ELSEWHERE}"
    return node


def _take_texts(node: Any) -> Any:
    """Let numbers stand where a text is asked for, as which a study's file is read: `respondent: 7` is called 7."""
    if isinstance(node, list):
        return [_take_texts(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _take_texts(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    if node.get("type") == "string" and not {"enum", "const"} & set(node):
        node["type"] = ["string", "number", "boolean"]
    elif node.get("type") == "boolean":
        # yes and no, which are texts in YAML 1.2.
        node["type"] = ["boolean", "string", "integer"]
    return node


def _close(properties: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {"defaults": _DEFAULTS, **properties},
        "additionalProperties": False,
    }


def _list_launcher_keys() -> dict[str, Any]:
    # What fer/sweep/joblib_launcher.py adds to them.
    names = {"preload"}
    # Importing them takes longer than all else of the configuration.
    for module, kind in (("joblib", "JobLibLauncherConf"), ("submitit", "SlurmQueueConf")):
        config = getattr(importlib.import_module(f"hydra_plugins.hydra_{module}_launcher.config"), kind)
        names |= {field.name for field in dataclasses.fields(config)}
    return {name: {"description": f"See Hydra's launcher: {name}"} for name in sorted(names)}


def _build_sweeper_properties() -> dict[str, Any]:
    schema = _loosen(OptunaSearch.model_json_schema())
    properties = dict(schema["properties"])
    properties["pruner"] = {**schema["$defs"]["Pruner"], "description": properties["pruner"]["description"]}
    keys = "|".join(re.escape(key.name).replace("<name>", r"[^.]+") for key in iter_keys(Config))
    maps = "|".join(
        re.escape(key.name).replace("<name>", r"[^.]+") for key in iter_keys(Config) if key.holds in ("map", "maps")
    )
    properties["params"] = {
        "type": ["object", "null"],
        "description": properties["params"]["description"],
        "propertyNames": {"pattern": rf"^[+~]*({keys}|({maps})\..+|{'|'.join(GROUPS)}|experiment|hydra[./].+)$"},
    }
    properties["_target_"] = {"type": "string", "description": "The sweeper's class"}
    properties["max_batch_size"] = {"type": ["integer", "null"], "description": "Jobs that are handed over at a time"}
    return properties


def _build_hydra_schema() -> dict[str, Any]:
    """Hydra's own section: its keys, and below them those that this project's files set."""
    text = {"type": "string", "description": "A directory"}
    properties: dict[str, Any] = {
        field.name: {"description": f"See Hydra's documentation: hydra.{field.name}"}
        for field in dataclasses.fields(HydraConf)
    }
    closed = {"type": "object", "additionalProperties": False}
    properties["run"] = {**closed, "description": "A single run", "properties": {"dir": text}}
    properties["sweep"] = {**closed, "description": "A sweep", "properties": {"dir": text, "subdir": text}}
    properties["sweeper"] = _close(_build_sweeper_properties(), "How a sweep chooses values")
    properties["launcher"] = _close(_list_launcher_keys(), "How the jobs of a sweep are started")
    for name in ("sweeper", "launcher"):
        del properties[name]["properties"]["defaults"]
    return {**closed, "description": "Hydra's own settings", "properties": properties}
