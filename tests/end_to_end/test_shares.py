"""infer.py -m: videos shared out among jobs, killed, resumed and joined: the bytes of one run."""

import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import yaml
from filelock import FileLock

from fer.synthetic.study import write_study
from tests.helpers.programs import INFER, provenance_of, run, start, tables_are_the_same, wait_for

PARTIAL = 3
LAUNCHERS = {
    "basic": (),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra/launcher=submitit_local",),
}


@pytest.fixture(scope="module")
def options(model: Path) -> tuple[str, ...]:
    """How all runs are made."""
    return (f"model_uri={model}", "trainer.threads=1", "extraction=haar", "extraction.fps=1")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawn recordings of different lengths, and a file that is no video."""
    directory = tmp_path_factory.mktemp("shared-out")
    folder = write_study(directory, count=4, seconds=12.0, size=96, fps=2).parent / "recordings"
    (folder / "r03_broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def whole(recordings: Path, options: tuple[str, ...], workplace: Path) -> Path:
    """The run of one process."""
    directory = workplace / "shares-of-one"
    done = run(INFER, f"extraction.input={recordings}", *options, f"hydra.run.dir={directory}", cwd=workplace)
    assert done.returncode == PARTIAL, done.stderr
    return directory


@pytest.fixture(scope="module")
def study(recordings: Path) -> Path:
    """The study of the drawn recordings, with one contrast of each kind that needs no other package."""
    path = recordings.with_name("study.yaml")
    content = yaml.safe_load(path.read_text())
    content["contrasts"] = [contrast for contrast in content["contrasts"] if contrast["kind"] != "mixed"]
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def whole_study(study: Path, options: tuple[str, ...], workplace: Path) -> Path:
    """The run of one process."""
    directory = workplace / "study-of-one"
    done = run(INFER, f"extraction.study={study}", *options, f"hydra.run.dir={directory}", cwd=workplace)
    assert done.returncode == 0, done.stderr
    return directory


def is_the_same(whole: Path, joined: Path) -> bool:
    others = ("run.yaml", "persons.parquet", "videos.csv")
    return tables_are_the_same(whole, joined) and all(
        (whole / name).read_bytes() == (joined / name).read_bytes() for name in others
    )


def test_shares_are_joined_to_the_bytes_of_one_run(
    recordings: Path, options: tuple[str, ...], whole: Path, workplace: Path
) -> None:
    sweep = workplace / "shares"
    side_by_side = ("extraction.shares=3", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    given = (f"extraction.input={recordings}", *options, *side_by_side, f"hydra.sweep.dir={sweep}")
    done = run(INFER, "-m", *given, cwd=workplace)
    assert done.returncode == PARTIAL, done.stdout + done.stderr
    assert "3 of 3 jobs are done" in done.stdout and f"Report: {sweep / 'run' / 'report.html'}" in done.stdout
    assert is_the_same(whole, sweep / "run")
    assert provenance_of(sweep / "run")["status"] == "finished"
    assert provenance_of(sweep / "run")["detector"] == provenance_of(whole)["detector"]


@pytest.mark.parametrize(
    "launcher", ["basic", *(pytest.param(name, marks=pytest.mark.slow) for name in ("joblib", "submitit_local"))]
)
def test_shares_of_a_study_are_joined_to_the_study_of_one_run(
    launcher: str, study: Path, options: tuple[str, ...], whole_study: Path, workplace: Path
) -> None:
    sweep = workplace / f"study-by-{launcher}"
    given = (f"extraction.study={study}", *options, "extraction.shares=2", *LAUNCHERS[launcher])
    done = run(INFER, "-m", *given, f"hydra.sweep.dir={sweep}", cwd=workplace)
    assert done.returncode == 0, done.stdout + done.stderr
    joined = sweep / "run"
    assert is_the_same(whole_study, joined)
    assert (joined / "study.yaml").read_bytes() == (whole_study / "study.yaml").read_bytes()
    assert (joined / "study.html").is_file()
    found = provenance_of(joined)["study"]
    assert found == provenance_of(whole_study)["study"]
    assert found["excluded"] == {"recordings": 2, "respondents": 1}
    tables = sorted(path.name for path in (whole_study / "study").iterdir())
    assert "contrasts.parquet" in tables and sorted(path.name for path in (joined / "study").iterdir()) == tables
    for name in tables:
        assert (joined / "study" / name).read_bytes() == (whole_study / "study" / name).read_bytes(), name


def test_a_killed_sweep_goes_on_to_the_same_bytes(
    recordings: Path, options: tuple[str, ...], whole: Path, workplace: Path
) -> None:
    sweep = workplace / "killed-shares"
    given = (f"extraction.input={recordings}", *options)
    process = start(INFER, "-m", *given, "extraction.shares=2", f"hydra.sweep.dir={sweep}", cwd=workplace)
    wait_for(lambda: (sweep / "1" / "parts" / "00001" / "video.json").is_file(), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (sweep / "run").exists() and (sweep / "0" / "job.json").is_file()
    kept = (sweep / "1" / "parts" / "00001" / "video.json").stat().st_mtime_ns
    done = run(INFER, f"sweep.resume={sweep}", cwd=workplace)
    assert done.returncode == PARTIAL, done.stdout + done.stderr
    assert "#0 was done before" in done.stdout
    assert is_the_same(whole, sweep / "run")
    assert (sweep / "run" / "parts" / "00001" / "video.json").stat().st_mtime_ns == kept


def test_a_share_that_failed_is_told_and_done_when_the_sweep_is_resumed(
    recordings: Path, options: tuple[str, ...], workplace: Path, tmp_path: Path
) -> None:
    folder, sweep = tmp_path / "clips", workplace / "failed-share"
    folder.mkdir()
    for name in ("r01_spot_a.mp4", "r01_spot_b.mp4"):
        shutil.copyfile(recordings / name, folder / name)
    (sweep / "1").mkdir(parents=True)
    with FileLock(sweep / "1" / ".lock"):
        given = (f"extraction.input={folder}", *options, "extraction.shares=2", f"hydra.sweep.dir={sweep}")
        done = run(INFER, "-m", *given, cwd=workplace)
    assert done.returncode == PARTIAL, done.stdout + done.stderr
    assert f"1 of 2 jobs failed; to try them again: python infer.py sweep.resume={sweep}" in done.stderr
    assert "another process is at work on this run" in done.stdout and not (sweep / "run").exists()
    again = run(INFER, f"sweep.resume={sweep}", cwd=workplace)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(pd.read_parquet(sweep / "run" / "videos.parquet")) == 2
