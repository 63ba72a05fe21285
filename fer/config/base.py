"""The base of every section of the configuration, and types that several sections use."""

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from fer.core.expansion import expand_path
from fer.core.object_uri import explain_azure, is_object_uri
from fer.core.path_map import map_path, read_path_map
from fer.core.plugins import NAME_PATTERN


class Section(BaseModel):
    """A section of the configuration: no unknown keys, no changes after it was checked, no NaN.

    Values stand in ``conf/*.yaml``, not here. A field that is added after a release gets a default that
    means "as before", so that a run.yaml saved earlier still replays.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def reject_bool_for_number(cls, values: Any) -> Any:
        """Refuse true for 1, as which Pydantic takes it: `early_stopping.patience=true` is not one epoch."""
        for name, field in cls.model_fields.items() if isinstance(values, dict) else ():
            if isinstance(values.get(name), bool) and bool not in (field.annotation, *get_args(field.annotation)):
                raise ValueError(f"{name} must not be true or false")
        return values


def _resolve_existing_path(value: str) -> str:
    """Return the absolute form of a path that must exist, so that a saved run replays from any directory.

    One that lies elsewhere on this machine keeps its text, so that run.yaml is the same wherever it runs.
    """
    if value in read_path_map():
        path, kept = Path(map_path(value)), value
    else:
        path = Path(expand_path(value))
        kept = str(path.resolve())
    try:
        if path.exists():
            return kept
    except OSError:
        # A name that no file system takes.
        pass
    raise ValueError("no such file or directory")


def resolve_input_path(value: str) -> str:
    """Return the absolute form of a path that must exist, or the address of an object, looked for when it is read."""
    if problem := explain_azure(value):
        raise ValueError(problem)
    if not is_object_uri(value):
        return _resolve_existing_path(value)
    scheme, _, place = value.partition("://")
    if not all(place.partition("/")[::2]):
        raise ValueError(f"must have the form {scheme}://BUCKET/KEY")
    return value


def _check_bucket_folder(value: str) -> str:
    """Return the address of a folder in a bucket, without a slash at its end. Raises ValueError for anything else."""
    bucket, _, folder = value.partition("://")[2].partition("/")
    if problem := explain_azure(value):
        raise ValueError(problem)
    if not is_object_uri(value) or not bucket or not folder.strip("/"):
        raise ValueError("must be a folder in a bucket: s3://BUCKET/FOLDER or gs://BUCKET/FOLDER")
    return value.rstrip("/")


def name_entries(value: object) -> object:
    """Return a map with texts for keys, as a folder or a tag is named."""
    return {decode_map_key(key): inner for key, inner in value.items()} if isinstance(value, dict) else value


def decode_map_key(key: object) -> str:
    """Return the name that a key of a map stands for.

    YAML reads 0 as a number. Hydra's overrides take letters of ASCII alone, so that others are encoded before.
    """
    return re.sub(r"\\u([0-9a-f]{6})", lambda match: chr(int(match.group(1), 16)), str(key))


def expand_local_path(value: str) -> str:
    """Expand `~` and environment variables in a path; what has a scheme (s3://, gs://, models:/) is none."""
    return value if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", value) else expand_path(value)


def _resolve_study_path(value: str, info: ValidationInfo) -> str:
    """Return the absolute form of a study's file, which must exist; a run has its own copy, and goes on without it."""
    try:
        return _resolve_existing_path(value)
    except ValueError:
        if info.context is not None and info.context.get("is_saved"):
            return value
        raise


NewPath = Annotated[str, AfterValidator(expand_path)]
LocalPath = Annotated[str, AfterValidator(expand_local_path)]
ExistingPath = Annotated[str, AfterValidator(_resolve_existing_path)]
StudyPath = Annotated[str, AfterValidator(_resolve_study_path)]
InputPath = Annotated[str, AfterValidator(resolve_input_path)]
BucketFolder = Annotated[str, AfterValidator(_check_bucket_folder)]
Probability = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _reject_non_finite(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of a library. Raises ValueError where one is nan or infinite, which no run file holds."""
    for name, value in options.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, float) and not math.isfinite(item):
                raise ValueError(f"{name}={item}: must be a number that is finite")
            if isinstance(item, dict):
                _reject_non_finite(item)
    return options


def reject_password(uri: str) -> str:
    """Return the URI. Raises ValueError where it holds a password: run directories are passed from hand to hand."""
    if re.search(r"://[^/@]*:[^/@]*@", uri):
        raise ValueError(
            "must not hold a password: run files would keep it; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or the variables of the database, in the environment"
        )
    return uri


def expand_tracking_uri(uri: str) -> str:
    """Expand `~` and environment variables in the path of a directory, or of a database (sqlite:///FILE)."""
    scheme, separator, path = uri.rpartition(":///")
    return uri if "://" in path else f"{scheme}{separator}{expand_path(path)}"


# Name of a plugin (see `fer.core.plugins`): its options, plain values.
Options = Annotated[dict[str, Any], AfterValidator(_reject_non_finite)]
Plugins = dict[str, Options]


def check_plugin_names(plugins: Plugins, built_in: Collection[str] = ()) -> Plugins:
    """Return plugins by name. Raises ValueError for a name that no plugin can have."""
    for name in plugins:
        if name in built_in:
            raise ValueError(f"{name} is built in, and no plugin's name")
        if re.fullmatch(NAME_PATTERN, name) is None:
            raise ValueError(f"{name!r} is no plugin's name: letters, digits, '_' and '-', no digit first")
    return plugins
