"""Application Auto Scaling of endpoints: what it refuses and keeps; nothing is scaled."""

import json
from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow

from tests.helpers.aws_simulator.endpoints import Endpoints
from tests.helpers.aws_simulator.running_endpoint import RunningEndpoint

MACHINES, CONCURRENCY = "sagemaker:variant:DesiredInstanceCount", "sagemaker:variant:DesiredProvisionedConcurrency"
METRICS = {
    "SageMakerVariantInvocationsPerInstance": MACHINES,
    "SageMakerVariantProvisionedConcurrencyUtilization": CONCURRENCY,
}


def refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise AWSValidationException(why)


class Scaling:
    """Scalable targets and their policies, by resource and dimension."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self.targets: dict[tuple[str, str], dict[str, Any]] = {}
        self.policies: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}

    def install(self) -> None:
        """Make moto in this process do so."""
        response: Any = ApplicationAutoScalingResponse
        for operation in (
            *("register_scalable_target", "deregister_scalable_target", "describe_scalable_targets"),
            *("put_scaling_policy", "describe_scaling_policies"),
        ):
            setattr(response, operation, answering(getattr(self, operation)))
        self.endpoints.scaled_endpoints = self.list_endpoints  # type: ignore[method-assign]

    def list_endpoints(self) -> list[str]:
        return [resource.split("/")[1] for resource, _ in self.targets]

    def find(self, asked: dict[str, Any]) -> RunningEndpoint:
        _, name, _, variant = asked["ResourceId"].split("/")
        endpoint = self.endpoints.running.get(name)
        refuse(endpoint is None or variant != "AllTraffic", f"No scalable resource {asked['ResourceId']}.")
        assert endpoint is not None
        return endpoint

    def register_scalable_target(self, asked: dict[str, Any]) -> dict[str, Any]:
        endpoint, dimension = self.find(asked), asked["ScalableDimension"]
        refuse(endpoint.state["EndpointStatus"] != "InService", f"Endpoint {endpoint.name} is not InService.")
        serverless = endpoint.config.asked["ProductionVariants"][0].get("ServerlessConfig")
        refuse((dimension == CONCURRENCY) != bool(serverless), f"{dimension} is not that of the variant.")
        refuse(bool(serverless) and "ProvisionedConcurrency" not in serverless, "There is no provisioned concurrency.")
        least, most = asked["MinCapacity"], asked["MaxCapacity"]
        refuse(least > most, "MinCapacity must not exceed MaxCapacity.")
        is_async = "AsyncInferenceConfig" in endpoint.config.asked
        refuse(least == 0 and not is_async, "MinCapacity must be at least 1.")
        self.targets[key(asked)] = {**asked, "CreationTime": utcnow().timestamp(), "RoleARN": "arn:aws:iam::1:role/x"}
        return {
            "ScalableTargetARN": f"arn:aws:application-autoscaling:us-east-1:{DEFAULT_ACCOUNT_ID}:scalable-target/1"
        }

    def deregister_scalable_target(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.require(asked)
        del self.targets[key(asked)]
        self.policies.pop(key(asked), None)
        return {}

    def require(self, asked: dict[str, Any]) -> None:
        if key(asked) not in self.targets:
            raise JsonRESTError("ObjectNotFoundException", f"No scalable target registered for {asked['ResourceId']}")

    def describe_scalable_targets(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"ScalableTargets": [one for one in self.targets.values() if one["ResourceId"] in asked["ResourceIds"]]}

    def put_scaling_policy(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.require(asked)
        tracking = asked.get("TargetTrackingScalingPolicyConfiguration")
        step = asked.get("StepScalingPolicyConfiguration")
        refuse((asked["PolicyType"] == "StepScaling") != bool(step), "The configuration is not that of the type.")
        if tracking:
            predefined = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
            custom = tracking.get("CustomizedMetricSpecification")
            refuse(bool(predefined) == bool(custom), "Give one metric.")
            dimension = METRICS.get(predefined, MACHINES)
            refuse(dimension != asked["ScalableDimension"], f"{predefined} is not a metric of the dimension.")
        arn = f"arn:aws:autoscaling:us-east-1:{DEFAULT_ACCOUNT_ID}:scalingPolicy:1:resource/{asked['ResourceId']}"
        policies = self.policies.setdefault(key(asked), {})
        made = {"CreationTime": utcnow().timestamp(), "PolicyARN": f"{arn}:policyName/{asked['PolicyName']}"}
        policies[asked["PolicyName"]] = {**asked, **made}
        return {"PolicyARN": made["PolicyARN"], "Alarms": []}

    def describe_scaling_policies(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "ScalingPolicies": [
                policy
                for (resource, _), policies in self.policies.items()
                for policy in policies.values()
                if resource == asked.get("ResourceId", resource)
            ]
        }

    def end_all(self) -> None:
        self.targets.clear()
        self.policies.clear()


def key(asked: dict[str, Any]) -> tuple[str, str]:
    return asked["ResourceId"], asked["ScalableDimension"]


def answering(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], str]:
    return lambda response: json.dumps(answer(json.loads(response.body)))
