"""A run of a study that is resumed: by its own copy, by another file, and where consent was withdrawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer.config import Config
from fer.config.compose import load_overrides
from fer.config.study import Study
from fer.errors import ConfigError
from fer.infer import resume as resuming
from fer.infer.resume import resume
from fer.infer.study_inputs import read_run_study
from fer.runs.run_directory import load_run_config, read_provenance
from tests.helpers.study_runs import change

pytestmark = pytest.mark.slow


@pytest.fixture
def resumed(begun: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Study]:
    """Resume the run that was begun, without doing anything; returns the study that it goes by."""

    def do(*overrides: str) -> Study:
        def run_stages(_: Config, run: Any, __: Any) -> int:
            run.finish("finished")
            return 0

        monkeypatch.setattr(resuming, "run_stages", run_stages)
        resume(load_overrides(list(overrides), "infer", begun), begun)
        return read_run_study(begun)

    return do


def test_a_resumed_run_goes_by_its_own_copy(
    resumed: Callable[..., Study], study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = resumed()
    assert "goes on with its own copy" not in caplog.text
    change(study, lambda content: content.update(name="Other"))
    assert resumed() == before
    assert f"extraction.study={study} has changed since; the run goes on with its own copy" in caplog.text
    study.unlink()
    assert resumed() == before
    assert f"extraction.study={study} is not there any more; the run goes on with its own copy" in caplog.text


def withdraw(content: dict[str, Any]) -> None:
    content["respondents"]["p2"]["consent"] = False


def withdraw_and_move(content: dict[str, Any]) -> None:
    withdraw(content)
    content["recordings"][2]["file"] = "elsewhere.mp4"


def withdraw_and_rename(content: dict[str, Any]) -> None:
    content["respondents"]["x2"] = {"consent": "no"}
    del content["respondents"]["p2"]
    content["recordings"][2] |= {"respondent": "x2", "file": "alias.mp4"}


@pytest.mark.parametrize("edit", [withdraw, withdraw_and_move, withdraw_and_rename])
def test_consent_that_was_withdrawn_stops_a_resumed_run(
    edit: Callable[[dict[str, Any]], None], resumed: Callable[..., Study], study: Path, begun: Path
) -> None:
    (study.parent / "alias.mp4").symlink_to(study.parent / "p2" / "clip.mp4")
    change(study, edit)
    with pytest.raises(ConfigError, match=r"p2/clip.mp4 is without consent, and this run has looked at it") as raised:
        resumed()
    assert str(raised.value).startswith(f"extraction.study={study}: ")
    assert f"fer.privacy.forget {begun} p2`" in str(raised.value)


def test_consent_that_another_file_withdraws_stops_a_resumed_run(
    resumed: Callable[..., Study], study: Path, begun: Path
) -> None:
    other = change(study.rename(study.with_name("other.yaml")), withdraw)
    with pytest.raises(ConfigError, match=f"fer.privacy.forget {begun} p2`"):
        resumed(f"extraction.study={other}")


def test_a_changed_file_that_tells_nothing_of_somebody_s_consent(
    resumed: Callable[..., Study], study: Path, begun: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def leave_out(content: dict[str, Any]) -> None:
        del content["respondents"]["p2"], content["recordings"][2]

    change(study, leave_out)
    assert "p2" in resumed().respondents
    assert f"extraction.study={study} lacks 1 respondent(s) of the run; delete from it who" in caplog.text
    change(study, lambda content: content["respondents"]["p1"].update(consent="withdrawn"))
    with pytest.raises(ConfigError, match="and may take back consent; mend it, or go by the run's own copy"):
        resumed()
    assert "p1" in resumed(f"extraction.study={begun / 'study.yaml'}").respondents


def test_other_contrasts_come_by_the_copy_or_by_another_file(
    resumed: Callable[..., Study], begun: Path, study: Path, tmp_path: Path
) -> None:
    change(begun / "study.yaml", lambda content: content.update(measures=["arousal"]))
    assert resumed().measures == ("arousal",)
    other = tmp_path / "other.yaml"
    other.write_text(study.read_text(encoding="utf-8"), encoding="utf-8")
    change(other, lambda content: content.update(measures=["valence"]))
    assert resumed(f"extraction.study={other}").measures == ("valence",)
    assert read_provenance(begun)["study"]["file"] == str(other)
    assert load_run_config(begun, "infer").extraction.study == str(other)


def test_a_study_of_other_recordings_is_refused(resumed: Callable[..., Study], begun: Path, study: Path) -> None:
    def agree(content: dict[str, Any]) -> None:
        content["respondents"]["p3"] = {"consent": True}
        content["recordings"].append({"file": "p3/clip.mp4", "respondent": "p3", "stimulus": "spot"})

    change(begun / "study.yaml", agree)
    with pytest.raises(ConfigError, match=r"the run does not look at .*p3/clip.mp4; start a new run"):
        resumed()

    def withdraw(content: dict[str, Any]) -> None:
        content["respondents"]["p3"]["consent"] = content["respondents"]["p2"]["consent"] = False

    change(begun / "study.yaml", withdraw)
    with pytest.raises(ConfigError, match=r"p2/clip.mp4 is without consent, and this run has looked at it already"):
        resumed()


def test_whoever_is_in_a_run_no_more_stops_nothing(resumed: Callable[..., Study], begun: Path) -> None:
    def forget(content: dict[str, Any]) -> None:
        del content["respondents"]["p2"]
        content["recordings"] = [item for item in content["recordings"] if item["respondent"] != "p2"]

    change(begun / "study.yaml", forget)
    assert len(resumed().recordings) == 1
