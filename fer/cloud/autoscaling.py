"""The number of an endpoint's machines by load: Application Auto Scaling, and an alarm for what has no machine."""

from dataclasses import dataclass
from typing import Any

from fer.aws.client import AwsClient, CloudError, is_not_found
from fer.aws.job_options import build_tags
from fer.cloud.endpoint_names import VARIANT, format_backlog_alarm
from fer.config import SageMakerAws
from fer.config.deploy import Deploy

SERVICE = "application-autoscaling"
NAMESPACE = "sagemaker"
MACHINES, CONCURRENCY = "sagemaker:variant:DesiredInstanceCount", "sagemaker:variant:DesiredProvisionedConcurrency"
LOAD_POLICY, BACKLOG_POLICY = "fer-load", "fer-backlog"
# By the target; an asynchronous endpoint is judged by its queue, for which there is no name.
METRICS = {
    "sagemaker": "SageMakerVariantInvocationsPerInstance",
    "serverless": "SageMakerVariantProvisionedConcurrencyUtilization",
}
POLICY_KEYS = ("PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration")


@dataclass(frozen=True)
class Scaling:
    """How a variant is scaled.

    Args:
        target: What RegisterScalableTarget takes beside the variant: dimension and capacities.
        policies: What PutScalingPolicy takes beside the variant, by the policy's name.
    """

    target: dict[str, Any]
    policies: dict[str, dict[str, Any]]


def build_scaling(deploy: Deploy, endpoint: str) -> Scaling | None:
    """Return the scaling that the section `registry.deploy` asks for; None where it asks for none."""
    cfg = deploy.autoscaling
    if cfg.max is None:
        return None
    dimension = CONCURRENCY if deploy.target == "serverless" else MACHINES
    target = {"ScalableDimension": dimension, "MinCapacity": deploy.min_capacity, "MaxCapacity": cfg.max}
    tracking = {
        "TargetValue": cfg.target,
        **_build_metric(deploy, endpoint),
        "ScaleOutCooldown": cfg.scale_out_s,
        "ScaleInCooldown": cfg.scale_in_s,
    }
    policies: dict[str, dict[str, Any]] = {
        LOAD_POLICY: {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": tracking}
    }
    if deploy.min_capacity == 0:
        # Of an endpoint without a machine, requests for each machine are no number: the first one is started by this.
        step = {
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Average",
            "Cooldown": cfg.scale_in_s,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
        }
        policies[BACKLOG_POLICY] = {"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": step}
    return Scaling(target, policies)


def _build_metric(deploy: Deploy, endpoint: str) -> dict[str, Any]:
    if deploy.target != "async":
        return {"PredefinedMetricSpecification": {"PredefinedMetricType": METRICS[deploy.target or ""]}}
    metric = {"MetricName": "ApproximateBacklogSizePerInstance", "Namespace": "AWS/SageMaker", "Statistic": "Average"}
    return {"CustomizedMetricSpecification": {**metric, "Dimensions": [{"Name": "EndpointName", "Value": endpoint}]}}


class VariantScaling:
    """The scaling of an endpoint's variant, as AWS has it. Every method may raise CloudError.

    Args:
        client: Client for AWS.
        aws: The section `aws` of the configuration.
        endpoint: Name of the endpoint.
    """

    def __init__(self, client: AwsClient, aws: SageMakerAws, endpoint: str) -> None:
        self.client, self.aws, self.endpoint = client, aws, endpoint
        self.resource = {"ServiceNamespace": NAMESPACE, "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}"}

    def read(self) -> Scaling | None:
        """Return the present scaling, None where there is none; a dry run assumes one of machines."""
        ids = {"ServiceNamespace": NAMESPACE, "ResourceIds": [self.resource["ResourceId"]]}
        pages = list(self.client.iter_pages(SERVICE, "describe_scalable_targets", ids))
        policies = list(self.client.iter_pages(SERVICE, "describe_scaling_policies", self.resource))
        if self.client.dry_run:
            return Scaling({"ScalableDimension": MACHINES}, {})
        targets = [target for page in pages for target in page["ScalableTargets"]]
        if not targets:
            return None
        found = {policy["PolicyName"]: policy for page in policies for policy in page["ScalingPolicies"]}
        return Scaling(
            {key: targets[0][key] for key in ("ScalableDimension", "MinCapacity", "MaxCapacity")},
            {
                name: {key: policy[key] for key in POLICY_KEYS if policy.get(key) is not None}
                for name, policy in found.items()
            },
        )

    def apply(self, scaling: Scaling) -> None:
        """Scale so from now on, and in no other way."""
        present = self.read()
        if present is not None and not self.client.dry_run and self._has_more(present, scaling):
            self.remove(present)
        self._request("register_scalable_target", scaling.target)
        for name, policy in scaling.policies.items():
            dimension = {"ScalableDimension": scaling.target["ScalableDimension"]}
            answer = self._request("put_scaling_policy", {"PolicyName": name, **dimension, **policy})
            if name == BACKLOG_POLICY:
                self._put_backlog_alarm(answer.get("PolicyARN", "arn:aws:autoscaling:dry-run"))

    def _has_more(self, present: Scaling, wanted: Scaling) -> bool:
        """Whether something is there that would stay beside what is wanted."""
        same = present.target["ScalableDimension"] == wanted.target["ScalableDimension"]
        return not same or not present.policies.keys() <= wanted.policies.keys()

    def remove(self, present: Scaling) -> None:
        """Scale no more: our own alarm goes, then the target with its policies and their alarms."""
        # In this order a removal that is killed is finished by the next one.
        if BACKLOG_POLICY in present.policies or self.client.dry_run:
            self._delete_backlog_alarm()
        dimension = {"ScalableDimension": present.target["ScalableDimension"]}
        try:
            self._request("deregister_scalable_target", dimension)
        except CloudError as error:
            if error.code != "ObjectNotFoundException":
                raise

    def _delete_backlog_alarm(self) -> None:
        """Delete the alarm of an endpoint that may be without a machine."""
        try:
            self.client.request("cloudwatch", "delete_alarms", {"AlarmNames": [format_backlog_alarm(self.endpoint)]})
        except CloudError as error:
            if not is_not_found(error):
                raise

    def _put_backlog_alarm(self, policy_arn: str) -> None:
        self.client.request(
            "cloudwatch",
            "put_metric_alarm",
            {
                "AlarmName": format_backlog_alarm(self.endpoint),
                "AlarmDescription": "Requests wait, and the endpoint has no machine: starts one.",
                "Namespace": "AWS/SageMaker",
                "MetricName": "HasBacklogWithoutCapacity",
                "Dimensions": [{"Name": "EndpointName", "Value": self.endpoint}],
                "Statistic": "Average",
                "Period": 60,
                "EvaluationPeriods": 1,
                "DatapointsToAlarm": 1,
                "Threshold": 1.0,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "missing",
                "AlarmActions": [policy_arn],
                **build_tags(self.aws),
            },
        )

    def _request(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self.client.request(SERVICE, operation, {**self.resource, **parameters})
