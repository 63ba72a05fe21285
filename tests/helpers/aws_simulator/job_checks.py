"""What AWS checks of a transform job before it takes it, and what the job then reads."""

import json
from dataclasses import dataclass
from typing import Any

from moto.sagemaker.exceptions import ResourceInUseException, ValidationError

from tests.helpers.aws_simulator import storage

MB = 1 << 20


@dataclass(frozen=True)
class Served:
    """What a container runs: the archive of the model and the environment; ``inference`` of its package, or {}."""

    data_url: str
    environment: dict[str, str]
    inference: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One object of a job's input: where it is, and where its answer goes."""

    source: str
    target: str


def refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise ValidationError(why)


def served_by(backend: Any, model_name: str) -> Served:
    """What the first container of a model serves."""
    model = backend.describe_model(model_name)
    container = model.primary_container or model.containers[0]
    inference: dict[str, Any] = {}
    source = container
    if package := container.get("ModelPackageName"):
        inference = backend.describe_model_package(package).inference_specification
        source = inference["Containers"][0]
    environment = {**source.get("Environment", {}), **container.get("Environment", {})}
    refuse("ModelDataUrl" not in source, f"Model {model_name} has no ModelDataUrl; the simulator serves archives only.")
    return Served(source["ModelDataUrl"], environment, inference)


def limits_of(given: dict[str, Any]) -> tuple[int, int]:
    """Concurrency and payload (MB) of a job; zero and none are AWS's own."""
    return given["max_concurrent_transforms"] or 1, given["max_payload_in_mb"] or 6


def check_job(backend: Any, given: dict[str, Any]) -> None:
    """Refuse what AWS refuses. ``given`` are the arguments of moto's create_transform_job."""
    name = given["transform_job_name"]
    if name in backend.transform_jobs:
        raise ResourceInUseException(
            "Job name must be unique within an AWS account and region, and a job with this name already exists "
            f"({backend.transform_jobs[name].arn})"
        )
    served = served_by(backend, given["model_name"])
    concurrent, payload = limits_of(given)
    refuse(payload > 100, f"MaxPayloadInMB is {payload}; it must be at most 100.")
    refuse(
        concurrent * payload > 100,
        f"MaxConcurrentTransforms * MaxPayloadInMB is {concurrent * payload} MB; it must not exceed 100 MB.",
    )
    asked, output = given["transform_input"], given["transform_output"]
    refuse(asked.get("SplitType", "None") != "None", "The simulator sends whole objects: SplitType None.")
    refuse(
        asked.get("CompressionType", "None") != "None", "The simulator sends objects as they are: CompressionType None."
    )
    refuse(output.get("AssembleWith", "None") != "None", "AssembleWith must be None where SplitType is None.")
    allowed(served, "SupportedContentTypes", asked.get("ContentType"))
    allowed(served, "SupportedResponseMIMETypes", output.get("Accept"))
    allowed(served, "SupportedTransformInstanceTypes", given["transform_resources"]["InstanceType"])
    refuse(not storage.has_bucket(output["S3OutputPath"]), f"The bucket of {output['S3OutputPath']} does not exist.")
    source = asked["DataSource"]["S3DataSource"]
    uri = source["S3Uri"]
    found = storage.read(uri) if source["S3DataType"] == "ManifestFile" else storage.keys_below(uri)
    refuse(
        not found,
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        "the selected region, that objects exist under that S3 prefix, and that the role may list the bucket.",
    )


def allowed(served: Served, list_name: str, value: str | None) -> None:
    supported = served.inference.get(list_name)
    refuse(
        bool(supported) and value is not None and value not in (supported or []),
        f"{value} is not in {list_name} of the model package: {supported}",
    )


def parts_of_input(transform_input: dict[str, Any], transform_output: dict[str, Any]) -> list[Part]:
    """The objects of a job's input. Raises ValueError where its manifest is none, or names what does not exist."""
    source, output = transform_input["DataSource"]["S3DataSource"], transform_output["S3OutputPath"].rstrip("/")
    if source["S3DataType"] == "ManifestFile":
        prefix, names = manifest(source["S3Uri"])
        parts = [Part(prefix + name, f"{output}/{name}.out") for name in names]
        if missing := [part.source for part in parts if storage.read(part.source) is None]:
            raise ValueError(f"S3 objects of the manifest do not exist: {', '.join(missing)}")
        return parts
    bucket, prefix = storage.parts_of(source["S3Uri"])
    # What stands in a key below the prefix; of an object that the prefix names in part, all below its folder.
    whole = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    parts = []
    for key in storage.keys_below(source["S3Uri"]):
        name = key.removeprefix(whole) if key.startswith(whole) else key[prefix.rfind("/") + 1 :]
        parts.append(Part(f"s3://{bucket}/{key}", f"{output}/{name}.out"))
    return parts


def manifest(uri: str) -> tuple[str, list[str]]:
    """Prefix and names of a manifest file."""
    try:
        first, *names = json.loads(storage.read(uri) or b"")
        prefix = first["prefix"]
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError("names no object")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"Manifest {uri} is not valid: {error}") from None
    return prefix, names
