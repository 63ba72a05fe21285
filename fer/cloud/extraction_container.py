"""`python -m fer.cloud.extraction_container DIRECTORY`.

What one instance of a processing job does with its share of the videos.

DIRECTORY holds `input/task/`, as ``write_task`` has left it, and the instance's videos in `input/videos/`. For each of
them `output/NUMBER.zip` appears as soon as it is finished.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

from fer.cli import user_errors_to_exit_code
from fer.cloud.result_archive import format_result_name, pack_result
from fer.config import Config, Extraction
from fer.core.progress import track_progress
from fer.core.system import resolve_thread_count
from fer.infer.classify import write_chunks
from fer.infer.extract import FaceExtractor, FrameFaces, VideoEnd
from fer.infer.stages import count_detector_threads, count_frames, estimate_frames
from fer.infer.track_ids import TrackAssigner
from fer.video.detectors import find_weights
from fer.video.media import Media

TASK, WEIGHTS = "task.json", "detector.onnx"
log = logging.getLogger(__name__)


def write_task(config: Config, media: Mapping[int, Media], folder: str, directory: Path) -> None:
    """Tell all instances of a job how to extract what, in files below ``place``. Raises UserError.

    ``media`` are the videos by their number in the run, all in ``folder`` (s3://BUCKET/…/). The detector's weights
    are brought along: an instance has no network.
    """
    # Files of this machine, which extraction does not need.
    extraction = config.extraction.model_copy(update={"groups": None, "labels": None})
    if extraction.detector.kind == "yunet":
        weights = find_weights(extraction.detector.weights, Path(extraction.cache_dir))
        shutil.copyfile(weights, directory / WEIGHTS)
    content = {
        "extraction": extraction.model_dump(mode="json"),
        "threads": config.trainer.threads,
        "media": [
            {
                **{"number": number, "file": item.remote.removeprefix(folder)},
                **{"name": item.name, "kind": item.kind, "remote": item.remote},
            }
            for number, item in media.items()
        ],
    }
    (directory / TASK).write_text(json.dumps(content, indent=2), encoding="utf-8")


def extract_shard(directory: Path) -> None:
    """Extract the videos that are here, of those of the task. Raises UserError."""
    task_directory, videos = directory / "input" / "task", directory / "input" / "videos"
    task = json.loads((task_directory / TASK).read_text(encoding="utf-8"))
    if (task_directory / WEIGHTS).is_file():
        task["extraction"]["detector"]["weights"] = str(task_directory / WEIGHTS)
    config = Extraction.model_validate(task["extraction"])
    entries = [entry for entry in task["media"] if (videos / entry["file"]).is_file()]
    log.info("This instance has %d of the %d videos", len(entries), len(task["media"]))
    media = [Media(videos / entry["file"], entry["name"], entry["kind"], entry["remote"]) for entry in entries]
    work, output = directory / "work", directory / "output"
    output.mkdir(exist_ok=True)

    def each_packed(items: Iterator[FrameFaces | VideoEnd]) -> Iterator[tuple[FrameFaces | VideoEnd, None]]:
        for item in items:
            yield item, None
            # Whoever asks for the next item has written this one.
            if isinstance(item, VideoEnd):
                pack_result(work, item.video, work / "packed.zip")
                os.replace(work / "packed.zip", output / format_result_name(entries[item.video]["number"]))
                log.info("%s: %s", item.record["video"], item.record["problem"] or "extracted")

    threads = count_detector_threads(config, resolve_thread_count(task["threads"]))
    faces = FaceExtractor(config, work, threads, True, lambda _: nullcontext())
    frames = track_progress(faces.extract(media), estimate_frames(config, media), "Frames", "frames", size=count_frames)
    write_chunks(TrackAssigner(work, config.max_missed), each_packed(frames))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        extract_shard(Path(sys.argv[1]))
