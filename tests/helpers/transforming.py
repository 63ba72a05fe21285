"""Faces, requests and settings for tests of batch transform."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer.config import SageMakerAws
from fer.config.aws import LocalTransform
from fer.emotions import EMOTIONS
from fer.infer.transform.shards import Answers, Request, pack, read_answers
from fer.serving import Predictor
from tests.helpers.networks import faces
from tests.helpers.paths import PROJECT
from tests.helpers.programs import png
from tests.helpers.registering import BUCKET, ROLE

COUNT = 6
FACES = [faces(1, 48, seed=number)[0] for number in range(COUNT)]
# Two of these faces fit.
PAIR_MB = 0.027
IDS = tuple(f"00000-{number:08d}-0" for number in range(COUNT))


def crops(folder: Path, pictures: Sequence[np.ndarray] = FACES) -> list[tuple[str, Path]]:
    """Sample id and PNG file of each picture."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number}.png"
        path.write_bytes(png(picture))
        found.append((f"00000-{number:08d}-0", path))
    return found


def packed(folder: Path, packing: str = "shard") -> list[Request]:
    """The faces as requests below ``folder``: three shards of two, or six images."""
    return pack(crops(folder / "crops"), folder / "shards", packing, PAIR_MB)


def expected(bundle: Path, flip: bool = False) -> np.ndarray:
    """What the predictor itself says about the faces."""
    return Predictor.load(str(bundle), runtime="onnx", threads=1).predict(FACES, flip=flip)


def answered(requests: Sequence[Request]) -> Answers:
    """All answers that are sound, by sample id."""
    return {
        sample: answer for request in requests for sample, answer in (read_answers(request, EMOTIONS) or {}).items()
    }


def assert_answers(requests: Sequence[Request], wanted: np.ndarray, tolerance: float = 1e-5) -> None:
    """Every face is answered, in order, as the predictor says."""
    found = answered(requests)
    assert tuple(found) == IDS
    np.testing.assert_allclose(np.stack([found[name] for name in IDS]), wanted, atol=tolerance)


def missing(requests: Sequence[Request]) -> list[Request]:
    return [request for request in requests if read_answers(request, EMOTIONS) is None]


def times(requests: Sequence[Request]) -> dict[str, int]:
    """When each answer was written, nanoseconds."""
    return {
        request.output_path.name: request.output_path.stat().st_mtime_ns
        for request in requests
        if request.output_path.is_file()
    }


def local_settings(**changed: Any) -> LocalTransform:
    return LocalTransform.model_validate({**shipped("local")["transform"], **changed})


def cloud_settings(kms_key: str | None = None, **transform: Any) -> SageMakerAws:
    """Section `aws` of the configuration for the simulator; ``transform`` are keys of aws.transform."""
    usual = shipped("sagemaker")
    quick = {"poll_s": 0.05, "max_payload_mb": 1, "shard_mb": PAIR_MB, "retries": 0, "timeout_s": 60}
    usual["transform"] = {**usual["transform"], **quick, **transform}
    return SageMakerAws.model_validate({**usual, "bucket": BUCKET, "role": ROLE, "kms_key": kms_key})


def shipped(kind: str) -> dict[str, Any]:
    return dict(yaml.safe_load((PROJECT / "conf" / "aws" / f"{kind}.yaml").read_text()))


def line(sample: str, probabilities: Any = None, **more: Any) -> str:
    """One line of an answer; by default all classes are equally probable."""
    even = dict.fromkeys(EMOTIONS, 1 / len(EMOTIONS))
    return json.dumps({"id": sample, "probabilities": even if probabilities is None else probabilities, **more}) + "\n"
