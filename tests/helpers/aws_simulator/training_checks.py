"""What AWS checks of a training job before it takes it, and what the job then reads."""

import json
import re
from pathlib import Path
from typing import Any

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.job_checks import refuse
from tests.helpers.paths import PROJECT

ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/\S+")


def objects_below(uri: str) -> dict[str, str]:
    """URI of each object that a channel brings, by the name of its file."""
    bucket, prefix = storage.parts_of(uri)
    whole = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    return {
        key.removeprefix(whole) if key.startswith(whole) else key[prefix.rfind("/") + 1 :]: f"s3://{bucket}/{key}"
        for key in storage.keys_below(uri)
    }


def lay_down(objects: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, uri in objects.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(storage.read(uri) or b"")


def own_entrypoint() -> list[str]:
    """What our own image starts, as its Dockerfile has it."""
    stage = (PROJECT / "Dockerfile").read_text(encoding="utf-8").partition(" AS jobs\n")[2].partition("\nFROM ")[0]
    found = re.search(r"^ENTRYPOINT (\[.*\])$", stage, re.MULTILINE)
    assert found is not None
    return [str(part) for part in json.loads(found[1])]


def check_definition(asked: dict[str, Any]) -> None:
    """Refuse what AWS refuses of a training, beyond what its description of the API says."""
    algorithm, channels = asked["AlgorithmSpecification"], asked.get("InputDataConfig", [])
    image = algorithm.get("TrainingImage", "")
    refuse(not ECR.fullmatch(image), f"Invalid image URI {image}. Please provide a valid image in Amazon ECR.")
    names = [channel["ChannelName"] for channel in channels]
    refuse(len(names) != len(set(names)), "Channel names must be unique.")
    refuse(len(names) > 20, "A training job can have 20 channels at most.")
    condition, spot = asked["StoppingCondition"], bool(asked.get("EnableManagedSpotTraining"))
    wait, runtime = condition.get("MaxWaitTimeInSeconds"), condition.get("MaxRuntimeInSeconds", 86400)
    refuse(spot and wait is None, "MaxWaitTimeInSeconds is required for managed spot training.")
    refuse(not spot and wait is not None, "MaxWaitTimeInSeconds is only allowed with EnableManagedSpotTraining.")
    refuse(spot and (wait or 0) < runtime, "MaxWaitTimeInSeconds must be equal to or greater than MaxRuntimeInSeconds.")
    for definition in algorithm.get("MetricDefinitions", []):
        groups = re.compile(definition["Regex"]).groups
        refuse(groups != 1, f"Regex of metric {definition['Name']} must have one group.")
    for uri in (asked["OutputDataConfig"]["S3OutputPath"], asked.get("CheckpointConfig", {}).get("S3Uri")):
        refuse(uri is not None and not storage.has_bucket(uri), f"The bucket of {uri} does not exist.")
