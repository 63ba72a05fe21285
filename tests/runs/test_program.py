"""What the programs share: run directories, refusals, and errors as one sentence."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fer.config.compose import check_config_name
from fer.core.process import end_on_closed_pipe
from fer.errors import ConfigError, DataError, ModelError
from fer.runs.program import user_errors_to_exit_code
from fer.runs.run_directory import create_unique_directory, remove_if_empty, return_to_directory
from tests.helpers.paths import PROJECT

EIGHT = """
import json, multiprocessing, sys
from fer.runs.run_directory import create_unique_directory

def one(barrier, results):
    barrier.wait()
    results.put(create_unique_directory(sys.argv[1]))

fork = multiprocessing.get_context("fork")
barrier, results = fork.Barrier(8), fork.Queue()
processes = [fork.Process(target=one, args=(barrier, results)) for _ in range(8)]
for process in processes:
    process.start()
print(json.dumps([results.get(timeout=60) for _ in processes]))
"""


def test_eight_programs_in_one_moment_get_eight_directories(tmp_path: Path) -> None:
    wanted = tmp_path / "day" / "12-00-00-run"
    done = subprocess.run(
        [sys.executable, "-c", EIGHT, str(wanted)], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    names = {"12-00-00-run", *(f"12-00-00-run-{number}" for number in range(2, 9))}
    assert sorted(json.loads(done.stdout)) == sorted(str(wanted.parent / name) for name in names)
    assert {path.name for path in wanted.parent.iterdir()} == names


def test_a_directory_that_exists_is_never_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").write_text("a file")
    assert create_unique_directory(str(tmp_path / "run")) == str(tmp_path / "run-3")
    assert (tmp_path / "run-2").read_text() == "a file"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Function that runs something inside ``reported`` and returns exit code and what stands on stderr."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py", "seed=1"])

    def run(action: Callable[[], object], directory: Path | None = None) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left, user_errors_to_exit_code(directory):
            action()
        assert isinstance(left.value.code, int)
        return left.value.code, capsys.readouterr().err

    return run


def raising(error: BaseException) -> Callable[[], object]:
    def action() -> None:
        raise error

    return action


HINT = "train.py: `python -m fer.config docs` lists every key, `python train.py --help` the groups and options\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("a=1: wrong\nb=2: wrong"), 2, f"train.py: a=1: wrong\ntrain.py: b=2: wrong\n{HINT}"),
        (DataError("x.zip: no images"), 1, "train.py: x.zip: no images\n"),
        (ModelError("w.pth: damaged"), 1, "train.py: w.pth: damaged\n"),
        (KeyboardInterrupt(), 130, "train.py: interrupted\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/run/last.ckpt"),
            1,
            "train.py: /data/run/last.ckpt: no space left on device; make room or choose another place\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/data/run"),
            1,
            "train.py: /data/run: permission denied; make room or choose another place\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/data/run"),
            1,
            "train.py: /data/run: read-only file system; make room or choose another place\n",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp']"),
            1,
            "train.py: no place for temporary files: make room, or name a directory by TMPDIR\n",
        ),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(
    error: BaseException, code: int, text: str, answer: Callable[..., tuple[int, str]]
) -> None:
    assert answer(raising(error)) == (code, text)


def test_a_full_disk_is_a_sentence(answer: Callable[..., tuple[int, str]]) -> None:
    """/dev/full is always full."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    code, text = answer(lambda: Path("/dev/full").write_text("x"))
    assert (code, text) == (1, "train.py: no space left on device; make room or choose another place\n")


def test_hydras_errors_are_sentences(answer: Callable[..., tuple[int, str]]) -> None:
    broken = OmegaConf.create({"a": "${b}"})
    assert answer(lambda: broken.a) == (2, f"train.py: a: Interpolation key 'b' not found\n{HINT}")


@pytest.mark.parametrize(
    "error", [ValueError("a mistake of ours"), FileNotFoundError(errno.ENOENT, "No such file", "x"), RuntimeError("x")]
)
def test_our_own_mistakes_keep_their_traceback(error: Exception, tmp_path: Path) -> None:
    (tmp_path / "train.log").touch()
    with pytest.raises(type(error)) as raised, user_errors_to_exit_code(tmp_path):
        raise error
    assert raised.value is error
    assert (tmp_path / "train.log").exists()


@pytest.mark.parametrize("error", [ConfigError("wrong"), DataError("wrong")])
def test_a_run_that_did_not_begin_leaves_nothing(
    error: Exception, tmp_path: Path, answer: Callable[..., tuple[int, str]]
) -> None:
    run = tmp_path / "train" / "day" / "run"
    run.mkdir(parents=True)
    (run / "train.log").touch()
    answer(raising(error), run)
    assert list((tmp_path / "train").iterdir()) == []


@pytest.mark.parametrize("kept", ["provenance.json", "notes.txt", "checkpoints", "old.log"])
def test_a_directory_with_content_is_left_alone(kept: str, tmp_path: Path) -> None:
    run = tmp_path / "day" / "run"
    run.mkdir(parents=True)
    (run / "train.log").touch()
    if "." in kept:
        (run / kept).write_text("something")
    else:
        (run / kept).mkdir()
    remove_if_empty(run)
    assert {path.name for path in run.iterdir()} == {"train.log", kept}


def test_only_an_empty_day_is_removed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "day" / name).mkdir(parents=True)
    remove_if_empty(None)
    remove_if_empty(tmp_path / "day" / "a")
    assert [path.name for path in (tmp_path / "day").iterdir()] == ["b"]
    remove_if_empty(tmp_path / "day" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["train.py", "--info", "config"],
        ["train.py", "--cfg", "job"],
        ["-m", "fer.config", "schema"],
    ],
)
def test_a_reader_that_stops_reading_ends_a_program_without_a_word(command: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, *command], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert errors == ""


def test_another_broken_pipe_is_no_end_of_the_reader() -> None:
    with pytest.raises(BrokenPipeError), end_on_closed_pipe():
        raise BrokenPipeError


def test_a_run_without_a_name_of_its_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    check_config_name(["--config-dir", str(tmp_path), "--config-name", "run"])
    check_config_name(["--config-dir", str(tmp_path), "--config-name=run.yaml"])
    check_config_name(["seed=1"])
    for arguments, message in (
        (
            ["-cd", str(tmp_path)],
            f"--config-dir {tmp_path}: is the directory of a run; add --config-name run to run it again",
        ),
        (["-cd", str(tmp_path), "-cn=rnu"], "--config-name rnu: there is no such file; allowed are config, run"),
        (
            ["--config-name", "run"],
            "--config-name run: there is no such file; allowed are config; a run is named by --config-dir RUN "
            "--config-name run",
        ),
    ):
        with pytest.raises(ConfigError) as raised:
            check_config_name(arguments)
        assert str(raised.value) == message


def test_nothing_of_outputs_is_left_where_no_run_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path(create_unique_directory("outputs/train/2026-01-01/12-00-00-x"))
    (run / "train.log").touch()
    remove_if_empty(run)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_goes_back_to_where_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr("sys.argv", ["train.py"])
    (tmp_path / "begun").mkdir()
    (tmp_path / "provenance.json").write_text(json.dumps({"directory": str(tmp_path / "begun")}))
    return_to_directory(tmp_path)
    assert (Path.cwd(), sys.argv) == (tmp_path / "begun", [str(tmp_path / "train.py")])
    (tmp_path / "provenance.json").write_text(json.dumps({"directory": str(tmp_path / "gone")}))
    return_to_directory(tmp_path)
    assert Path.cwd() == tmp_path / "begun"
