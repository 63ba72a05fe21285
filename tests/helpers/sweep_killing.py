"""Kill random processes of sweeps at random moments, resume, and compare with a sweep that nobody disturbed.

`python -m tests.helpers.sweep_killing --times 10` prints a line a kill and ends with 1 if a job was lost, was done
twice or came out otherwise.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from fer.sweep.records import read_jobs
from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, environment, metrics_of

TRAIN = str(PROJECT / "train.py")
SWEEP = ("-m", *FAST, "trainer.max_epochs=2", "optimizer.lr=1e-3,2e-3,4e-3", "hydra/launcher=joblib")
LONGEST_S = 900
NOTHING = "nothing"


def sweep(place: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, TRAIN, *arguments],
        cwd=place,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def started(place: Path, directory: Path) -> "subprocess.Popen[bytes]":
    return sweep(place, *SWEEP, "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={directory}")


def figures(directory: Path) -> dict[int, dict[str, object]]:
    """The metrics of each finished job."""
    return {job.number: metrics_of(directory / str(job.number)) for job in read_jobs(directory) if job.is_done}


def written(directory: Path) -> dict[int, int]:
    """When the metrics of each finished job were written."""
    return {number: (directory / str(number) / "metrics.json").stat().st_mtime_ns for number in figures(directory)}


def kill_one(leader: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    """Kill the leader or a process below it; what it was."""
    family = [psutil.Process(leader.pid)]
    with suppress(psutil.NoSuchProcess):
        family += family[0].children(recursive=True)
    # What joblib keeps to clean up behind itself is no part of the work.
    family = [process for process in family if "resource_tracker" not in " ".join(process.cmdline())]
    victim = rng.choice(family)
    command = " ".join(victim.cmdline())
    what = "leader" if victim.pid == leader.pid else "job" if "resume=" in command else "worker"
    victim.send_signal(signal.SIGKILL)
    return what


def once(place: Path, wanted: dict[int, dict[str, object]], seconds: float, rng: random.Random) -> str:
    """One kill and the resumes until the sweep is complete; what was killed (NOTHING where it had ended before).

    Raises AssertionError where a job was lost, was done twice or came out otherwise.
    """
    directory = Path(tempfile.mkdtemp(dir=place))
    leader = started(place, directory)
    family: list[psutil.Process] = []
    what = NOTHING
    time.sleep(rng.uniform(1, seconds))
    with suppress(psutil.NoSuchProcess):
        if leader.poll() is None:
            family = psutil.Process(leader.pid).children(recursive=True)
            what = kill_one(leader, rng)
    code = leader.wait(LONGEST_S)
    _, alive = psutil.wait_procs(family, timeout=20)
    orphans = [process for process in alive if "resume=" in " ".join(process.cmdline())]
    assert not orphans, "a job has outlived its sweep"
    before, resumes = written(directory), 0
    while code:
        assert resumes < 3, f"still incomplete after {resumes} resumes"
        code = sweep(place, f"sweep.resume={directory}").wait(LONGEST_S)
        resumes += 1
    assert figures(directory) == wanted, "the jobs came out otherwise"
    after = written(directory)
    assert before.items() <= after.items(), "a finished job was done again"
    assert {path.name for path in directory.iterdir() if path.is_dir()} == {str(number) for number in wanted}
    return f"{what}, {len(before)} of {len(wanted)} jobs done before, {resumes} resumed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.sweep_killing")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        start = time.monotonic()
        assert started(place, place / "undisturbed").wait(LONGEST_S) == 0
        seconds = time.monotonic() - start
        wanted = figures(place / "undisturbed")
        print(json.dumps({"jobs": len(wanted), "seconds": round(seconds, 1)}), flush=True)
        wrong = killed = 0
        while killed < chosen.times:
            try:
                outcome = once(place, wanted, seconds, rng)
            except AssertionError as error:
                wrong += 1
                outcome = f"WRONG: {error}"
            killed += not outcome.startswith(NOTHING)
            print(f"{killed}: {outcome}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
