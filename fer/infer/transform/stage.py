"""The stage predict of infer.py by batch transform: from crops to requests, to answers, to the table."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from fer.aws.settings import connect
from fer.bundle.metadata import read_description
from fer.config import Config, SageMakerAws
from fer.core.installation import format_resume_command
from fer.core.run_layout import PARTS_DIR
from fer.core.system import resolve_thread_count
from fer.errors import UserError
from fer.infer.classify import write_chunks
from fer.infer.covering import keeps_pictures
from fer.infer.extract import FrameFaces, build_crop_path
from fer.infer.saved_crops import iter_pending_crops
from fer.infer.track_ids import TrackAssigner
from fer.infer.transform.local import LocalBatchTransform
from fer.infer.transform.sagemaker import SageMakerBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES, Answers, Request, pack, read_answers
from fer.infer.video_stores import open_video_stores
from fer.registry.resolve import ResolvedModel, ensure_package

SHARDS = "shards"
log = logging.getLogger(__name__)


class BatchTransform(Protocol):
    """A way to have requests answered."""

    def send(self, requests: Sequence[Request], content_type: str) -> None:
        """Have each request answered into its ``.out``, as far as possible. Raises UserError."""
        ...


def run_batch_transform(config: Config, run_directory: Path, video_count: int, model: ResolvedModel) -> None:
    """Classify all crops of a run that are not classified yet.

    Args:
        config: The configuration of infer.py.
        run_directory: The run, whose faces are extracted.
        video_count: Its videos.
        model: The model.

    Raises:
        UserError: Requests were not answered; what is answered stays.
    """
    cfg = config.aws.transform
    columns = read_description(str(model.bundle)).columns
    requests = build_requests(config, run_directory, video_count)
    answers_by_id: Answers = {}
    pending = _collect_answers(requests, columns, answers_by_id)
    if pending:
        batch = _build_batch_transform(config, run_directory, model, columns)
        for _ in range(cfg.attempts):
            for request in pending:
                request.output_path.unlink(missing_ok=True)
            batch.send(pending, CONTENT_TYPES[cfg.packing])
            pending = _collect_answers(pending, columns, answers_by_id)
            if not pending:
                break
    if pending:
        raise UserError(
            f"{len(pending)} of {len(requests)} requests were not answered in {cfg.attempts} attempts "
            f"({pending[0].path.name} first); go on with: "
            f"{format_resume_command('infer.py', run_directory)}"
        )
    # Ids were given when the faces were extracted.
    assigner = TrackAssigner(run_directory, config.extraction.max_missed)
    answered = attach_answers(run_directory, video_count, answers_by_id, len(columns))
    write_chunks(assigner, answered, columns, config.extraction.smoothing, keeps_pictures(config))
    if isinstance(config.aws, SageMakerAws):
        # Also where all was answered before: an earlier attempt may have ended before it came to this.
        _build_sagemaker_transform(config.aws, config, run_directory, model, columns).clean_up()


def _build_batch_transform(
    config: Config, run_directory: Path, model: ResolvedModel, columns: Sequence[str]
) -> BatchTransform:
    """The batch transform that the configuration asks for. Raises UserError."""
    if isinstance(config.aws, SageMakerAws):
        return _build_sagemaker_transform(config.aws, config, run_directory, model, columns)
    flip, folder = config.inference.flip, run_directory / SHARDS
    package = ensure_package(model, run_directory / PARTS_DIR / "model")
    threads = resolve_thread_count(config.trainer.threads)
    return LocalBatchTransform(package, config.aws.transform, threads, flip, folder / "server.log")


def _build_sagemaker_transform(
    aws: SageMakerAws, config: Config, run_directory: Path, model: ResolvedModel, columns: Sequence[str]
) -> SageMakerBatchTransform:
    client, folder = connect(aws), run_directory / SHARDS
    return SageMakerBatchTransform(client, aws, str(model.source), columns, config.inference.flip, folder)


def _collect_answers(requests: Sequence[Request], columns: Sequence[str], answers_by_id: Answers) -> list[Request]:
    """Add the answers that are there to ``answers_by_id``; returns the requests that lack a sound one."""
    pending = []
    for request in requests:
        answer = read_answers(request, columns)
        if answer is None:
            pending.append(request)
        else:
            answers_by_id.update(answer)
    return pending


def build_requests(config: Config, run_directory: Path, video_count: int) -> list[Request]:
    """Pack the crops of the run as the configuration has it. Raises DataError."""
    cfg = config.aws.transform
    return pack(iter_crop_files(run_directory, video_count), run_directory / SHARDS, cfg.packing, cfg.shard_mb)


def iter_crop_files(run_directory: Path, video_count: int) -> Iterator[tuple[str, Path]]:
    """Sample id and file of each face that is fit to be classified, in the order of the table."""
    for video, store in open_video_stores(run_directory, range(video_count)).items():
        if store.has_rows():
            rows = store.read(["frame", "status"])
            rows["face_index"] = rows.groupby("frame").cumcount()
            for face in rows.loc[rows["status"] == "ok", ["frame", "face_index"]].to_numpy(int).tolist():
                yield _format_sample_id(video, *face), build_crop_path(run_directory, video, *face)


def _format_sample_id(video: int, frame: int, face_index: int) -> str:
    """The id has no dot, at which WebDataset ends it."""
    return f"{video:05d}-{frame:08d}-{face_index}"


def attach_answers(
    run_directory: Path, video_count: int, answers_by_id: Answers, column_count: int
) -> Iterator[tuple[FrameFaces, np.ndarray]]:
    """Bring the answers back to the rows that they are of.

    Args:
        run_directory: The run.
        video_count: Its videos.
        answers_by_id: The answer to every crop.
        column_count: Classes of the model.

    Yields:
        The chunks that are not classified yet, with the probabilities (faces, columns) of their crops. A face that the
        model could not read becomes a row of the status decode_error.
    """
    for item in iter_pending_crops(run_directory, range(video_count)):
        crops = iter(item.crops)
        rows, answered_crops, probabilities = [], [], []
        for row in item.rows:
            if row["status"] == "ok":
                crop = next(crops)
                answer = answers_by_id[_format_sample_id(item.video, row["frame"], row["face_index"])]
                if isinstance(answer, str):
                    row = {**row, "status": "decode_error", "reason": f"the model could not read the face: {answer}"}
                else:
                    answered_crops.append(crop)
                    probabilities.append(answer)
            rows.append(row)
        yield replace(item, rows=rows, crops=answered_crops), np.reshape(probabilities, (-1, column_count))
