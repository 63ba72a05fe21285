"""DeepFace in a process of its own, by a stand-in for its package: the worker and its protocol are the real ones."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from fer.annotate import deepface, setup_deepface
from fer.annotate.deepface import DeepFaceAnnotator
from fer.annotate.setup_deepface import PACKAGES, set_up_deepface
from fer.annotate.worker_process import WorkerError, WorkerProcess
from fer.config.annotation import DeepFace
from fer.errors import ConfigError, UserError
from tests.helpers.annotating import make_stand_in

START = Callable[..., DeepFaceAnnotator]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stand_in(tmp_path_factory.mktemp("deepface"))


@pytest.fixture
def start(environment: Path, tmp_path: Path) -> Iterator[START]:
    started: list[DeepFaceAnnotator] = []

    def begin(**options: object) -> DeepFaceAnnotator:
        config = DeepFace.model_validate({"environment": str(environment), **options})
        started.append(DeepFaceAnnotator(config, tmp_path / "deepface.log"))
        return started[-1]

    yield begin
    for annotator in started:
        annotator.close()


def gray(value: int, side: int = 8) -> np.ndarray:
    return np.full((side, side), value, np.uint8)


def test_it_answers_with_probabilities_age_and_gender(start: START, environment: Path) -> None:
    annotator = start(actions=("emotion", "age", "gender"))
    first, second = annotator.judge([gray(101), np.full((300, 900, 3), 104, np.uint8)])
    # 101 is 3 and 104 is 6 modulo 7, in DeepFace's order.
    assert (first.label, second.label) == ("happiness", "neutral")
    assert first.confidence == pytest.approx(0.7)
    assert sum(first.probabilities.values()) == pytest.approx(1)
    assert (first.age, first.gender, first.gender_confidence) == (31.0, "woman", 0.8)
    assert "104 emotion,age,gender" in (environment / "asked.log").read_text(encoding="utf-8")


def test_it_is_started_anew_where_it_dies_and_the_other_faces_are_answered(
    start: START, caplog: pytest.LogCaptureFixture
) -> None:
    annotator = start()
    dead, lost, wrong, answered = annotator.judge([gray(1), gray(3), gray(100), gray(100)])[0:4]
    assert not dead.label and "the process has ended" in dead.problem and "out of memory" in dead.problem
    assert lost.problem == "DeepFace: ValueError: no face here"
    assert wrong == answered and wrong.label == "fear"
    assert caplog.text.count("it is started anew") == 2


@pytest.mark.slow
def test_it_is_started_anew_where_it_hangs(start: START) -> None:
    # On a busy machine an answer takes a moment, too.
    annotator = start(timeout_s=4)
    assert annotator.process._process is not None
    first = annotator.process._process.pid
    hung, answered = annotator.judge([gray(2), gray(100)])
    assert hung.problem.startswith("DeepFace: the process gave no answer within 4 s")
    assert answered.label == "fear"
    assert not psutil.pid_exists(first)


def test_answers_that_are_none(start: START, tmp_path: Path) -> None:
    incomplete, answered = start().judge([gray(5), gray(100)])
    assert incomplete.problem.startswith("DeepFace: an answer without probabilities of the emotions, or with an age")
    assert answered.label == "fear"
    for said, reason in (
        ("nonsense", "answer that cannot be read"),
        ("[1]", r"cannot be read \(no object\)"),
        ('{"id": 7}', "answered something else than was asked"),
    ):
        with pytest.raises(WorkerError, match=reason):
            speak(f"input(); print({said!r}, flush=True); input()", tmp_path).ask({})


@pytest.mark.parametrize(
    "wrong",
    [{"age": float("nan")}, {"age": 1e9}, {"age": -3}, {"gender": {"Man": float("inf")}}, {"gender": {"Man": -1}}],
)
def test_ages_and_genders_that_cannot_be_are_no_answer(wrong: dict[str, object]) -> None:
    emotions = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    given = {"emotion": dict.fromkeys(emotions, 0.1), "age": 31, "gender": {"Man": 0.7}}
    assert deepface._parse_answer(given).gender == "man"
    with pytest.raises(ValueError, match="cannot be"):
        deepface._parse_answer({**given, **wrong})


def speak(script: str, folder: Path, timeout_s: float = 60) -> WorkerProcess:
    """A process that is ready, and goes on with a script."""
    script = f"""print('{{"ready": true}}', flush=True); {script}"""
    return WorkerProcess([sys.executable, "-c", script], dict(os.environ), folder / "log", 60, timeout_s)


def test_nobody_waits_for_one_that_answers_nothing_at_all(start: START) -> None:
    annotator = start()
    with pytest.raises(UserError, match=r"no answer to 3 faces in a row, the last: ValueError: no face here; its log"):
        annotator.judge([gray(100), gray(3), gray(3), gray(3)])


def test_one_that_cannot_start_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = make_stand_in(tmp_path / "broken")
    (broken / "modules" / "deepface.py").write_text("raise ImportError('no tensorflow here')", encoding="utf-8")
    with pytest.raises(UserError, match=r"the process of DeepFace cannot start: ImportError: no tensorflow here"):
        DeepFaceAnnotator(DeepFace(environment=str(broken)), tmp_path / "log")
    with pytest.raises(ConfigError, match=r"setup_deepface DIR`, and add deepface\.environment=DIR"):
        DeepFaceAnnotator(DeepFace(), tmp_path / "log")
    with pytest.raises(ConfigError, match="is no environment of Python; make it with"):
        DeepFaceAnnotator(DeepFace(environment=str(tmp_path)), tmp_path / "log")


def test_a_process_that_is_asked_too_much_at_once_does_not_block(tmp_path: Path) -> None:
    """One that never reads: what is asked does not fit into the pipe."""
    worker = speak("import time; time.sleep(600)", tmp_path, timeout_s=0.5)
    with pytest.raises(WorkerError, match=r"gave no answer within 0\.5 s"):
        worker.ask({"png": "x" * 1_000_000})


def test_the_worker_ends_with_whoever_started_it(start: START) -> None:
    annotator = start()
    process = annotator.process._process
    assert process is not None and process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def test_setting_up_is_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    class Done:
        returncode = 0

    def run(command: list[str], check: bool) -> Done:
        given.append(command)
        return Done()

    monkeypatch.setattr(setup_deepface.subprocess, "run", run)
    set_up_deepface(tmp_path / "env")
    python = str(tmp_path / "env" / "bin" / "python")
    assert given[0][1:] == ["-m", "venv", str(tmp_path / "env")]
    assert given[1] == [python, "-m", "pip", "install", *PACKAGES]
    assert all("==" in package for package in PACKAGES)
    Done.returncode = 1
    with pytest.raises(UserError, match=r"DeepFace could not be installed \(see above\)"):
        set_up_deepface(tmp_path / "env")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").touch()
    with pytest.raises(UserError, match="holds something else than an environment"):
        set_up_deepface(tmp_path / "thesis")


@pytest.mark.nightly
def test_the_real_package(tmp_path: Path) -> None:
    """FER_DEEPFACE names an environment of `fer annotate setup-deepface`, whose weights are there."""
    if "FER_DEEPFACE" not in os.environ:
        pytest.skip("FER_DEEPFACE names no environment with DeepFace")
    begin = time.monotonic()
    config = DeepFace(environment=os.environ["FER_DEEPFACE"], actions=("emotion", "age", "gender"))
    annotator = DeepFaceAnnotator(config, tmp_path / "log")
    try:
        judged = annotator.judge([gray(value, 60) for value in (10, 90, 200)])
    finally:
        annotator.close()
    assert [judgement.problem for judgement in judged] == [""] * 3
    assert all(sum(judgement.probabilities.values()) == pytest.approx(1, abs=1e-4) for judgement in judged)
    assert all(judgement.age is not None and judgement.gender in ("woman", "man") for judgement in judged)
    assert time.monotonic() - begin < deepface.START_TIMEOUT_S
