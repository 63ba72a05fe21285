"""One endpoint of SageMaker: what it serves, whether it is ours, and waiting for it."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from fer.aws.client import AwsClient, CloudError, is_not_found
from fer.aws.jobs import FATAL_ERROR_CODES, MAX_OUTAGE_S
from fer.cloud.endpoint_names import is_own_name
from fer.errors import UserError
from fer.registry.sagemaker_endpoints import MODEL_TAG, read_tags

IN_SERVICE, FAILED, DELETING = "InService", "Failed", "Deleting"
CHANGING = ("Creating", "Updating", "RollingBack", "SystemUpdating", DELETING)
GONE = "gone"
HISTORY_TAG = "fer:history"
# A tag's 256 characters hold more; who goes back further deploys that version again.
MAX_HISTORY = 5
LINE_SECONDS = 30.0
DRY_RUN_ACCOUNT = "000000000000"
log = logging.getLogger(__name__)


class Endpoint:
    """An endpoint, which need not exist.

    Args:
        client: Client for AWS.
        name: Its name.
        model: Name of the model in the registry that it is to serve.
        poll_s: Wait between two status requests, seconds.

    Attributes:
        description: AWS's latest answer; empty where there is no such endpoint.
        is_back: Whether it serves again by what was to be the one before: a change was undone, or did not come about.
    """

    def __init__(self, client: AwsClient, name: str, model: str, poll_s: float) -> None:
        self.client, self.name, self.model, self.poll_s = client, name, model, poll_s
        self.description: dict[str, Any] = {}
        self.is_back = False

    @property
    def status(self) -> str:
        """Status by the latest answer, or GONE."""
        return str(self.description.get("EndpointStatus", GONE))

    @property
    def config(self) -> str:
        """Name of the configuration that it serves by; of one that is created, that it will serve by."""
        return str(self.description.get("EndpointConfigName", ""))

    @property
    def pending_config(self) -> str:
        """Name of the configuration that it changes over to, empty where it does not."""
        return str(self.description.get("PendingDeploymentSummary", {}).get("EndpointConfigName", ""))

    def request(
        self, operation: str, parameters: dict[str, Any], dry_response: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a request to SageMaker. Raises CloudError."""
        return self.client.request("sagemaker", operation, parameters, dry_response)

    def read(self) -> None:
        """Bring the description up to date. Raises CloudError."""
        dry_response = {
            "EndpointArn": self._build_dry_run_arn("endpoint", self.name),
            "EndpointStatus": IN_SERVICE,
            "EndpointConfigName": self.build_dry_run_name(1),
        }
        try:
            self.description = self.request("describe_endpoint", {"EndpointName": self.name}, dry_response)
        except CloudError as error:
            if not is_not_found(error):
                raise
            self.description = {}

    def require_own(self) -> tuple[str, ...]:
        """Return the configurations before the present one, the latest last; refuse an endpoint that another made.

        Raises:
            UserError: It has not our tag, or that of another model.
        """
        tags = read_tags(self.client, self.description["EndpointArn"])
        if (model := tags.get(MODEL_TAG)) != self.model and not self.client.dry_run:
            owner = "was not made by this program" if model is None else f"serves models:/{model}"
            raise UserError(
                f"the endpoint {self.name} {owner}: nothing was changed; name another one by registry.deploy.endpoint"
            )
        if self.client.dry_run:
            return (self.build_dry_run_name(0),)
        history = [f"{self.name}-{digest}" for digest in tags.get(HISTORY_TAG, "").split()]
        # It was written before the change to the present one, which may have failed.
        self.is_back = history[-1:] == [self.config]
        return tuple(history[:-1] if self.is_back else history)

    def store_history(self, configs: tuple[str, ...]) -> None:
        """Store the configurations that one can go back to, once another one is in use. Raises CloudError."""
        digests = [config.rpartition("-")[2] for config in configs[-MAX_HISTORY:] if is_own_name(self.name, config)]
        tag = {"Key": HISTORY_TAG, "Value": " ".join(digests)}
        self.request("add_tags", {"ResourceArn": self.description["EndpointArn"], "Tags": [tag]})

    def wait(self, confirm: Callable[[], None]) -> None:
        """Wait until it changes no more; its status is told whenever it is another one.

        Args:
            confirm: Called at each poll, to keep a lock.

        Raises:
            UserError: AWS refuses to answer, or was out of reach for too long; the endpoint goes on.
        """
        start, told, last_status, outage_s = time.monotonic(), 0.0, "", 0.0
        while True:
            try:
                self.read()
                confirm()
                outage_s = 0.0
            except CloudError as error:
                if error.code in FATAL_ERROR_CODES or outage_s > MAX_OUTAGE_S:
                    raise UserError(f"{error}; the endpoint {self.name} goes on: type the same command again") from None
                log.warning("%s; waiting", error)
                outage_s += self.poll_s
            else:
                passed = time.monotonic() - start
                if self.status != last_status or passed - told > LINE_SECONDS:
                    log.info("Endpoint %s: %s (%.0f s)", self.name, self.status, passed)
                    last_status, told = self.status, passed
                if self.status not in CHANGING:
                    return
            if self.client.dry_run:
                return
            time.sleep(self.poll_s)

    def list_unused(self, kept: set[str]) -> list[tuple[str, str]]:
        """Return kind and name of our configurations and models that are not kept. Raises CloudError."""
        return [
            (kind, name)
            for operation, kind in (("list_endpoint_configs", "EndpointConfig"), ("list_models", "Model"))
            for name, arn in self._iter_resources(operation, kind)
            if name not in kept and self._is_own(arn)
        ]

    def delete_unused(self, kept: set[str]) -> None:
        """Delete our configurations and models of this endpoint, but those that are kept. Raises CloudError."""
        for kind, name in self.list_unused(kept):
            operation = "delete_endpoint_config" if kind == "EndpointConfig" else "delete_model"
            self.request(operation, {f"{kind}Name": name})

    def _iter_resources(self, operation: str, kind: str) -> Iterator[tuple[str, str]]:
        """Yield name and ARN of what is called as we call it."""
        pages = list(self.client.iter_pages("sagemaker", operation, {"NameContains": f"{self.name}-"}))
        if self.client.dry_run:
            name = self.build_dry_run_name(0)
            pages = [{f"{kind}s": [{f"{kind}Name": name, f"{kind}Arn": self._build_dry_run_arn(kind, name)}]}]
        for entry in (entry for page in pages for entry in page.get(f"{kind}s", [])):
            if is_own_name(self.name, entry[f"{kind}Name"]):
                yield entry[f"{kind}Name"], entry[f"{kind}Arn"]

    def _is_own(self, arn: str) -> bool:
        return read_tags(self.client, arn).get(MODEL_TAG) == self.model or self.client.dry_run

    def read_config(self, name: str) -> dict[str, Any]:
        """Return the description of a configuration. Raises CloudError."""
        dry_response = {"EndpointConfigArn": self._build_dry_run_arn("EndpointConfig", name)}
        return self.request("describe_endpoint_config", {"EndpointConfigName": name}, dry_response)

    def build_dry_run_name(self, number: int) -> str:
        """Return the name of a configuration that a dry run assumes."""
        return f"{self.name}-{number:012x}"

    def _build_dry_run_arn(self, kind: str, name: str) -> str:
        word = {"EndpointConfig": "endpoint-config"}.get(kind, kind.lower())
        return f"arn:aws:sagemaker:{self.client.region}:{DRY_RUN_ACCOUNT}:{word}/{name}"
