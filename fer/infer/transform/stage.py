"""The stage predict of infer.py by batch transform: crops to shards, shards to answers, answers to the table."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from fer.aws.client import AwsCalls
from fer.bundle.metadata import read_description
from fer.config import Config, SageMakerAws
from fer.core.system import thread_count
from fer.errors import UserError
from fer.infer.chunk_store import FOLDER, Parts
from fer.infer.classify import keep, saved_crops
from fer.infer.extract import Seen, crop_path
from fer.infer.track_ids import Following
from fer.infer.transform.local import LocalBatch
from fer.infer.transform.sagemaker import SageMakerBatch
from fer.infer.transform.shards import CONTENT_TYPES, Answers, Request, answers, pack
from fer.registry.resolve import Model, packaged

SHARDS = "shards"
log = logging.getLogger(__name__)


class Batch(Protocol):
    """What has requests answered, each into its ``.out``, as far as it can."""

    def send(self, requests: Sequence[Request], content_type: str) -> None: ...


def transform(config: Config, run_directory: Path, videos: int, model: Model) -> None:
    """Judge all crops of the run that are not judged yet. Raises UserError; what is answered stays."""
    chosen = config.aws.transform
    classes = read_description(str(model.bundle)).classes
    requests = requests_of(config, run_directory, videos)
    found: Answers = {}
    left = gathered(requests, classes, found)
    if left:
        batch = batch_of(config, run_directory, model, classes)
        for _ in range(chosen.attempts):
            for request in left:
                request.out.unlink(missing_ok=True)
            batch.send(left, CONTENT_TYPES[chosen.packing])
            left = gathered(left, classes, found)
            if not left:
                break
    if left:
        raise UserError(
            f"{len(left)} of {len(requests)} requests were not answered in {chosen.attempts} attempts "
            f"({left[0].path.name} first); go on with: python infer.py resume={run_directory}"
        )
    # Ids were given when the faces were extracted.
    following = Following(run_directory, config.extraction.max_missed)
    keep(following, judged(run_directory, videos, found, len(classes)), classes)


def batch_of(config: Config, run_directory: Path, model: Model, classes: Sequence[str]) -> Batch:
    """What the configuration has the faces judged by. Raises UserError."""
    flip, folder = config.inference.flip, run_directory / SHARDS
    if isinstance(config.aws, SageMakerAws):
        return SageMakerBatch(AwsCalls(config.aws.region), config.aws, str(model.source), classes, flip, folder)
    package = packaged(model, run_directory / FOLDER / "model")
    threads = thread_count(config.trainer.threads)
    return LocalBatch(package, config.aws.transform, threads, flip, folder / "server.log")


def gathered(requests: Sequence[Request], classes: Sequence[str], found: Answers) -> list[Request]:
    """Add the answers that are there to ``found``; the requests that lack a sound one."""
    left = []
    for request in requests:
        answer = answers(request, classes)
        if answer is None:
            left.append(request)
        else:
            found.update(answer)
    return left


def requests_of(config: Config, run_directory: Path, videos: int) -> list[Request]:
    """The crops of the run, packed as the configuration has it. Raises DataError."""
    chosen = config.aws.transform
    return pack(crops_of(run_directory, videos), run_directory / SHARDS, chosen.packing, chosen.shard_mb)


def crops_of(run_directory: Path, videos: int) -> Iterator[tuple[str, Path]]:
    """Sample id and file of each face that is fit to be judged, in the order of the table."""
    for video in range(videos):
        parts = Parts.of(run_directory, video)
        for file in parts.files():
            rows = parts.piece(file, ["frame", "status"])
            rows["place"] = rows.groupby("frame").cumcount()
            for frame, place in rows.loc[rows["status"] == "ok", ["frame", "place"]].to_numpy(int).tolist():
                yield sample_id(video, frame, place), crop_path(run_directory, video, frame, place)


def sample_id(video: int, frame: int, place: int) -> str:
    """Without a dot, at which WebDataset ends an id."""
    return f"{video:05d}-{frame:08d}-{place}"


def judged(run_directory: Path, videos: int, found: Answers, classes: int) -> Iterator[tuple[Seen, np.ndarray]]:
    """The pieces that are not judged yet, with the probabilities (faces, classes) of their crops.

    A face that the model could not read becomes a row of the status decode_error.
    """
    for item in saved_crops(run_directory, videos):
        crops = iter(item.crops)
        rows, kept, probabilities = [], [], []
        for row in item.rows:
            if row["status"] == "ok":
                crop, answer = next(crops), found[sample_id(item.video, row["frame"], row["place"])]
                if isinstance(answer, str):
                    row = {**row, "status": "decode_error", "reason": f"the model could not read the face: {answer}"}
                else:
                    kept.append(crop)
                    probabilities.append(answer)
            rows.append(row)
        yield Seen(item.video, item.piece, rows, kept), np.reshape(probabilities, (-1, classes))
