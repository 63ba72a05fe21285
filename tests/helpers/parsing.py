"""Files that a process parses once: each configuration is composed of the same twenty files, and each client of AWS
reads megabytes of AWS's descriptions of its services. A program's configuration is composed once, too: Hydra composes
it before to see whether a file sets ``hydra.mode``, which none does.
"""

import io
import pickle
from functools import cache
from typing import IO, Any

from botocore.loaders import JSONFileLoader, Loader
from hydra._internal.hydra import Hydra
from jsonschema import Draft202012Validator
from omegaconf import OmegaConf, _utils, base

from tests.helpers.composing_once import compose_once

_load_yaml = OmegaConf.load
_load_json = JSONFileLoader.load_file
_compose_mode = Hydra.get_mode
_create_loader = Loader.__init__
_check = Draft202012Validator.check_schema
_descriptions: dict[Any, Any] = {}
_checked: dict[int, Any] = {}


def parse_once() -> None:
    """Have the libraries take what they made of the same text before; what is wrong with one is told each time."""
    OmegaConf.load = staticmethod(_load)  # type: ignore[assignment,method-assign]
    base.parse = _utils.parse = cache(_utils.parse)
    Hydra.get_mode = _find_mode  # type: ignore[method-assign]
    compose_once()
    # The descriptions are only read.
    JSONFileLoader.load_file = lambda self, file_path: _parse_json(file_path)
    Loader.__init__ = _share_descriptions  # type: ignore[method-assign]
    # SageMaker's library checks the schema of its own settings each time that it looks for one.
    Draft202012Validator.check_schema = staticmethod(_check_schema)  # type: ignore[method-assign,assignment]


def _load(file: "str | IO[Any]") -> Any:
    return pickle.loads(_parse_yaml(file.read())) if isinstance(file, io.TextIOBase) else _load_yaml(file)


def _find_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
    """The mode that is asked for; where only the project's own files are read, they ask for none."""
    others = any(entry.provider == "command-line" for entry in self.config_loader.get_search_path().get_path())
    if others or any("hydra.mode" in text for text in overrides):
        return _compose_mode(self, config_name, overrides)
    return None


def _share_descriptions(self: Loader, *arguments: Any, **options: Any) -> None:
    _create_loader(self, *arguments, **options)
    if arguments == () and not options.get("extra_search_paths"):
        self._cache = _descriptions


def _check_schema(schema: Any, **options: Any) -> None:
    if id(schema) not in _checked:
        _check(schema, **options)
        # Kept, so that no other one gets its id.
        _checked[id(schema)] = schema


@cache
def _parse_yaml(text: str) -> bytes:
    """A configuration, pickled: copies are made four times as fast as by ``deepcopy``."""
    return pickle.dumps(_load_yaml(io.StringIO(text)))


@cache
def _parse_json(path: str) -> Any:
    return _load_json(JSONFileLoader(), path)
