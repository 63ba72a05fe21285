"""Runs of every released version load, and say what they lack; a new key needs a line in the table."""

from pathlib import Path

import pytest

from fer import __version__
from fer.config.compose import load_overrides
from fer.config.diff import read_saved_config
from fer.config.migrations import ADDED_KEYS, CHANGED_BEHAVIOUR, describe_origin
from fer.core.flatten import flatten_dict
from fer.errors import ConfigError
from fer.runs.origin import describe_run_origin, explain_other_version
from fer.runs.run_directory import load_run_config

RELEASED = Path(__file__).parent / "released"
VERSIONS = sorted(folder.name for folder in RELEASED.iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_of_each_version_keeps_its_behaviour(version: str) -> None:
    saved = read_saved_config(RELEASED / version)
    loaded = flatten_dict(load_run_config(RELEASED / version).dump(), keep_empty=True)
    missing = {key: value for key, value in loaded.items() if key not in saved}
    table = {added.key: added.value for added in ADDED_KEYS if added.version > version and added.is_missing(saved)}
    assert missing == table, "a key that a release does not have needs a line in fer/config/migrations.py"
    assert {key: loaded[key] for key in saved} == saved


@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_of_each_version_composes_as_hydra_reads_it(version: str) -> None:
    assert load_overrides([], saved=RELEASED / version) == load_run_config(RELEASED / version)


def test_a_run_of_another_version_says_who_made_it_and_what_it_lacks() -> None:
    saved = read_saved_config(RELEASED / "0.1.0")
    lines = describe_origin(saved, {"git_commit": "2e7c940d2be8"}, "0.3.0")
    assert lines[0] == "the run was made by version 0.1.0, commit 2e7c940d2be8; this is 0.3.0"
    assert any("trainer.sync_batchnorm=true keeps its behaviour" in line for line in lines)
    concerned = {"trainer.early_stopping.monitor": "val_loss", "trainer.devices": 2}
    concerned |= {"extraction.detector.kind": "yunet", "inference.runtime": "torch"}
    # A key that another kind of detector has is missing where that is the kind.
    assert not any("extraction.detector.runtime" in line for line in lines)
    judged = describe_origin(saved | concerned, {}, "0.3.0")
    assert any("extraction.detector.runtime=opencv keeps its behaviour" in line for line in judged)
    assert {change.note for change in CHANGED_BEHAVIOUR} <= set(judged)
    assert judged[0].startswith("the run was made by version 0.1.0, an unknown commit")


def test_a_run_of_this_version_is_silent(tmp_path: Path) -> None:
    current = flatten_dict(load_overrides([]).dump(), keep_empty=True)
    assert describe_origin(current, {"fer_version": __version__, "git_commit": "a"}, __version__) == []
    monitored = {**current, "trainer.early_stopping.monitor": "val_loss"}
    assert describe_origin(monitored, {}, __version__) == []
    assert describe_origin(monitored, {"fer_version": __version__}, __version__) == []
    assert describe_run_origin(tmp_path) == []


def test_a_map_with_entries_is_not_missing() -> None:
    maps = ["optimizer.options.momentum=0.9", "optimizer.schedule.options={T_0: 5}"]
    saved = flatten_dict(load_overrides(maps).dump(), keep_empty=True)
    assert describe_origin(saved, {"fer_version": __version__, "git_commit": "a"}, __version__) == []
    assert describe_origin(saved, {}, "0.3.0") == []


def test_a_run_that_this_version_does_not_take_names_its_commit(tmp_path: Path) -> None:
    text = (RELEASED / "0.2.0" / "run.yaml").read_text()
    (tmp_path / "run.yaml").write_text(text.replace("trainer:\n", "trainer:\n  not_known_yet: 3\n"))
    (tmp_path / "provenance.json").write_text('{"git_commit": "abc123", "fer_version": "9.0.0"}')
    with pytest.raises(ConfigError) as raised, explain_other_version(tmp_path):
        load_run_config(tmp_path)
    assert "trainer.not_known_yet=3: there is no such key" in str(raised.value)
    assert "the run was made by version 9.0.0, commit abc123" in str(raised.value)
    assert "git checkout abc123" in str(raised.value)
