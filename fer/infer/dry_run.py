"""`infer.py dry_run=true`: every request to AWS that the run would send, as JSON, without credentials or network."""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import check_bucket_private
from fer.config import Config, SageMakerAws
from fer.core.object_uri import is_object_uri, is_s3_uri, split_object_uri
from fer.emotions import EMOTIONS
from fer.infer.analysis import extract_and_predict
from fer.infer.inputs import list_inputs, resolve_media
from fer.infer.monitoring import publish_batch
from fer.infer.pipeline import validate_and_pin
from fer.infer.route import get_sagemaker_transform
from fer.infer.smoothing import smooth
from fer.infer.study_inputs import RunStudy, list_study_inputs, start_study
from fer.infer.summary import summarize_videos
from fer.infer.table import build_table
from fer.infer.transform.sagemaker import SageMakerBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES, Request
from fer.infer.transform.stage import SHARDS, build_requests
from fer.monitoring.report import build_monitoring
from fer.registry.factory import open_registry
from fer.registry.resolve import find_version, get_region
from fer.runs.detector_choice import pin_detector
from fer.runs.program import log_to_stderr
from fer.storage.stores import ObjectStores
from fer.study.checks import list_consenting
from fer.video.media import Media

log = logging.getLogger(__name__)


def dry_run(config: Config) -> None:
    """Print the requests to AWS that a run would send; a study is checked as a run checks it.

    The faces of videos on this machine are really extracted and packed, so that the requests are those of the run.
    Videos in buckets are not fetched: one object stands for their faces.

    Args:
        config: The configuration of infer.py.

    Raises:
        UserError: Something that a user can correct.
    """
    log_to_stderr()
    config = validate_and_pin(config)
    found = start_study(config)
    inputs = list_inputs(config) if found is None else list_study_inputs(found.study)
    client = AwsClient(get_region(config), dry_run=True)
    with tempfile.TemporaryDirectory() as temporary:
        _record_requests(config, inputs, client, Path(temporary))
    print(json.dumps(client.recorded_requests, indent=2))
    if found is not None:
        log.info("%s: %s: all checks passed", config.extraction.study, _count_parts(found))


def _count_parts(found: RunStudy) -> str:
    recordings, contrasts = len(found.study.recordings), len(found.study.contrasts)
    return (
        f"{recordings} recording{'s' * (recordings != 1)}, {len(list_consenting(found.study))} with consent, "
        f"{contrasts} contrast{'s' * (contrasts != 1)}"
    )


def _record_requests(config: Config, inputs: Sequence[str], client: AwsClient, directory: Path) -> None:
    # Other clouds are not asked.
    asked = [uri for uri in inputs if is_s3_uri(uri) or not is_object_uri(uri)]
    media = resolve_media(asked, directory, ObjectStores(client=client))
    for uri in inputs:
        if is_s3_uri(uri):
            bucket, key = split_object_uri(uri)
            client.request("s3", "get_object", {"Bucket": bucket, "Key": f"{key}…"})
    if "predict" not in config.extraction.stages:
        return
    aws = get_sagemaker_transform(config)
    if aws is not None:
        check_bucket_private(client, aws.bucket)
    source = _fetch_model(config, client, directory)
    if aws is not None:
        requests = _pack_requests(config, inputs, directory, media)
        batch = SageMakerBatchTransform(client, aws, source, EMOTIONS, config.inference.flip, directory / SHARDS)
        batch.send(requests, CONTENT_TYPES[aws.transform.packing])
        batch.clean_up()
    if "report" in config.extraction.stages:
        publish_batch(config, _build_empty_monitoring(config), client)


def _fetch_model(config: Config, client: AwsClient, directory: Path) -> str:
    """Request what of the model is in AWS; returns the ARN of a registered version, the last of several, or ""."""
    source = ""
    for uri in config.list_model_uris():
        if uri.startswith("models:") and isinstance(config.aws, SageMakerAws):
            registry = open_registry(config, client)
            version = find_version(uri, registry)
            registry.fetch(version, directory)
            source = version.source
        elif is_s3_uri(uri):
            bucket, key = split_object_uri(uri)
            client.request("s3", "get_object", {"Bucket": bucket, "Key": key})
    return source


def _pack_requests(config: Config, inputs: Sequence[str], directory: Path, media: list[Media]) -> list[Request]:
    """The faces as they would be sent; where there are no videos to look at, one object that stands for them."""
    if not inputs:
        from fer.synthetic.video import write_clip

        media = [Media(write_clip(directory / "drawn"), "clip.mp4", "video")]
    if not media:
        name = "shard-000000.tar" if config.aws.transform.packing == "shard" else "FACE.jpg"
        placeholder = directory / SHARDS / name
        placeholder.parent.mkdir(parents=True)
        placeholder.touch()
        return [Request(placeholder, ())]
    extraction, _ = pin_detector(config.extraction)
    extract_and_predict(config.model_copy(update={"extraction": extraction}), directory, media, None)
    return build_requests(config, directory, len(media))


def _build_empty_monitoring(config: Config) -> dict[str, object]:
    """Metrics of a batch without faces: a dry run knows which would be sent, not their values."""
    table = build_table([]).assign(**{f"p_{name}": 0.0 for name in EMOTIONS}, emotion=None, confidence=0.0)
    smoothing = config.extraction.smoothing
    table = smooth(table, smoothing.kind, smoothing.window_s, smoothing.max_gap_s)
    videos = summarize_videos(table, build_table([])[["video"]].assign(problem=""))
    return build_monitoring(table, videos, None, None, 0.0, config.inference.monitor, {"retraining_command": ""})
