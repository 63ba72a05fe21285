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

from fer.cli import reported
from fer.cloud.result_archive import pack, result_name
from fer.config import Config, Extraction
from fer.core.progress import progress
from fer.core.system import thread_count
from fer.infer.classify import keep
from fer.infer.extract import Ended, Seen, VideoFaces
from fer.infer.stages import detecting_threads, expected_frames, frames_in
from fer.infer.track_ids import Following
from fer.video.detectors import find_weights
from fer.video.media import Media

TASK, WEIGHTS = "task.json", "detector.onnx"
log = logging.getLogger(__name__)


def write_task(config: Config, media: Mapping[int, Media], folder: str, place: Path) -> None:
    """Tell all instances of a job how to extract what, in files below ``place``. Raises UserError.

    ``media`` are the videos by their number in the run, all in ``folder`` (s3://BUCKET/…/). The detector's weights
    are brought along: an instance has no network.
    """
    # Files of this machine, which extraction does not need.
    extraction = config.extraction.model_copy(update={"groups": None, "labels": None})
    if extraction.detector.kind == "yunet":
        weights = find_weights(extraction.detector.weights, Path(extraction.cache_dir))
        shutil.copyfile(weights, place / WEIGHTS)
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
    (place / TASK).write_text(json.dumps(content, indent=2), encoding="utf-8")


def extract_shard(directory: Path) -> None:
    """Extract the videos that are here, of those of the task. Raises UserError."""
    told, videos = directory / "input" / "task", directory / "input" / "videos"
    task = json.loads((told / TASK).read_text(encoding="utf-8"))
    if (told / WEIGHTS).is_file():
        task["extraction"]["detector"]["weights"] = str(told / WEIGHTS)
    config = Extraction.model_validate(task["extraction"])
    here = [entry for entry in task["media"] if (videos / entry["file"]).is_file()]
    log.info("This instance has %d of the %d videos", len(here), len(task["media"]))
    media = [Media(videos / entry["file"], entry["name"], entry["kind"], entry["remote"]) for entry in here]
    work, output = directory / "work", directory / "output"
    output.mkdir(exist_ok=True)

    def each_packed(items: Iterator[Seen | Ended]) -> Iterator[tuple[Seen | Ended, None]]:
        for item in items:
            yield item, None
            # Whoever asks for the next item has written this one.
            if isinstance(item, Ended):
                pack(work, item.video, work / "packed.zip")
                os.replace(work / "packed.zip", output / result_name(here[item.video]["number"]))
                log.info("%s: %s", item.facts["video"], item.facts["problem"] or "extracted")

    threads = detecting_threads(config, thread_count(task["threads"]))
    faces = VideoFaces(config, work, threads, True, lambda _: nullcontext())
    shown = progress(faces.seen(media), expected_frames(config, media), "Frames", "frames", size=frames_in)
    keep(Following(work, config.max_missed), each_packed(shown))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with reported():
        extract_shard(Path(sys.argv[1]))
