"""infer.py run again, stage by stage, and continued after it was killed or had no room: the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import numpy as np
import pytest

from fer.synthetic.video import write_clip
from tests.helpers.programs import (
    INFER,
    LARGE_FACES,
    PROBABILITIES,
    SMOOTHED,
    Program,
    environment,
    provenance_of,
    start,
    table_of,
    tables_are_the_same,
)


def test_a_second_run_gives_the_same_bytes(infer: Program, inferred: Path, clip: Path, workplace: Path) -> None:
    directory = workplace / "inferred-again"
    assert infer(f"extraction.input={clip}", "extraction.fps=5", f"hydra.run.dir={directory}").returncode == 0
    assert tables_are_the_same(inferred, directory)


def test_stage_by_stage_gives_the_same_table(infer: Program, inferred: Path, clip: Path, workplace: Path) -> None:
    directory = workplace / "staged"
    first = infer(
        *(f"extraction.input={clip}", "extraction.fps=5", "extraction.stages=[extract]"),
        f"hydra.run.dir={directory}",
    )
    assert first.returncode == 0, first.stderr
    assert len(list((directory / "crops").rglob("*.png"))) == (table_of(inferred)["status"] == "ok").sum()
    for stage in ("predict", "report"):
        done = infer(f"resume={directory}", f"extraction.stages=[{stage}]")
        assert done.returncode == 0, done.stderr
    assert tables_are_the_same(inferred, directory)


def test_a_killed_run_goes_on_to_the_same_bytes(
    infer: Program,
    model: Path,
    clip: Path,
    workplace: Path,
    tmp_path: Path,
    stopped: Callable[[Popen[str]], None],
) -> None:
    copies = workplace / "copies"
    copies.mkdir()
    # The first one has two pieces.
    shutil.copyfile(clip, copies / "0.mp4")
    write_clip(tmp_path, seconds=2).rename(copies / "1.mp4")
    chosen = [f"model_uri={model}", f"extraction.input={copies}", "extraction.sampling=all", "trainer.threads=1"]
    chosen.append(LARGE_FACES)
    whole, broken = workplace / "uninterrupted", workplace / "interrupted"
    assert infer(*chosen[1:], f"hydra.run.dir={whole}").returncode == 0
    process = start(INFER, *chosen, f"hydra.run.dir={broken}", cwd=workplace)
    stopped(process)
    deadline = time.monotonic() + 200
    while len(list(broken.glob("parts/*/*.parquet"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in broken.glob("parts/*/*.parquet")}
    assert not (broken / "predictions.parquet").exists()
    done = infer(f"resume={broken}")
    assert done.returncode == 0, done.stderr
    assert tables_are_the_same(whole, broken)
    assert all(path.stat().st_mtime_ns == moment for path, moment in before.items())


def test_a_run_without_room_keeps_what_it_has_and_goes_on(
    infer: Program, model: Path, inferred: Path, clip: Path, workplace: Path
) -> None:
    directory = workplace / "no-room"
    # Files of more than 16 KiB cannot be written: run.yaml can, a piece with its pictures cannot.
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384)); "
        f"sys.argv[0] = {INFER!r}; runpy.run_path({INFER!r}, run_name='__main__')"
    )
    chosen = (f"model_uri={model}", "trainer.threads=1", f"extraction.input={clip}", "extraction.fps=5", LARGE_FACES)
    (workplace / "program.py").write_text(limited)
    command = [sys.executable, "program.py", *chosen, f"hydra.run.dir={directory}"]
    done = subprocess.run(command, cwd=workplace, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "file too large; make room" in done.stderr and ".parquet" in done.stderr
    assert provenance_of(directory)["status"] == "failed"
    assert not list(directory.rglob("*.part"))
    assert infer(f"resume={directory}").returncode == 0
    assert tables_are_the_same(inferred, directory)


def test_judging_waits_for_no_report(infer: Program, clip: Path, tmp_path: Path) -> None:
    """A report on faces that nobody judged is refused, and the remedy that is named works."""
    run = tmp_path / "run"
    assert infer(f"extraction.input={clip}", "extraction.stages=[extract]", f"hydra.run.dir={run}").returncode == 0
    refused = infer(f"resume={run}", "extraction.stages=[report]")
    assert refused.returncode == 1 and "not classified yet" in refused.stderr and "Traceback" not in refused.stderr
    done = infer(f"resume={run}", "extraction.stages=[extract,predict,report]")
    assert done.returncode == 0, done.stderr
    assert table_of(run)["emotion"].notna().sum() > 3


def test_a_resumed_run_keeps_its_configuration(infer: Program, inferred: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(inferred, directory)
    done = infer(f"resume={directory}", "extraction.fps=2")
    assert done.returncode == 2
    assert "extraction.fps" in done.stderr
    smoothed = infer(f"resume={directory}", "extraction.stages=[report]", "extraction.smoothing.kind=none")
    assert smoothed.returncode == 0, smoothed.stderr
    table = table_of(directory)
    ok = table["status"] == "ok"
    np.testing.assert_allclose(table.loc[ok, SMOOTHED], table.loc[ok, PROBABILITIES], atol=1e-6)
    assert json.loads((directory / "provenance.json").read_text())["resumed"]


@pytest.mark.parametrize("file", ["media.json", "00000/000000.parquet", "00000/video.json"])
def test_damage_to_what_is_finished_is_a_sentence(infer: Program, inferred: Path, tmp_path: Path, file: str) -> None:
    directory = tmp_path / "run"
    shutil.copytree(inferred, directory)
    damaged = directory / "parts" / file
    damaged.write_text("garbage")
    done = infer(f"resume={directory}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and f"{damaged}: is damaged" in done.stderr
    if damaged.parent.name == "00000":
        # The remedy that is named.
        shutil.rmtree(damaged.parent)
        assert infer(f"resume={directory}").returncode == 0
        assert tables_are_the_same(inferred, directory)
