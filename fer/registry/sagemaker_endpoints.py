"""Which endpoint of SageMaker serves a registered version, by the tags that deploying gives."""

from collections.abc import Iterator

from fer.aws.client import AwsClient, CloudError, is_not_found
from fer.registry.base import ModelVersion

# By these we know what is ours, and what it serves.
MODEL_TAG, VERSION_TAG = "fer:model", "fer:version"


def find_serving_endpoint(client: AwsClient, version: ModelVersion) -> str | None:
    """Return the name of an endpoint that serves a version or changes over to it; None where there is none.

    Args:
        client: Client for AWS.
        version: The version, of a registry in SageMaker.

    Raises:
        CloudError: AWS refused or did not answer.
    """
    for page in client.iter_pages("sagemaker", "list_endpoints", {}):
        for endpoint in page.get("Endpoints", []):
            try:
                if read_tags(client, endpoint["EndpointArn"]).get(MODEL_TAG) != version.name:
                    continue
                numbers = set(_iter_versions(client, endpoint["EndpointName"]))
            except CloudError as error:
                # It was deleted meanwhile.
                if not is_not_found(error):
                    raise
                continue
            if str(version.version) in numbers:
                return str(endpoint["EndpointName"])
    return None


def _iter_versions(client: AwsClient, endpoint: str) -> Iterator[str]:
    """Yield the numbers of the versions that an endpoint serves, and is to serve."""
    found = client.request("sagemaker", "describe_endpoint", {"EndpointName": endpoint})
    pending = found.get("PendingDeploymentSummary", {}).get("EndpointConfigName")
    for config in filter(None, (found["EndpointConfigName"], pending)):
        described = client.request("sagemaker", "describe_endpoint_config", {"EndpointConfigName": config})
        yield read_tags(client, described["EndpointConfigArn"]).get(VERSION_TAG, "")


def read_tags(client: AwsClient, arn: str) -> dict[str, str]:
    """Return the tags of what SageMaker knows by its ARN. Raises CloudError."""
    pages = list(client.iter_pages("sagemaker", "list_tags", {"ResourceArn": arn}))
    return {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", [])}
