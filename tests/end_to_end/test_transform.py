"""infer.py inference.route=transform on this machine: the same table as in one process, whatever is killed."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import numpy as np
import pandas as pd
import psutil
import pytest

from fer.core.io import atomic_write
from fer.infer.transform.stage import build_requests
from fer.runs.run_directory import load_run_config
from tests.helpers.aws_simulator.killing import compared
from tests.helpers.cloud_programs import Place, answered, assert_same_table, servers_below, succeeded
from tests.helpers.programs import LARGE_FACES, PROBABILITIES, provenance_of, table_of
from tests.helpers.registering import until

ROUTE = "inference.route=transform"
JUDGING = "extraction.stages=[predict,report]"
PATIENCE_S = 200


@pytest.fixture(scope="module")
def place(workplace: Path) -> Place:
    return Place.of(workplace / "transform", {})


@pytest.fixture(scope="module")
def chosen(model: Path, clip: Path) -> tuple[str, ...]:
    """The same model and faces as those of the run ``inferred``."""
    return (f"model_uri={model}", f"extraction.input={clip}", "extraction.fps=5", LARGE_FACES, ROUTE)


@pytest.fixture(scope="module")
def extracted(place: Place, chosen: tuple[str, ...]) -> Path:
    """A run whose faces are to be judged in small shards, one at a time."""
    run = place.directory / "extracted"
    packing = ("aws.transform.shard_mb=0.1", "aws.transform.max_concurrent=1")
    succeeded(place.infer(*chosen, *packing, "extraction.stages=[extract]", f"hydra.run.dir={run}"))
    return run


@dataclass(frozen=True)
class Halted:
    """infer.py that waits for the content of the shard in the middle, and the server that has answered the others."""

    process: "Popen[str]"
    server: psutil.Process
    run: Path
    middle: Path
    content: bytes

    def restore(self) -> None:
        with atomic_write(self.middle) as beside:
            beside.write_bytes(self.content)


@pytest.fixture
def halted(
    place: Place,
    extracted: Path,
    inferred: Path,
    tmp_path: Path,
    stopped: Callable[[Popen[str]], None],
) -> Halted:
    run = Path(shutil.copytree(extracted, tmp_path / "run"))
    requests = build_requests(load_run_config(run, "infer"), run, 1)
    half = len(requests) // 2
    middle = requests[half].path
    content = middle.read_bytes()
    middle.unlink()
    # Whoever reads a pipe waits until somebody writes.
    os.mkfifo(middle)
    process = place.begin(f"resume={run}", JUDGING)
    stopped(process)
    until(lambda: answered(run) == half or process.poll() is not None, PATIENCE_S)
    (server,) = servers_below(process.pid)
    return Halted(process, server, run, middle, content)


def test_killed_infer_leaves_no_server_and_resumes_to_the_same_table(
    place: Place, halted: Halted, inferred: Path
) -> None:
    halted.process.kill()
    halted.process.communicate()
    before = {path: path.stat().st_mtime_ns for path in halted.run.glob("shards/*.out")}
    psutil.wait_procs([halted.server], PATIENCE_S)
    assert not halted.server.is_running()
    halted.restore()
    succeeded(place.infer(f"resume={halted.run}", JUDGING))
    assert_same_table(halted.run, inferred)
    assert before and all(path.stat().st_mtime_ns == moment for path, moment in before.items())


def test_killed_server_is_started_again(halted: Halted, inferred: Path) -> None:
    halted.server.kill()
    with halted.middle.open("wb") as pipe:
        halted.restore()
        pipe.write(halted.content)
    output, errors = halted.process.communicate(timeout=PATIENCE_S)
    assert halted.process.returncode == 0, output + errors
    assert f"{halted.middle.name}: no answer" in output and "Traceback" not in output + errors
    assert_same_table(halted.run, inferred)
    assert provenance_of(halted.run)["status"] == "finished"


def test_server_that_is_killed_before_it_is_ready_is_a_sentence(
    place: Place, extracted: Path, inferred: Path, tmp_path: Path, stopped: Callable[[Popen[str]], None]
) -> None:
    run = Path(shutil.copytree(extracted, tmp_path / "run"))
    process = place.begin(f"resume={run}", JUDGING)
    stopped(process)
    until(lambda: servers_below(process.pid), PATIENCE_S)[0].kill()
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "Traceback" not in errors
    assert "the server of the packaged model" in errors
    assert provenance_of(run)["status"] == "failed"


def test_single_pictures_lose_what_jpeg_loses(place: Place, inferred: Path, chosen: tuple[str, ...]) -> None:
    run = place.directory / "pictures"
    succeeded(place.infer(*chosen, "aws.transform.packing=image", f"hydra.run.dir={run}"))
    found, expected = table_of(run), table_of(inferred)
    assert found["status"].tolist() == expected["status"].tolist()
    assert answered(run) == (found["status"] == "ok").sum()
    difference = np.nanmax(np.abs(found[PROBABILITIES] - expected[PROBABILITIES]))
    assert 0 < difference < 0.1


def test_tables_after_a_kill_are_compared_row_by_row(inferred: Path) -> None:
    expected = pd.read_csv(inferred / "predictions.csv")
    assert compared(expected.copy(), expected) == (0, "")
    shifted = expected.assign(p_fear=expected["p_fear"] + 1e-3)
    assert compared(shifted, expected)[1] == "probabilities differ by 1.0e-03"
    assert compared(expected[:-1], expected)[1] == "the table has other rows"
    assert compared(expected.assign(status="ok"), expected)[1] == "the table has other rows"
    assert compared(expected.assign(p_fear=np.nan), expected)[1] == "the table has other gaps"
