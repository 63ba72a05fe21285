"""`python -m benchmarks.study`: a study of 200 recordings of a minute: time, memory, and a kill that changes no byte.

A few drawn recordings stand under many names, each with another onset. The study is analysed at one go, with a tenth of
its recordings to see what grows, and once more with a kill half way and, with `--shares`, shared out among jobs.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from fer.core.installation import PROJECT_ROOT
from fer.core.io import compute_sha256
from fer.core.run_layout import PARTS_DIR
from fer.infer.chunk_store import COMPLETION_FILE
from fer.synthetic.study import CUSTOMERS, SPOTS, plan_sitting
from fer.synthetic.study_videos import write_sitting, write_stimulus

DRAWN, LEAD_S = 4, 5.0
SIZE, FPS = 240, 10  # of the recordings, pixels and frames a second
POLL_S = 0.2
TABLES = ("predictions.parquet", "predictions.csv", "videos.parquet", "persons.parquet")


@dataclass(frozen=True)
class Usage:
    """What a command took: seconds, seconds of all cores together, peak resident memory in MiB."""

    seconds: float
    cpu_seconds: float
    memory_mib: float


def make_study(directory: Path, count: int, seconds: float) -> Path:
    """Make a study of so many recordings, a pair of each respondent; returns study.yaml."""
    sittings = [plan_sitting(number + 4, SPOTS[number % 2], seconds - LEAD_S - 2, seed=0) for number in range(DRAWN)]
    for number, sitting in enumerate(sittings):
        write_sitting(directory / f"drawn-{number}.mp4", sitting, SIZE, FPS)
    length = min(sitting.seconds - sitting.onset_s for sitting in sittings) - 3
    for spot in SPOTS:
        write_stimulus(directory / f"{spot}.mp4", length, [length / 2], {"logo": length / 3}, seed=0)
    recordings = []
    (directory / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        respondent, spot = f"r{number // 2:03d}", SPOTS[number % 2]
        file = directory / "recordings" / f"{respondent}_{spot}.mp4"
        os.link(directory / f"drawn-{number % DRAWN}.mp4", file)
        onset = round(float(rng.uniform(2, LEAD_S)), 2)
        recordings.append(
            {"file": f"recordings/{file.name}", "respondent": respondent, "stimulus": spot, "onset_s": onset}
        )
    respondents = {
        f"r{number:03d}": {"consent": True, "groups": {"customer": CUSTOMERS[number % 2]}}
        for number in range((count + 1) // 2)
    }
    contrasts = [
        {"kind": "between", "factor": "customer", "a": CUSTOMERS[0], "b": CUSTOMERS[1]},
        {"kind": "within", "factor": "stimulus", "a": SPOTS[0], "b": SPOTS[1]},
    ]
    content = {
        "stimuli": {spot: {"file": f"{spot}.mp4", "duration_s": round(length, 2)} for spot in SPOTS},
        "respondents": respondents,
        "recordings": recordings,
        "baseline": {"start_s": -2.0, "end_s": 0.0},
        "contrasts": contrasts,
    }
    path = directory / "study.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def run_infer(*arguments: str) -> Usage:
    """Run infer.py to its end, and measure it with the processes that it has waited for."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "infer.py"), *arguments], stdout=subprocess.DEVNULL, stderr=sys.stderr
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"infer.py {' '.join(arguments)} failed")
    return Usage(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def kill_half_way(run: Path, count: int, *arguments: str) -> int:
    """Start infer.py and kill it when half of the recordings are finished; returns how many were."""
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "infer.py"), *arguments, f"hydra.run.dir={run}"], stdout=subprocess.DEVNULL
    )
    while process.poll() is None:
        finished = len(list((run / PARTS_DIR).glob(f"*/{COMPLETION_FILE}")))
        if finished >= count / 2:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return finished
        time.sleep(POLL_S)
    sys.exit("infer.py had ended before it was killed")


def find_differences(first: Path, second: Path) -> list[str]:
    """The tables of two runs whose bytes differ, those of the study too."""
    tables = [*TABLES, *sorted(str(path.relative_to(first)) for path in (first / "study").glob("*.parquet"))]
    return [name for name in tables if compute_sha256(first / name) != compute_sha256(second / name)]


def report(title: str, usage: Usage, count: int) -> None:
    """Print what a run took."""
    print(
        f"{title}: {usage.seconds:.0f} s, {usage.cpu_seconds:.0f} s of all cores, peak {usage.memory_mib:.0f} MiB, "
        f"{usage.cpu_seconds / count:.2f} s of a core a recording",
        flush=True,
    )


def measure(directory: Path, count: int, named: Sequence[str], small: Sequence[str], shares: int) -> None:
    """Measure and print. ``named`` and ``small`` name the study, and a tenth of it, with the other overrides."""
    whole = directory / "run"
    tenth_usage = run_infer(*small, f"hydra.run.dir={directory / 'tenth'}")
    report(f"{count // 10} recordings", tenth_usage, count // 10)
    usage = run_infer(*named, f"hydra.run.dir={whole}")
    report(f"{count} recordings", usage, count)
    print(f"memory {usage.memory_mib / tenth_usage.memory_mib:.2f} of that of a tenth", flush=True)
    killed = directory / "killed"
    finished = kill_half_way(killed, count, *named)
    report(f"resumed after a kill behind {finished} recordings", run_infer(f"resume={killed}"), count)
    print(f"tables that differ: {find_differences(whole, killed) or 'none'}", flush=True)
    if shares:
        sweep = directory / "sweep"
        launcher = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={shares}")
        run = run_infer("-m", *named, f"extraction.shares={shares}", *launcher, f"hydra.sweep.dir={sweep}")
        report(f"{shares} jobs at a time", run, count)
        print(f"tables that differ: {find_differences(whole, sweep / 'run') or 'none'}", flush=True)


def main() -> None:
    """Make the studies, measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="recordings")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a recording, about")
    parser.add_argument("--shares", type=int, default=0, help="also shared out among so many jobs at a time")
    parser.add_argument("--tables-only", action="store_true", help="the recordings without the study's statistics")
    parser.add_argument("overrides", nargs="*", help="of infer.py")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        named = []
        for name, count in (("whole", args.count), ("small", args.count // 10)):
            folder = Path(temporary) / name
            folder.mkdir()
            path = make_study(folder, count, args.seconds)
            study = f"extraction.input={folder / 'recordings'}" if args.tables_only else f"extraction.study={path}"
            named.append([study, *args.overrides])
        measure(Path(temporary), args.count, named[0], named[1], args.shares)


if __name__ == "__main__":
    main()
