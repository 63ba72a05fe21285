"""The JSON Schemas of editors: every shipped file and every run.yaml passes, and each misspelt key is found."""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from fer.config.compose import CONF, load_overrides
from fer.config.json_schema import GROUPS, NAMES, WHOLE, build_schema
from fer.runs.run_directory import write_config
from tests.helpers.paths import PROJECT

FILES = sorted(CONF.rglob("*.yaml"))
LINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.MULTILINE)
RUNS = {
    "defaults": [],
    "demo": ["experiment=demo"],
    "folder": [
        "dataset=folder",
        "dataset.sources.folder.root=.",
        "dataset.sources.folder.class_map={0: anger, x: null}",
    ],
    "clouds": ["aws=sagemaker", "aws.bucket=faces", "tracker=[wandb,mlflow]", "extraction=yunet"],
    "names": ["name='1e3'", "extraction.input=[101,a=b.mp4]", "optimizer.lr=1e-5", "trainer.threads=2"],
}


@cache
def find_validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(build_schema(name))


def validate(content: Any, name: str) -> list[str]:
    return [error.message for error in find_validator(name).iter_errors(content)]


def read(file: Path) -> tuple[Any, str]:
    """The content of a file of conf/ and the name of the schema that its first lines name."""
    text = file.read_text(encoding="utf-8")
    found = LINE.search("\n".join(text.splitlines()[:2]))
    assert found, file
    schema = (file.parent / found.group(1)).resolve()
    assert schema.parent == PROJECT / "schemas"
    return yaml.safe_load(text), schema.stem


def misspell(node: Any, named_by_user: bool = False) -> Iterator[Any]:
    """The same content with one key misspelt, for every key that the project itself defines."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key not in ("callbacks", "help", "job_logging", "defaults"):
            for wrong in misspell(value, key == "sources"):
                yield {**node, key: wrong}
        if not named_by_user:
            yield {f"{name}x" if name == key else name: inner for name, inner in node.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_what_the_configuration_says(name: str) -> None:
    """Written by `python -m fer.config schemas schemas`."""
    schema = build_schema(name)
    Draft202012Validator.check_schema(schema)
    assert json.loads((PROJECT / "schemas" / f"{name}.json").read_text(encoding="utf-8")) == schema


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONF)))
def test_every_shipped_file_passes_and_a_misspelt_key_is_found(file: Path) -> None:
    content, name = read(file)
    assert name == (
        f"hydra_{file.parent.name}"
        if file.parent.parent.name == "hydra"
        else file.parent.name
        if file.parent.name in GROUPS
        else WHOLE
    )
    assert validate(content, name) == []
    validator = find_validator(name)
    for wrong in misspell(content):
        assert not validator.is_valid(wrong), wrong


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_saved_run_passes_and_a_misspelt_key_is_found(run: str, tmp_path: Path) -> None:
    write_config(tmp_path, load_overrides(RUNS[run]), "train.py")
    content = yaml.safe_load((tmp_path / "run.yaml").read_text(encoding="utf-8"))
    assert validate(content, WHOLE) == []
    for section, values in content.items():
        if isinstance(values, dict):
            wrong = copy.deepcopy(content)
            wrong[section]["max_epoch"] = 3
            assert validate(wrong, WHOLE), section
    assert validate({**content, "sead": 1}, WHOLE)


def test_the_run_of_the_shipped_model_passes() -> None:
    content = yaml.safe_load((PROJECT / "fer" / "pretrained" / "run.yaml").read_text(encoding="utf-8"))
    assert validate(content, WHOLE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "trainer: {max_epochs: 0}",
        "trainer: {max_epochs: many}",
        "trainer: {precision: 8}",
        "trainer: {compile: perhaps}",
        "optimizer: {lr: 11}",
        "optimizer: {schedule: {kind: onecycle}}",
        "name: a/b",
        "dataset: {fractions: [0.8, 0.2]}",
        "dataset: {fractions: most}",
        "defaults: [{overwrite /dataset: folder}]",
        "defaults: [{override /datasets: folder}]",
        "hydra: {sweeper: {params: {optimizer.lrr: '1,2'}}}",
        "hydra: {sweper: {params: {}}}",
        "hydra: {run: {directory: x}}",
    ],
)
def test_what_the_check_refuses_is_found(wrong: str) -> None:
    assert validate(yaml.safe_load(wrong), WHOLE)


@pytest.mark.parametrize(
    "right",
    [
        "trainer: {threads: '${oc.env:CORES}', max_epochs: '???', precision: 16}",
        "{model: {teacher: '???'}, dataset: {fractions: '${oc.decode:${oc.env:FRACTIONS}}'}}",
        "optimizer: {lr: 1e-3}",
        "name: ${model.name}-again",
        "defaults: [{override /dataset: [ferplus, rafdb]}, {override /hydra/launcher: submitit}, _self_]",
        "hydra: {sweeper: {params: {optimizer.lr: '1,2', model: 'a,b', dataset.sources.mine.root: 'a,b'}}}",
        "extraction: {detector: {margin: 0.1}}",
        "aws: {transform: {shard_mb: 3}}",
    ],
)
def test_what_files_may_hold_passes(right: str) -> None:
    assert validate(yaml.safe_load(right), WHOLE) == []
