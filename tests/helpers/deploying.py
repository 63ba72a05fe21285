"""Versions of real packages in a simulated AWS, and what register.py does with endpoints, in this process."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fer.aws.client import AwsClient
from fer.cloud.deployment import run_deployment
from fer.config import SageMakerAws
from fer.config.compose import load_overrides
from fer.core.io import compute_sha256
from fer.registry.base import ModelVersion
from fer.registry.promotion import assign_alias, promote
from fer.registry.sagemaker import SageMakerRegistry
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.candidates import BUCKET, IMAGE, NAME, candidate
from tests.helpers.cloud_programs import ROLE

SETTINGS = (
    *("aws=sagemaker", f"aws.bucket={BUCKET}", f"aws.image={IMAGE}", f"aws.role={ROLE}", f"registry.name={NAME}"),
    "registry.deploy.poll_s=0.05",
)


class Deployments:
    """Does what register.py does with endpoints, against AWS as tests simulate it."""

    def __init__(self, aws: Simulated, package: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.aws, self.package, self.folder, self.capsys = aws, package, folder, capsys
        settings = load_overrides(SETTINGS, "register").aws
        assert isinstance(settings, SageMakerAws)
        self.registry = SageMakerRegistry(settings, AwsClient())

    def register(self, mark: str, package: Path | None = None) -> ModelVersion:
        """A version with the real package, or another file in its place; the champion."""
        given = candidate(self.folder, mark)
        archive = package or self.package
        files = {**given.files, "model.tar.gz": archive}
        # The registry would take the same package for the same version.
        version = self.registry.register(replace(given, files=files, sha256=f"{mark}{compute_sha256(archive)}"[:64]))
        assign_alias(self.registry, version)
        if version.version > 1:
            promote(self.registry, NAME, version.version)
        return version

    def run(self, action: str, target: str, *overrides: str) -> str:
        """What an action prints."""
        given = [*SETTINGS, f"registry.action={action}", f"registry.deploy.target={target}", *overrides]
        self.capsys.readouterr()
        assert run_deployment(load_overrides(given, "register"), self.folder / "run") == 0
        return self.capsys.readouterr().out.strip()

    def describe(self, endpoint: str = NAME) -> dict[str, Any]:
        return dict(self.aws.client("sagemaker").describe_endpoint(EndpointName=endpoint))

    def ask(self, body: bytes, endpoint: str = NAME, content_type: str = "image/png") -> dict[str, Any]:
        """An endpoint's answer to one picture."""
        runtime = self.aws.client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=content_type)
        return dict(json.loads(answer["Body"].read()))

    def list_names(self) -> tuple[list[str], list[str], list[str]]:
        """Names of all endpoints, of their configurations, and of models."""
        sagemaker = self.aws.client("sagemaker")
        configs = sagemaker.get_paginator("list_endpoint_configs").paginate()
        return (
            [one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]],
            sorted(one["EndpointConfigName"] for page in configs for one in page["EndpointConfigs"]),
            sorted(one["ModelName"] for one in sagemaker.list_models()["Models"]),
        )

    def scaling(self) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
        """Scalable targets, and policies by name."""
        client = self.aws.client("application-autoscaling")
        resource = [f"endpoint/{NAME}/variant/AllTraffic"]
        targets = client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=resource)
        policies = client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
        return targets["ScalableTargets"], {policy["PolicyName"]: policy for policy in policies}
