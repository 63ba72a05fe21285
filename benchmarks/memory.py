"""`python -m benchmarks.memory --model RUN --clip CLIP`: infer.py's memory and speed on an hour against two minutes.

Both videos are the clip again and again, so that only the length differs; with `--many` they are folders of 20 and of
200 copies of the clip. Rows a second are counted from when the model is loaded to the last finished chunk.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.video import repeat_clip
from fer.core.installation import PROJECT_ROOT
from fer.core.run_layout import PARTS_DIR, PERFORMANCE_JSON
from fer.infer.chunk_store import ChunkStore
from fer.video.reader import open_video

LENGTHS_S = (120, 3600)
COPIES = (20, 200)


def measure(videos: Path, count: int, model: str, overrides: list[str], folder: Path) -> tuple[float, float]:
    """(peak resident memory in MiB, rows a second) of one infer.py on ``count`` videos."""
    command = [sys.executable, str(PROJECT_ROOT / "infer.py"), f"model_uri={model}", f"extraction.input={videos}"]
    process = subprocess.Popen([*command, *overrides, f"hydra.run.dir={folder}"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"infer.py failed on {videos}")
    begun = (folder / PARTS_DIR / PERFORMANCE_JSON).stat().st_mtime
    chunks = [file for video in range(count) for file in ChunkStore.for_video(folder, video).list_chunks()]
    rows = sum(pq.read_metadata(file).num_rows for file in chunks)
    return usage.ru_maxrss / 1024, rows / (max(file.stat().st_mtime for file in chunks) - begun)


def copy_clip(clip: Path, count: int, folder: Path) -> Path:
    """Put ``count`` copies of the clip into a folder of the folder."""
    copies = folder / "clips"
    copies.mkdir()
    for number in range(count):
        shutil.copyfile(clip, copies / f"{number:03d}{clip.suffix}")
    return copies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--model", required=True, help="run directory of a trained model, or pretrained")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--many", action="store_true", help="many clips instead of a long one")
    parser.add_argument("overrides", nargs="*", help="of infer.py")
    args = parser.parse_args()
    results = {}
    for size in COPIES if args.many else LENGTHS_S:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if args.many:
                videos, count = copy_clip(args.clip, size, folder), size
            else:
                videos, count = repeat_clip(args.clip, round(size / open_video(args.clip).duration_s), folder), 1
            memory, speed = results[size] = measure(videos, count, args.model, args.overrides, folder / "run")
        unit = "clips" if args.many else "s"
        print(f"{size} {unit}: peak {memory:.0f} MiB, {speed:.1f} rows/s", flush=True)
    memory, speed = (large / small for small, large in zip(*results.values(), strict=True))
    print(f"memory {memory:.3f}, rows/s {speed:.3f} of the small one's; aim both within 10 %")


if __name__ == "__main__":
    main()
