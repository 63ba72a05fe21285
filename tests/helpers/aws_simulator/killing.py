"""Kills what takes part in batch transforms.

`python -m tests.helpers.aws_simulator.killing --times 20 --model RUN` kills by turns and at
random moments, goes on with each batch until it is done, and compares its table with that of an undisturbed run.

The exit code is 1 where a table differs, or a server is left behind.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from fer.synthetic.video import write_clip
from tests.helpers.aws_simulator.simulator import Simulated, simulated_aws
from tests.helpers.cloud_programs import (
    ANY_MODEL,
    BUCKET,
    NAME,
    REGISTER,
    REGISTERING,
    SAGEMAKER,
    TOLERANCE,
    Place,
    answered,
    servers_below,
    succeeded,
)
from tests.helpers.registering import until

INFER, SERVER, POLLER, ANSWERING = "infer.py", "server", "poller", "answering"
VICTIMS = {"local": (SERVER, INFER), "sagemaker": (SERVER, INFER, POLLER)}
SECONDS = 8  # of the clip
LOOK_S, LONGEST_S = 0.05, 300
MOST_STARTS = 5


@dataclass(frozen=True)
class Batch:
    """What is judged again and again by ``command`` of infer.py.

    ``answers`` counts the objects of a run that are answered, ``expected`` is the undisturbed run's table, ``lasting``
    how many seconds each victim was there in it, and how many from the first answer to the server's end.
    """

    place: Place
    command: tuple[str, ...]
    answers: Callable[[Path], int]
    expected: pd.DataFrame
    lasting: dict[str, float]


@dataclass(frozen=True)
class Killed:
    """What a kill hit, and what came of it: ``problem`` is empty where the final table is as it must be."""

    victim: str
    seconds: float
    answered: int
    starts: int
    difference: float
    problem: str

    def __str__(self) -> str:
        then = f"{self.starts} more starts" if self.starts else "went on by itself"
        found = self.problem or f"table complete, largest difference {self.difference:.1e}"
        return f"{self.victim:9} after {self.seconds:5.2f} s, {self.answered:3} objects answered; {then:17}; {found}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.helpers.aws_simulator.killing", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--model", type=Path, required=True, help="a finished run of train.py")
    parser.add_argument("--route", choices=list(VICTIMS), default="local")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, prepared(chosen.route, chosen.model, Path(folder)) as batch:
        print(f"Undisturbed: {len(batch.expected)} rows; seconds: {batch.lasting}", flush=True)
        for number, killed in enumerate(killings(batch, chosen.route, chosen.times, chosen.seed), start=1):
            print(f"{number:2} {killed}", flush=True)
            wrong += bool(killed.problem)
    print(f"{chosen.times} kills; {chosen.times - wrong} final tables complete and right", flush=True)
    return 1 if wrong else 0


@contextmanager
def prepared(route: str, model: Path, folder: Path) -> Iterator[Batch]:
    """The batch, judged once undisturbed, for as long as the block lasts."""
    clip = write_clip(folder / "clip", seconds=SECONDS)
    # Several objects, one after the other, so that there are moments between them.
    packed = ("aws.transform.shard_mb=0.1", "aws.transform.max_concurrent=1")
    chosen = (f"extraction.input={clip}", "extraction.sampling=all", "inference.flip=true", *packed)
    if route == "local":
        place = Place.of(folder, {})
        yield undisturbed(place, (f"model_uri={model.absolute()}", "inference.route=transform", *chosen), answered)
        return
    with simulated_aws() as aws:
        aws.client("s3").create_bucket(Bucket=BUCKET)
        place = Place.of(folder, aws.environment)
        succeeded(place.run(REGISTER, f"model_uri={model.absolute()}", *ANY_MODEL, *REGISTERING))
        yield undisturbed(place, (f"model_uri=models:/{NAME}/1", *SAGEMAKER, *chosen), partial(answered_in_s3, aws))


def answered_in_s3(aws: Simulated, run: Path) -> int:
    state = run / "shards" / "transform.json"
    if not state.is_file():
        return 0
    prefix = f"fer/jobs/{json.loads(state.read_text())['id']}/output/"
    return int(aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"])


def undisturbed(place: Place, command: tuple[str, ...], answers: Callable[[Path], int]) -> Batch:
    """Judge once, and see how long each victim is there."""
    run = place.directory / "undisturbed"
    process = place.begin(*command, f"hydra.run.dir={run}")
    seen: dict[str, list[float]] = {}
    while process.poll() is None:
        phases = [victim for victim in (INFER, SERVER, POLLER) if there(victim, run)]
        if SERVER in phases and answers(run):
            phases.append(ANSWERING)
        for phase in phases:
            seen.setdefault(phase, []).append(time.monotonic())
        time.sleep(LOOK_S)
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    lasting = {phase: round(moments[-1] - moments[0], 2) for phase, moments in seen.items()}
    return Batch(place, command, answers, pd.read_csv(run / "predictions.csv"), lasting)


def there(victim: str, run: Path) -> bool:
    """Whether a victim is there to be killed."""
    if victim == SERVER:
        return bool(servers_below(os.getpid()))
    if victim == POLLER:
        state = run / "shards" / "transform.json"
        return state.is_file() and bool(json.loads(state.read_text())["jobs"])
    return True


def killings(batch: Batch, route: str, times: int, seed: int) -> Iterator[Killed]:
    """So many kills; a batch that was done before its moment came does not count."""
    drawn, done = random.Random(seed), 0
    for number, victim in enumerate(cycle(VICTIMS[route])):
        if done == times:
            return
        # A server answers for the least of its time: about half of them are killed in just that.
        phase = ANSWERING if victim == SERVER and drawn.random() < 0.5 else victim
        killed = kill(batch, victim, phase, drawn.random() * batch.lasting[phase], f"run-{number}")
        if killed is not None:
            done += 1
            yield killed


def kill(batch: Batch, victim: str, phase: str, seconds: float, name: str) -> Killed | None:
    """Kill ``victim`` so many seconds after the phase has begun, then go on; None where it was gone by then."""
    run = batch.place.directory / name
    process = batch.place.begin(*batch.command, f"hydra.run.dir={run}")

    def begun() -> bool:
        return batch.answers(run) > 0 if phase == ANSWERING else there(victim, run)

    try:
        until(lambda: process.poll() is not None or begun(), LONGEST_S)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        hit = process.poll() is None and strike(victim, process)
        so_far = batch.answers(run)
        process.communicate(timeout=LONGEST_S)
    finally:
        process.kill()
        process.wait()
    if not hit:
        return None
    starts, problem = 0, ""
    code = process.returncode
    while code and starts < MOST_STARTS:
        starts += 1
        if (run / "parts" / "media.json").is_file():
            done = batch.place.infer(f"resume={run}")
        else:
            # Killed before there was anything to go on with.
            run = run.with_name(f"{run.name}-again")
            done = batch.place.infer(*batch.command, f"hydra.run.dir={run}")
        code, problem = done.returncode, done.stderr.strip()
    if code:
        return Killed(victim, seconds, so_far, starts, np.nan, f"it was never done: {problem}")
    difference, problem = compared(pd.read_csv(run / "predictions.csv"), batch.expected)
    return Killed(victim, seconds, so_far, starts, difference, problem or left_behind(run))


def strike(victim: str, process: "subprocess.Popen[str]") -> bool:
    """Kill at once; False where there is nothing to be killed."""
    if victim != SERVER:
        process.kill()
        return True
    servers = servers_below(os.getpid())
    for server in servers:
        server.kill()
    return bool(servers)


def compared(found: pd.DataFrame, expected: pd.DataFrame) -> tuple[float, str]:
    """The largest difference of a probability, and what is wrong with the table."""
    figures = [name for name in expected if name.startswith(("p_", "s_")) or name == "confidence"]
    if not found.drop(columns=figures).equals(expected.drop(columns=figures)):
        return np.nan, "the table has other rows"
    if not found[figures].isna().equals(expected[figures].isna()):
        return np.nan, "the table has other gaps"
    difference = float(np.nanmax(np.abs(found[figures].to_numpy() - expected[figures].to_numpy())))
    return difference, "" if difference <= TOLERANCE else f"probabilities differ by {difference:.1e}"


def left_behind(run: Path) -> str:
    """A server of this run that still runs although it was given time to end."""

    def serving() -> list[int]:
        processes = psutil.process_iter(["cmdline"])
        return [process.pid for process in processes if any(str(run) in part for part in process.info["cmdline"] or [])]

    try:
        until(lambda: not serving())
    except AssertionError:
        return f"processes are left behind: {serving()}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
