"""The pipelines for users' projects: they are YAML as GitHub and GitLab read it, and their commands compose."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.documented_commands import check_command, lay_out
from tests.helpers.paths import PROJECT

GITHUB = yaml.safe_load((PROJECT / "ci/train.github.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((PROJECT / "ci/train.gitlab.yml").read_text(encoding="utf-8"))
# What the variables of a project would hold.
VALUES = {"DATA": "gs://bucket/ferplus.zip", "MODELS": "gs://bucket/models", "REGISTRY": "DIR"}
# YAML 1.1 takes `on` for true.
ON: Any = True


def iter_github_lines(job: str) -> Iterator[str]:
    for step in GITHUB["jobs"][job]["steps"]:
        yield from step.get("run", "").splitlines()


def iter_gitlab_lines(job: str) -> Iterator[str]:
    yield from [*GITLAB["default"]["before_script"], *GITLAB[job]["script"], *GITLAB[job].get("after_script", [])]


@pytest.fixture
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_place")
@pytest.mark.parametrize("lines", [iter_github_lines, iter_gitlab_lines])
def test_each_command_composes(lines: Any) -> None:
    known = {**VALUES, "OVERRIDES": GITLAB["variables"]["OVERRIDES"]}
    assert GITHUB[ON]["workflow_dispatch"]["inputs"]["overrides"]["default"] == known["OVERRIDES"]
    commands = {job: list(lines(job)) for job in ("train", "register")}
    for line in [line for job in commands.values() for line in job]:
        typed = re.sub(r"\$(\w+)", lambda match: known[match[1]], line)
        # What a shell would hide, such as a gate that failed, is no part of a line.
        assert not re.search(r"[$|;&`]", typed), line
        if not re.match(r"(\.venv/bin/)?(pip install|python -m venv) ", typed):
            assert re.match(r"(\.venv/bin/)?fer ", typed), line
            check_command(typed)
    for job in ("train", "register"):
        assert sum(f"fer {job} " in line and "action" not in line for line in commands[job]) == 1


def test_only_what_was_trained_is_registered_one_at_a_time() -> None:
    assert GITHUB["jobs"]["register"]["needs"] == "train"
    assert GITLAB["register"]["needs"] == ["train"]
    assert GITHUB["jobs"]["register"]["concurrency"] == GITLAB["register"]["resource_group"] == "fer-registry"
    assert not any("allow_failure" in job for job in (GITLAB["train"], GITLAB["register"]))


def test_nothing_that_is_typed_becomes_a_line_of_the_shell() -> None:
    for job in ("train", "register"):
        assert not [line for line in iter_github_lines(job) if "${{" in line]
    assert GITHUB["permissions"] == {"contents": "read", "id-token": "write"}


def test_the_variables_are_documented() -> None:
    page = (PROJECT / "docs/how-to/ci.md").read_text(encoding="utf-8")
    text = "".join((PROJECT / f"ci/train.{name}.yml").read_text(encoding="utf-8") for name in ("github", "gitlab"))
    names = set(re.findall(r"vars\.(\w+)", text)) | set(re.findall(r"\$(FER_\w+)", text))
    assert names
    assert all(f"`{name}`" in page for name in names)
