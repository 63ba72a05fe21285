"""The commands of fer.privacy, as a checkout without the command `fer` starts them."""

import runpy
import sys
from pathlib import Path

import pytest

from fer.config import Config
from fer.config.compose import load_overrides
from fer.runs.run_directory import write_config


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["fer/privacy/__main__.py", *arguments])
    with pytest.raises(SystemExit) as raised:
        runpy.run_module("fer.privacy", run_name="__main__")
    return raised.value.code


@pytest.mark.parametrize(
    ("command", "option"), [("blur", "--keep TRACK"), ("forget", "--video NAME"), ("expired", "--delete")]
)
def test_every_command_can_be_typed(
    command: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "--help", monkeypatch=monkeypatch) == 0
    assert option in capsys.readouterr().out


def test_what_follows_a_command_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("expired", str(tmp_path), "--delete", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == f"{tmp_path}: no run is past its date\n"


@pytest.mark.parametrize("arguments", [[], ["blurr"]])
def test_an_unknown_command_is_told_with_those_that_there_are(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert "blur" in error and "expired" in error if arguments else "COMMAND" in error


def test_a_run_names_the_command_that_deletes_it(tmp_path: Path) -> None:
    config: Config = load_overrides([], "infer")
    write_config(tmp_path, config, "infer.py", "2026-03-01")
    assert "`python -m fer.privacy expired`" in (tmp_path / "run.yaml").read_text(encoding="utf-8")
