"""What infer.py is told for a visitor, and what the visitor is told at its end."""

import sys
from pathlib import Path

import pytest

from fer.app.analysis import Analysis, Choices, build_environment, build_overrides, describe_outcome, start_analysis
from fer.app.comparison import Comparison, describe_problem
from fer.app.jobs import Job, JobQueue, JobState
from fer.app.settings import Settings
from fer.app.uploads import Upload
from fer.config.compose import load_overrides
from fer.config.quoting import quote_overrides
from tests.helpers.server import wait_until

NAMES = {"upload-1.mp4": "holiday.mp4", "upload-11.mp4": "other.mp4"}


def build(tmp_path: Path, choices: Choices) -> list[str]:
    uploads = [Upload("a.mp4", tmp_path / f"upload-{number}.mp4", 1) for number in (1, 2)]
    return build_overrides(Settings(tmp_path / "outputs"), tmp_path / "run", uploads, choices)


def test_the_choices_are_understood(tmp_path: Path) -> None:
    folder = tmp_path / "it's ${odd}, [a]=b"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"upload-{number}.mp4").touch()
    overrides = build(folder, Choices("models:/fer@champion", "haar", 0.5, "all"))
    assert overrides[0].startswith("hydra.run.dir=")
    config = load_overrides(quote_overrides(overrides)[1:], "infer")
    assert config.extraction.input == (str(folder / "upload-1.mp4"), str(folder / "upload-2.mp4"))
    assert (config.model_uri, config.extraction.detector.kind) == ("models:/fer@champion", "haar")
    assert (config.extraction.fps, config.extraction.faces) == (0.5, "all")
    assert config.registry.store == str(folder / "outputs" / "registry")
    assert config.trainer.threads


def test_what_was_not_chosen_stays_as_it_is(tmp_path: Path) -> None:
    config = load_overrides(build(tmp_path, Choices("pretrained"))[1:], "infer")
    assert (config.extraction.fps, config.extraction.faces, config.extraction.detector.kind) == (
        None,
        "largest",
        "auto",
    )


def test_the_program_is_started_without_a_shell(tmp_path: Path) -> None:
    queue = JobQueue(1)
    blocker = queue.submit(Job(["/bin/sleep", "600"]))
    wait_until(lambda: blocker.state is JobState.RUNNING, "the first one at work")
    analysis = start_analysis(Settings(tmp_path), queue, tmp_path / "run", [], Choices("pretrained"))
    assert list(analysis.job.command)[:4] == [sys.executable, "-P", "-m", "fer.cli.infer"]
    assert queue.get_place(analysis.job) == 1
    queue.close()
    assert blocker.is_over


def test_the_program_says_often_how_far_it_is() -> None:
    assert build_environment({"HOME": "/home/anna"})["FER_PROGRESS_SECONDS"] == "0.5"


def end(tmp_path: Path, code: int | None, *lines: str, state: JobState = JobState.ENDED) -> Analysis:
    job = Job([], {}, state, code)
    job.lines.extend(lines)
    return Analysis(job, tmp_path)


@pytest.mark.parametrize(
    ("code", "lines", "problem"),
    [
        (-9, [], "The run was ended from outside (signal 9), perhaps for lack of memory; try a shorter clip"),
        (
            1,
            ["loading", "infer.py: /tmp/fer-app-x/upload-1.mp4: cannot be opened"],
            "holiday.mp4: cannot be opened",
        ),
        (
            2,
            ["infer.py: model_uri=x: no such model", "infer.py: `fer config docs` lists every key, `x` the groups"],
            "model_uri=x: no such model",
        ),
        (1, ["Traceback", "ValueError: upload-11.mp4", ""], "ValueError: other.mp4"),
        (1, [], "it said nothing"),
    ],
)
def test_a_run_that_failed_says_why(tmp_path: Path, code: int, lines: list[str], problem: str) -> None:
    outcome = describe_outcome(end(tmp_path, code, *lines), NAMES)
    assert problem in str(outcome.problem)
    assert "/tmp" not in str(outcome.problem)


@pytest.mark.parametrize("code", [0, 3, 4])
def test_a_run_that_succeeded_says_what_it_left_out(tmp_path: Path, code: int) -> None:
    outcome = describe_outcome(end(tmp_path, code, "Excluded: upload-1.mp4: no video stream"), NAMES)
    assert outcome.problem is None
    assert outcome.remarks == ("Left out: holiday.mp4: no video stream",)


def test_nothing_usable_is_a_sentence_beside_the_report(tmp_path: Path) -> None:
    (tmp_path / "report.html").touch()
    outcome = describe_outcome(end(tmp_path, 1, "Excluded: upload-1.mp4: no video", "Nothing usable: no face"), NAMES)
    assert outcome.problem == "No face could be used: holiday.mp4: no video."
    assert describe_outcome(end(tmp_path, 1), NAMES).problem == "No face could be used: none was found in any frame."


def test_a_cancelled_run_is_called_so(tmp_path: Path) -> None:
    assert describe_outcome(end(tmp_path, -9, state=JobState.CANCELLED), NAMES).problem == "Cancelled."


def test_a_comparison_without_a_page_says_why(tmp_path: Path) -> None:
    job = Job([], {}, JobState.ENDED, 1)
    job.lines.append("python -m fer.compare: none of the 2 runs has figures yet")
    comparison = Comparison(job, tmp_path, ("a", "b"))
    assert describe_problem(comparison) == "none of the 2 runs has figures yet"
    job.code = 0
    (tmp_path / "comparison.html").touch()
    assert describe_problem(comparison) is None
    job.state = JobState.CANCELLED
    assert describe_problem(comparison) == "Cancelled."
