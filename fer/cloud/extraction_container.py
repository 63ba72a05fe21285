"""`python -m fer.cloud.extraction_container DIRECTORY`: one instance of a processing job extracts its shard of videos.

DIRECTORY holds `input/task/`, as ``write_task`` has left it, and the instance's videos in `input/videos/`. For each of
them `output/NUMBER.zip` appears as soon as it is finished.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from fer.cloud.result_archive import format_result_name, pack_result
from fer.config import Config, Extraction
from fer.core.documents import read_json_object
from fer.core.progress import track_progress
from fer.core.system import resolve_thread_count
from fer.infer.classify import write_chunks
from fer.infer.extract import (
    FaceExtractor,
    FrameFaces,
    VideoEnd,
    count_detector_threads,
)
from fer.infer.frame_counts import count_frames, estimate_frames
from fer.infer.track_ids import TrackAssigner
from fer.runs.detector_choice import fetch_detector_weights, pin_detector
from fer.runs.program import user_errors_to_exit_code
from fer.video.media import Media

TASK, WEIGHTS = "task.json", "detector.onnx"
log = logging.getLogger(__name__)


def write_task(config: Config, media: Mapping[int, Media], folder: str, directory: Path) -> None:
    """Write the files that tell all instances of a job what to extract, and how.

    The detector's weights are among them: an instance has no network.

    Args:
        config: The configuration of the run.
        media: Videos by their number in the run.
        folder: The folder in S3 that all of them are in, s3://BUCKET/…/.
        directory: Directory for the files.

    Raises:
        UserError: The weights cannot be found.
    """
    # Files of this machine that extraction does not need. Who the people are, and what they are asked, stays here.
    unneeded = dict.fromkeys(("groups", "labels", "study"))
    extraction, _ = pin_detector(config.extraction.model_copy(update=unneeded))
    if weights := fetch_detector_weights(extraction):
        shutil.copyfile(weights, directory / WEIGHTS)
    content = {
        "extraction": extraction.model_dump(mode="json"),
        "threads": config.trainer.threads,
        "media": [
            {
                "number": number,
                "file": video.remote.removeprefix(folder),
                "name": video.name,
                "kind": video.kind,
                "remote": video.remote,
            }
            for number, video in media.items()
        ],
    }
    (directory / TASK).write_text(json.dumps(content, indent=2), encoding="utf-8")


def extract_shard(directory: Path) -> None:
    """Extract those videos of the task that this instance has.

    Args:
        directory: Directory of the job's inputs and outputs.

    Raises:
        UserError: The detector's weights cannot be used.
    """
    task_dir, videos = directory / "input" / "task", directory / "input" / "videos"
    task = read_json_object(task_dir / TASK)
    if (task_dir / WEIGHTS).is_file():
        task["extraction"]["detector"]["weights"] = str(task_dir / WEIGHTS)
    config = Extraction.model_validate(task["extraction"])
    entries = [entry for entry in task["media"] if (videos / entry["file"]).is_file()]
    log.info("This instance has %d of the %d videos", len(entries), len(task["media"]))
    media = [Media(videos / entry["file"], entry["name"], entry["kind"], entry["remote"]) for entry in entries]
    work, output = directory / "work", directory / "output"
    output.mkdir(exist_ok=True)
    threads = count_detector_threads(config, resolve_thread_count(task["threads"]))
    faces = FaceExtractor(config, work, threads, True, lambda _: nullcontext(), batch_images=False)
    frames = track_progress(faces.extract(media), estimate_frames(config, media), "Frames", "frames", size=count_frames)
    numbers = [entry["number"] for entry in entries]
    write_chunks(TrackAssigner(work, config.max_missed), _pack_finished(frames, work, output, numbers))


def _pack_finished(
    items: Iterator[FrameFaces | VideoEnd], work: Path, output: Path, numbers: Sequence[int]
) -> Iterator[tuple[FrameFaces | VideoEnd, None]]:
    """Yield the items, each without probabilities, and pack each video once all of it is written.

    Args:
        items: What the extractor yields.
        work: Directory that the items are written into.
        output: Directory for the packed videos.
        numbers: Number in the run of each video of this instance.
    """
    for item in items:
        yield item, None
        # Whoever asks for the next item has written this one.
        if isinstance(item, VideoEnd):
            pack_result(work, item.video, work / "packed.zip")
            os.replace(work / "packed.zip", output / format_result_name(numbers[item.video]))
            log.info("%s: %s", item.record["video"], item.record["problem"] or "extracted")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with user_errors_to_exit_code():
        extract_shard(Path(sys.argv[1]))
