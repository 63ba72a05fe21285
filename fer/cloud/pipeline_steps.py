"""Steps of a SageMaker pipeline, by its JSON schema of 2020-12-01, and what they say of each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer.aws.client import AwsClient
from fer.cloud.processing_job import PROCESSING_DIR, SageMakerProcessing
from fer.cloud.source_archive import ARCHIVE
from fer.config.aws import SageMakerAws

SCHEMA_VERSION = "2020-12-01"
CONTAINER = "fer.cloud.pipeline_container"
# A value of a definition that SageMaker fills in: a parameter, what another step has made, or a text.
Value = str | dict[str, Any]


def build_definition(parameters: Mapping[str, str], steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a definition; ``parameters`` are texts that an execution may change, with their defaults."""
    entries = [{"Name": name, "Type": "String", "DefaultValue": value} for name, value in parameters.items()]
    return {"Version": SCHEMA_VERSION, "Metadata": {}, "Parameters": entries, "Steps": list(steps)}


def refer(place: str) -> dict[str, str]:
    """Refer to a value by its place, such as ``Parameters.Videos`` or ``Steps.train.ModelArtifacts``."""
    return {"Get": place}


def read_property(step: str, path: str) -> dict[str, Any]:
    """Refer to a value in the property file of a processing step."""
    return {"Std:JsonGet": {"PropertyFile": refer(f"Steps.{step}.PropertyFiles.result"), "Path": path}}


def build_run_uri(aws: SageMakerAws, *names: str) -> dict[str, Any]:
    """Return the s3:// URI of a folder that each execution has of its own, below those of jobs."""
    folder = f"s3://{aws.bucket}/{aws.prefix}/jobs/pipelines"
    return {"Std:Join": {"On": "/", "Values": [folder, refer("Execution.PipelineExecutionId"), *names]}}


class ProcessingSteps:
    """Builds the steps that run a stage of ``fer.cloud.pipeline_container`` in a processing job.

    Args:
        client: Client for AWS.
        aws: The section `aws` of the configuration.
        jobs: Builds the requests of processing jobs.
        channels: s3:// URIs of the channels that every step has: `code` and `task`.
    """

    def __init__(
        self, client: AwsClient, aws: SageMakerAws, jobs: SageMakerProcessing, channels: Mapping[str, str]
    ) -> None:
        self.client, self.aws, self.jobs, self.channels = client, aws, jobs, channels

    def build(
        self, stage: str, inputs: Mapping[str, Value], outputs: Sequence[str], network: bool = False
    ) -> dict[str, Any]:
        """Return a step, which has the name of its stage.

        Args:
            stage: A stage of ``fer.cloud.pipeline_container``.
            inputs: s3:// URIs of its own channels.
            outputs: Names of its outputs; of one that is called `result`, result.json is the step's property file.
            network: Whether it needs the network: what it asks AWS itself.
        """
        request = self.jobs.build_request("", {}, 1, _build_command(stage))
        request["ProcessingInputs"] = [_build_input(name, uri) for name, uri in {**self.channels, **inputs}.items()]
        request["ProcessingOutputConfig"]["Outputs"] = [
            {
                "OutputName": name,
                "S3Output": {
                    "S3Uri": build_run_uri(self.aws, stage, name),
                    "LocalPath": f"{PROCESSING_DIR}/output/{name}",
                    "S3UploadMode": "EndOfJob",
                },
            }
            for name in outputs
        ]
        if network:
            request["NetworkConfig"] = {**request["NetworkConfig"], "EnableNetworkIsolation": False}
        properties = [{"PropertyFileName": "result", "OutputName": "result", "FilePath": "result.json"}]
        files = {"PropertyFiles": properties} if "result" in outputs else {}
        return {"Name": stage, "Type": "Processing", "Arguments": request, **files}


def build_condition_step(
    name: str,
    condition: Mapping[str, Any],
    if_steps: Sequence[Mapping[str, Any]],
    else_steps: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a step that goes on with the one or the other steps."""
    arguments = {"Conditions": [dict(condition)], "IfSteps": list(if_steps), "ElseSteps": list(else_steps)}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def build_fail_step(name: str, message: str) -> dict[str, Any]:
    """Return a step that ends the execution as failed."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def _build_command(stage: str) -> list[str]:
    code, archive = f"{PROCESSING_DIR}/code", f"{PROCESSING_DIR}/input/code/{ARCHIVE}"
    run = f"exec python3 -m {CONTAINER} {stage} {PROCESSING_DIR}"
    return ["sh", "-c", f"mkdir {code} && cd {code} && tar -xzf {archive} && {run}"]


def _build_input(name: str, uri: Value) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{PROCESSING_DIR}/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }
