"""Finding runs and reading them: whatever their state, each is there with its reason."""

import json
from pathlib import Path

import pytest

from fer.compare.runs import find_runs
from fer.compare.tables import flatten_metrics
from fer.errors import UserError
from tests.helpers.compared_runs import edit, make_run, read


def test_runs_are_found_at_any_depth_once_and_in_natural_order(tmp_path: Path) -> None:
    for place in ("sweeps/lr/10", "sweeps/lr/2", "train/day/time-name"):
        make_run(tmp_path / place)
    (tmp_path / "cache").mkdir()
    # What lies inside a run is part of it.
    make_run(tmp_path / "sweeps/lr/2/model")
    runs, skipped = find_runs([tmp_path / "sweeps", tmp_path, tmp_path / "train/day/time-name", tmp_path / "cache"])
    assert [run.label for run in runs] == ["sweeps/lr/2", "sweeps/lr/10", "train/day/time-name"]
    assert skipped == [f"{tmp_path / 'cache'}: holds no run"]
    assert [run.label for run in read(tmp_path / "sweeps")] == ["2", "10"]
    assert [run.label for run in read(tmp_path / "sweeps/lr/2")] == ["2"]


def test_a_run_is_read_with_its_figures(tmp_path: Path) -> None:
    (run,) = read(make_run(tmp_path / "run", accuracy=0.75, optimizer__lr=0.01))
    assert (run.status, run.reason) == ("finished", None)
    assert run.settings["optimizer.lr"] == 0.01 and run.settings["trainer.stages"] == ["fit", "test"]
    assert (run.seconds, run.images_per_second, run.facts["git_commit"]) == (12.5, 250.0, "c" * 40)
    assert run.metrics["test"]["accuracy"]["value"] == 0.75
    assert run.history.index.tolist() == [1, 2, 3] and run.history["val_loss"].tolist() == [2, 1, 2 / 3]


def test_other_directories_are_refused_or_skipped(tmp_path: Path) -> None:
    places = [tmp_path / "infer", tmp_path / "installed"]
    make_run(tmp_path / "infer", provenance={"command": ["infer.py", "model_uri=x"]})
    make_run(tmp_path / "installed", provenance={"command": ["-m", "fer.cli.infer", "model_uri=x"]})
    runs, skipped = find_runs(places)
    assert (runs, skipped) == ([], [f"{place}: is a run of infer.py, not a training" for place in places])
    with pytest.raises(UserError, match="nowhere: no such directory"):
        find_runs([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("provenance", "job", "status", "reason"),
    [
        ({"status": "failed", "error": "UserError: too\nlarge"}, None, "failed", "UserError: too large"),
        ({"status": "pruned"}, {"status": "pruned", "reason": "hopeless at epoch 2"}, "pruned", "hopeless at epoch 2"),
        ({"status": "running"}, {"status": "failed", "reason": "signal 9"}, "failed", "signal 9"),
        ({"status": "running"}, {"status": "killed", "reason": ""}, "killed", "without a reason"),
        ({"status": "running"}, None, "unfinished", "it still runs, or was killed"),
        ({"status": "interrupted"}, None, "interrupted", "by Ctrl-C or SIGTERM; evaluated with the best weights until"),
    ],
)
def test_how_a_run_ended(
    tmp_path: Path, provenance: dict[str, str], job: dict[str, str] | None, status: str, reason: str
) -> None:
    directory = make_run(tmp_path / "run", provenance=provenance)
    if job:
        (directory / "job.json").write_text(json.dumps(job))
    (run,) = read(directory)
    assert run.status == status
    assert str(run.reason).startswith(reason)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "metrics.json",
            b'{"val": {"acc',
            "metrics.json cannot be read (Unterminated string starting at: line 1 column 10 (char 9))",
        ),
        ("metrics.json", b"[]", "metrics.json cannot be read (it holds no JSON object)"),
        ("metrics.json", None, "metrics.json is missing or holds no figures"),
        ("metrics.json", b"[" * 100_000, "metrics.json cannot be read (it is nested more than 64 levels deep)"),
        ("provenance.json", b"", "provenance.json cannot be read (Expecting value: line 1 column 1 (char 0))"),
        ("run.yaml", b"a: [", "run.yaml cannot be read"),
        ("run.yaml", b"\xff\xfe\x00", "run.yaml cannot be read"),
    ],
)
def test_a_damaged_run_is_kept_with_its_reason(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    directory = make_run(tmp_path / "run")
    if content is None:
        (directory / name).unlink()
    else:
        (directory / name).write_bytes(content)
    (run,) = read(directory)
    assert (run.status, run.reason) == ("damaged", reason)


def test_validations_within_an_epoch_add_no_time(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run")
    edit(directory, "provenance.json", fit_seconds=None)
    (directory / "history.csv").write_text("epoch,val_loss,seconds\n0.5,3,2\n1.0,2,5\n1.5,1,3\n")
    (run,) = read(directory)
    assert run.history.index.tolist() == [0.5, 1, 1.5] and run.seconds == 8.0


def test_figures_that_are_none_are_no_figures(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "run")
    edit(directory, "metrics.json", val="<b>", test={"accuracy": {"value": "high", "low": [], "high": "1e400"}})
    edit(directory, "provenance.json", fit_seconds="long")
    (directory / "history.csv").write_text("epoch,val_loss,seconds,note\n1,0.5,2,x\n2,inf,3,y\n3")
    (run,) = read(directory)
    assert list(run.metrics) == ["test"]
    assert flatten_metrics(run.metrics["test"]) == {"accuracy": None, "accuracy.high": None}
    assert (run.seconds, run.images_per_second) == (5.0, None)
    assert run.history["val_loss"].isna().tolist() == [False, True, True] and "note" not in run.history
    for useless in (b"\x00\xff", b"epoch," + b"a," * 100_000 + b"b\n1", b"epoch\n" + b"1\n" * 4_000_000):
        (directory / "history.csv").write_bytes(useless)
        assert read(directory)[0].history.empty


def test_a_job_that_never_became_a_run_is_there(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "job.json").write_text(
        json.dumps({"status": "failed", "reason": "optimizer.lr=-1: must be above 0"})
    )
    (run,) = read(tmp_path)
    assert (run.label, run.status, run.reason) == ("3", "failed", "optimizer.lr=-1: must be above 0")
    assert (run.settings, run.metrics) == ({}, {})


def test_names_cannot_move_the_cursor(tmp_path: Path) -> None:
    make_run(tmp_path / "\x1b[31mred\n")
    (run,) = read(tmp_path)
    assert run.label == "\ufffd[31mred\ufffd"
