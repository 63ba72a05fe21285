"""Names of what an endpoint consists of in AWS; its rights are on these alone."""

import hashlib
import re

from fer.config import Config, SageMakerAws
from fer.config.deploy import Deploy
from fer.registry.resolve import parse_registry_uri

# The one variant that every endpoint has.
VARIANT = "AllTraffic"
SUFFIXES = {"serverless": "-serverless", "async": "-async"}
MAX_NAME, HASH = 49, 12  # characters


def get_model_name(config: Config) -> str:
    """Return the registry's name of the model that an endpoint serves. Raises ConfigError."""
    uri = next((uri for uri in config.list_model_uris() if uri.startswith("models:")), None)
    return config.registry.name if uri is None else parse_registry_uri(uri)["name"]


def get_endpoint_name(config: Config) -> str:
    """Return the name of the endpoint or service that a configuration is about.

    Raises:
        ConfigError: The model's URI has none of the allowed forms.
    """
    deploy = config.registry.deploy
    if deploy.endpoint is not None:
        return deploy.endpoint
    model = get_model_name(config)
    words = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    name = words if words[:1].isalpha() else f"fer-{words}".rstrip("-")
    suffix = SUFFIXES.get(deploy.target or "", "")
    if len(name + suffix) > MAX_NAME:
        digest = compute_digest(model)
        name = f"{name[: MAX_NAME - len(suffix) - HASH - 1].rstrip('-')}-{digest}"
    return name + suffix


def compute_digest(text: str) -> str:
    """Return a short hash, for names."""
    return hashlib.sha256(text.encode()).hexdigest()[:HASH]


def is_own_name(endpoint: str, name: str) -> bool:
    """Whether a model or a configuration has a name as this program gives them for an endpoint."""
    return re.fullmatch(rf"{re.escape(endpoint)}-[0-9a-f]{{{HASH}}}", name) is not None


def build_lock_key(aws: SageMakerAws, endpoint: str) -> str:
    """Return the key of the object that keeps two processes from changing an endpoint at the same time."""
    return f"{aws.prefix}/locks/endpoint-{endpoint}.json"


def build_suspended_key(aws: SageMakerAws, endpoint: str) -> str:
    """Return the key of the object that holds an endpoint's scaling while it is taken away for a change."""
    return f"{aws.prefix}/locks/endpoints/{endpoint}-scaling.json"


def build_output_uri(aws: SageMakerAws, deploy: Deploy, endpoint: str) -> str:
    """Return the s3:// folder that the answers of an asynchronous endpoint go to."""
    return deploy.async_output or f"{build_folder_uri(aws, endpoint)}/output"


def build_folder_uri(aws: SageMakerAws, endpoint: str) -> str:
    """Return the s3:// folder for what an endpoint writes, below those of jobs, which the role may write."""
    return f"s3://{aws.bucket}/{aws.prefix}/jobs/endpoints/{endpoint}"


def format_log_group(endpoint: str) -> str:
    """Return the CloudWatch log group of an endpoint's containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def format_backlog_alarm(endpoint: str) -> str:
    """Return the name of the alarm that starts the first machine of an endpoint that has none."""
    return f"{endpoint} waits without a machine"
