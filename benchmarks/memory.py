"""`python -m benchmarks.memory --model RUN --clip CLIP`: infer.py's memory and speed on an hour against two minutes.

Both videos are the clip again and again, so that only the length differs. Rows a second are counted between the first
and the last finished chunk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.video import repeat_clip
from fer.core.installation import PROJECT_ROOT
from fer.infer.chunk_store import ChunkStore
from fer.video.reader import open_video

LENGTHS_S = (120, 3600)


def measure(video: Path, model: str, overrides: list[str], folder: Path) -> tuple[float, float]:
    """(peak resident memory in MiB, rows a second) of one infer.py."""
    command = [sys.executable, str(PROJECT_ROOT / "infer.py"), f"model_uri={model}", f"extraction.input={video}"]
    process = subprocess.Popen([*command, *overrides, f"hydra.run.dir={folder}"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"infer.py failed on {video}")
    first, *others = ChunkStore.for_video(folder, 0).list_chunks()
    rows = sum(len(pd.read_parquet(file, columns=["frame"])) for file in others)
    return usage.ru_maxrss / 1024, rows / (others[-1].stat().st_mtime - first.stat().st_mtime)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--model", required=True, help="run directory of a trained model")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("overrides", nargs="*", help="of infer.py")
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        for length in LENGTHS_S:
            folder = Path(temporary) / str(length)
            folder.mkdir()
            video = repeat_clip(args.clip, round(length / open_video(args.clip).duration_s), folder)
            memory, speed = results[length] = measure(video, args.model, args.overrides, folder / "run")
            print(f"{length} s: peak {memory:.0f} MiB, {speed:.1f} rows/s", flush=True)
    memory, speed = (long / short for short, long in zip(*results.values(), strict=True))
    print(f"memory {memory:.3f}, rows/s {speed:.3f} of the short one's; aim both within 10 %")


if __name__ == "__main__":
    main()
