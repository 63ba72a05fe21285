"""What AWS checks of an endpoint's configuration and of a request to it, beyond its description of the API."""

from typing import Any

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.job_checks import refuse, served_by

MEMORY = range(1024, 6145, 1024)
MB = 1 << 20
# Instance types with disks of their own, which take no key.
LOCAL = ("m5d", "c5d", "r5d", "g4dn", "g5", "g6", "p4d", "p5", "trn1")


def check_config(backend: Any, asked: dict[str, Any]) -> None:
    """Refuse what AWS refuses of CreateEndpointConfig."""
    for variant in asked["ProductionVariants"]:
        name = variant["ModelName"]
        refuse(name not in backend._models, f'Could not find model "{name}".')
        served, model = served_by(backend, name), backend._models[name]
        serverless = variant.get("ServerlessConfig")
        refuse(bool(serverless) == ("InstanceType" in variant), "Give either an instance type or a serverless one.")
        if serverless:
            check_serverless(asked, serverless, model)
            continue
        refuse("InitialInstanceCount" not in variant, "InitialInstanceCount is required.")
        kind, allowed = variant["InstanceType"], served.inference.get("SupportedRealtimeInferenceInstanceTypes")
        refuse(bool(allowed) and kind not in (allowed or []), f"{kind} is not supported by the package: {allowed}")
        local = kind.split(".")[1] in LOCAL
        refuse(local and "KmsKeyId" in asked, f"KmsKeyId is not supported for {kind}, which has local storage.")
    capture = asked.get("DataCaptureConfig")
    if capture:
        refuse("AsyncInferenceConfig" in asked, "Data capture is not supported for asynchronous endpoints.")
        check_place(capture["DestinationS3Uri"])
    if "AsyncInferenceConfig" in asked:
        output = asked["AsyncInferenceConfig"]["OutputConfig"]
        check_place(output["S3OutputPath"])
        check_place(output["S3FailurePath"])


def check_serverless(asked: dict[str, Any], serverless: dict[str, Any], model: Any) -> None:
    refuse(serverless["MemorySizeInMB"] not in MEMORY, f"MemorySizeInMB must be one of {list(MEMORY)}.")
    kept = serverless.get("ProvisionedConcurrency", 0)
    refuse(kept > serverless["MaxConcurrency"], "ProvisionedConcurrency must not exceed MaxConcurrency.")
    refuse(bool(model.vpc_config), "Serverless endpoints do not support VpcConfig.")
    refuse(model.enable_network_isolation, "Serverless endpoints do not support network isolation.")
    for key in ("DataCaptureConfig", "AsyncInferenceConfig", "KmsKeyId"):
        refuse(key in asked, f"{key} is not supported for serverless endpoints.")


def check_place(uri: str) -> None:
    refuse(not storage.has_bucket(uri), f"The bucket of {uri} does not exist.")


def check_payload(config: dict[str, Any], size: int) -> str | None:
    """Why a request is too large; None where it is not."""
    limit = 4 if "ServerlessConfig" in config["ProductionVariants"][0] else 6
    return f"Payload of {size} bytes exceeds {limit} MB." if size > limit * MB else None
