"""`infer.py dry_run=true`: every request to AWS that the run would send, as JSON, without credentials or network."""

import json
import tempfile
from pathlib import Path

from fer.aws.client import AwsCalls
from fer.aws.s3 import bucket_and_key, refuse_public
from fer.cli import log_to_stderr
from fer.config import Config, SageMakerAws
from fer.emotions import EMOTIONS
from fer.infer import smoothing as timeline
from fer.infer import summary
from fer.infer.inputs import inputs_of, media_of
from fer.infer.monitoring import publish_batch
from fer.infer.pipeline import ready
from fer.infer.stages import extract_and_predict, route_of
from fer.infer.table import table_of
from fer.infer.transform.sagemaker import SageMakerBatch
from fer.infer.transform.shards import CONTENT_TYPES, Request
from fer.infer.transform.stage import SHARDS, requests_of
from fer.monitoring.report import monitoring_of
from fer.registry.factory import open_registry
from fer.registry.resolve import region_of, version_of
from fer.video.media import Media


def dry_run(config: Config) -> None:
    """Print the requests. Raises UserError.

    The faces of videos on this machine are really extracted and packed, so that the requests are those of the run.
    Videos in S3 are not fetched: one object stands for their faces.
    """
    log_to_stderr()
    config = ready(config)
    calls = AwsCalls(region_of(config), dry_run=True)
    with tempfile.TemporaryDirectory() as place:
        note_requests(config, calls, Path(place))
    print(json.dumps(calls.requests, indent=2))


def note_requests(config: Config, calls: AwsCalls, place: Path) -> None:
    inputs = inputs_of(config)
    media = media_of(inputs, place, calls)
    for uri in inputs:
        if uri.startswith("s3://"):
            bucket, key = bucket_and_key(uri)
            calls.call("s3", "get_object", {"Bucket": bucket, "Key": f"{key}…"})
    if "predict" not in config.extraction.stages:
        return
    if isinstance(config.aws, SageMakerAws) and route_of(config) == "transform":
        refuse_public(calls, config.aws.bucket)
    uri, source = str(config.model_uri), ""
    if uri.startswith("models:") and isinstance(config.aws, SageMakerAws):
        registry = open_registry(config, calls)
        version = version_of(uri, registry)
        registry.fetch(version, place)
        source = version.source
    elif uri.startswith("s3://"):
        bucket, key = bucket_and_key(uri)
        calls.call("s3", "get_object", {"Bucket": bucket, "Key": key})
    if isinstance(config.aws, SageMakerAws) and route_of(config) == "transform":
        requests = packed(config, place, media)
        batch = SageMakerBatch(calls, config.aws, source, EMOTIONS, config.inference.flip, place / SHARDS)
        batch.send(requests, CONTENT_TYPES[config.aws.transform.packing])
    if "report" in config.extraction.stages:
        publish_batch(config, nothing_seen(config), calls)


def packed(config: Config, place: Path, media: list[Media]) -> list[Request]:
    """The faces as they would be sent; where there are no videos to look at, one object that stands for them."""
    if not inputs_of(config):
        from fer.synthetic.video import write_clip

        media = [Media(write_clip(place / "drawn"), "clip.mp4", "video")]
    if not media:
        stand_in = place / SHARDS / ("shard-000000.tar" if config.aws.transform.packing == "shard" else "FACE.jpg")
        stand_in.parent.mkdir(parents=True)
        stand_in.touch()
        return [Request(stand_in, ())]
    extract_and_predict(config, place, media, None)
    return requests_of(config, place, len(media))


def nothing_seen(config: Config) -> dict[str, object]:
    """Figures of a batch without faces: a dry run knows which would be sent, not their values."""
    table = table_of([]).assign(**{f"p_{name}": 0.0 for name in EMOTIONS}, emotion=None, confidence=0.0)
    smoothing = config.extraction.smoothing
    table = timeline.smooth(table, smoothing.kind, smoothing.window_s, smoothing.max_gap_s)
    videos = summary.per_video(table, table_of([])[["video"]].assign(problem=""))
    return monitoring_of(table, videos, None, None, 0.0, config.inference.monitor, {"retraining_command": ""})
