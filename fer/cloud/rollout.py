"""Changing what an endpoint serves, so that one which fails to come up leaves all as it was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fer.aws.client import AwsClient, CloudError, is_not_found
from fer.aws.lock import S3Lock
from fer.aws.s3 import build_encryption_args
from fer.cloud.autoscaling import MACHINES, VariantScaling, build_scaling
from fer.cloud.endpoint import CHANGING, DELETING, FAILED, GONE, IN_SERVICE, Endpoint
from fer.cloud.endpoint_names import build_lock_key, format_log_group
from fer.cloud.endpoint_requests import Deployment, build_update_policy
from fer.cloud.suspended_scaling import SuspendedScaling
from fer.config import SageMakerAws
from fer.config.deploy import Deploy, Update
from fer.errors import UserError
from fer.registry.sagemaker_endpoints import VERSION_TAG, read_tags

log = logging.getLogger(__name__)


class Rollout:
    """Changes an endpoint of SageMaker, one process at a time.

    What is called ENDPOINT-DIGEST belongs to it: models and configurations that it serves by, or one can go back to.
    All else of these names is deleted after each change, so that a process that was killed leaves nothing for long.

    Args:
        client: Client for AWS.
        aws: The section `aws` of the configuration.
        deploy: The section `registry.deploy`.
        endpoint: Name of the endpoint.
        model: Name of the model in the registry.
    """

    def __init__(self, client: AwsClient, aws: SageMakerAws, deploy: Deploy, endpoint: str, model: str) -> None:
        self.client, self.aws, self.cfg = client, aws, deploy
        self.endpoint = Endpoint(client, endpoint, model, deploy.poll_s)
        self.scaling = VariantScaling(client, aws, endpoint)
        self._lock = S3Lock(
            client, aws.bucket, build_lock_key(aws, endpoint), build_encryption_args(aws.kms_key), subject="endpoint"
        )
        self.suspended = SuspendedScaling(client, aws, self.scaling)

    def deploy(self, deployment: Deployment) -> str:
        """Serve a version: create the endpoint, or change one that is there; the same again changes nothing.

        Returns:
            A sentence that says what is served.

        Raises:
            UserError: It was refused, or did not come up; then all is as before, and nothing of it is left.
        """
        with self._lock:
            self.endpoint.read()
            history = self.endpoint.require_own() if self.endpoint.description else ()
            if self.endpoint.status == FAILED:
                # A creation whose process was killed before it could clean up.
                self._delete_endpoint()
            self._refuse_other_change(deployment)
            is_new = self.endpoint.status in (GONE, "Creating")
            with self._clean_up_on_refusal():
                self._start_change(deployment, history)
            if not self.cfg.wait:
                return (
                    f"{self._name} is to serve {deployment.uri}; until the same command without wait=false has waited "
                    "for it, it is not scaled as asked for, and what is no longer used stays"
                )
            self._wait(deployment.name, is_new)
            self._apply_scaling()
            self._delete_unused()
        return f"{self._name} serves {deployment.uri}"

    def roll_back(self) -> str:
        """Serve by the configuration before the present one again; returns a sentence. Raises UserError as above."""
        with self._lock:
            self.endpoint.read()
            if not self.endpoint.description:
                raise UserError(f"{self._name}: there is none; create it with registry.action=deploy")
            history = self.endpoint.require_own()
            if self._is_going_back(history):
                return self._finish_going_back()
            if self.endpoint.status != IN_SERVICE:
                raise UserError(f"{self._name}: is {self.endpoint.status}, so it cannot be changed; {self._remedy}")
            if not history:
                raise UserError(f"{self._name}: serves its first version; there is none before it to go back to")
            previous = history[-1]
            try:
                self.endpoint.read_config(previous)
            except CloudError as error:
                if not is_not_found(error):
                    raise
                raise UserError(
                    f"{self._name}: the configuration before, {previous}, was deleted; deploy that version again"
                ) from None
            # What comes after the one that is gone back to is none to go back to.
            self.endpoint.store_history(history)
            # At once and without alarms, which may well be ringing now.
            self._send_update(previous, self.cfg.model_copy(update={"update": Update()}), is_scaled=True)
            self._settle(previous)
            return f"{self._name} serves {self._read_uri(previous)} again"

    def _is_going_back(self, history: tuple[str, ...]) -> bool:
        """Whether an earlier command, which was killed or did not wait, has left something of a change undone."""
        if self.endpoint.status == "Updating":
            return history[-1:] == (self.endpoint.pending_config,)
        if self.endpoint.status != IN_SERVICE or not self.endpoint.is_back:
            return False
        return bool(self.endpoint.list_unused({self.endpoint.config, *history}))

    def _finish_going_back(self) -> str:
        """Finish what was left; returns a sentence. One who types a command twice does not go back twice."""
        target = self.endpoint.pending_config or self.endpoint.config
        self._settle(target)
        return (
            f"{self._name} serves {self._read_uri(target)}: a change that was undone, or broken off, is cleared up; "
            "the same command again goes back further"
        )

    def _settle(self, config: str) -> None:
        """Wait for a way back, and leave all as it was. Raises UserError."""
        self._wait(config, is_new=False)
        self.suspended.resume()
        self._delete_unused()

    def _read_uri(self, config: str) -> str:
        """The version of a configuration, as ``model_uri`` names it. Raises CloudError."""
        tags = read_tags(self.client, self.endpoint.read_config(config)["EndpointConfigArn"])
        return f"models:/{self.endpoint.model}/{tags.get(VERSION_TAG, '')}"

    def remove(self) -> str:
        """Delete the endpoint with its scaling, configurations and models; returns a sentence. Raises UserError."""
        with self._lock:
            self.endpoint.read()
            if self.endpoint.description:
                self.endpoint.require_own()
                if self.endpoint.status in ("Creating", "Updating", "RollingBack", "SystemUpdating"):
                    raise UserError(f"{self._name}: is {self.endpoint.status}, so it cannot be deleted now; try later")
                self._delete_endpoint()
                said = f"{self._name} is deleted"
            else:
                said = f"{self._name}: there is none"
            self.suspended.forget()
            self.endpoint.delete_unused(kept=set())
        return f"{said}; its log stays in {format_log_group(self.endpoint.name)}"

    @property
    def _name(self) -> str:
        return f"endpoint {self.endpoint.name}"

    @property
    def _remedy(self) -> str:
        """What to do about an endpoint that cannot be changed now."""
        if self.endpoint.status in CHANGING:
            return "try again when that has ended"
        return "delete it with registry.action=undeploy, then deploy"

    def _refuse_other_change(self, deployment: Deployment) -> None:
        """Refuse to meddle with a change that is not the one to this deployment. Raises UserError."""
        endpoint = self.endpoint
        changes_to = endpoint.config if endpoint.status == "Creating" else endpoint.pending_config
        if endpoint.status in (GONE, IN_SERVICE) or (
            endpoint.status in ("Creating", "Updating") and changes_to == deployment.name
        ):
            return
        raise UserError(f"{self._name}: is {endpoint.status}, so nothing was changed; {self._remedy}")

    def _start_change(self, deployment: Deployment, history: tuple[str, ...]) -> None:
        """Create the endpoint or have it change over, unless that is under way or done; a dry run does both."""
        endpoint, dry_run = self.endpoint, self.client.dry_run
        is_missing = endpoint.status == GONE
        if not dry_run and not is_missing and (endpoint.status != IN_SERVICE or endpoint.config == deployment.name):
            return
        self._create("create_model", deployment.model)
        self._create("create_endpoint_config", deployment.config)
        if is_missing or dry_run:
            names = {"EndpointName": endpoint.name, "EndpointConfigName": deployment.name}
            self._create("create_endpoint", {**names, "Tags": deployment.tags})
        if not is_missing:
            endpoint.store_history((*history, endpoint.config))
            self._send_update(deployment.name, self.cfg, is_scaled=self.cfg.autoscaling.max is not None)

    def _create(self, operation: str, parameters: dict[str, Any]) -> None:
        """Create what may be there: a killed process has left it, or the answer to a first try was lost."""
        try:
            self.endpoint.request(operation, parameters)
        except CloudError as error:
            if "already exist" not in str(error):
                raise

    def _send_update(self, config: str, cfg: Deploy, is_scaled: bool) -> None:
        """Have the endpoint change over; how many machines there are now is kept where load goes on to decide on it."""
        scaling = self.scaling.read()
        keep: dict[str, Any] = {}
        if scaling is not None:
            if self._changes_machines(config):
                # SageMaker refuses the change while the number of the former machines is scaled.
                self.suspended.suspend(scaling)
            elif is_scaled and scaling.target["ScalableDimension"] == MACHINES:
                types = [{"VariantPropertyType": name} for name in ("DesiredWeight", "DataCaptureConfig")]
                keep = {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": types}
        try:
            names = {"EndpointName": self.endpoint.name, "EndpointConfigName": config}
            policy = {"RetainDeploymentConfig": False, **build_update_policy(cfg)}
            self.endpoint.request("update_endpoint", {**names, **keep, **policy})
        except CloudError:
            self.endpoint.read()
            # The answer to a first try may have been lost.
            if self.endpoint.pending_config != config:
                self.suspended.resume()
                raise

    def _changes_machines(self, config: str) -> bool:
        """Whether a configuration has machines of another type than the present one."""
        variants = [
            self.endpoint.read_config(name).get("ProductionVariants", [{}])[0]
            for name in (self.endpoint.config, config)
        ]
        return variants[0].get("InstanceType") != variants[1].get("InstanceType")

    def _wait(self, config: str, is_new: bool) -> None:
        """Wait until the endpoint serves by a configuration. Raises UserError where it fails to, after cleaning up."""
        try:
            self.endpoint.wait(self._lock.confirm)
        except KeyboardInterrupt:
            log.warning("The %s goes on changing; the same command again waits for it", self._name)
            raise
        endpoint = self.endpoint
        if self.client.dry_run or (endpoint.status == IN_SERVICE and endpoint.config == config):
            return
        reason = " ".join(str(endpoint.description.get("FailureReason", "")).split()).rstrip(".")
        reason = f"{reason or 'SageMaker gives no reason'}; its log: {format_log_group(endpoint.name)}"
        if is_new:
            self._attempt_to_clean_up()
            raise UserError(f"{self._name} did not come up, and nothing of it is left: {reason}")
        if endpoint.status != IN_SERVICE:
            raise UserError(
                f"{self._name} is {endpoint.status}: {reason}; delete it with registry.action=undeploy, then deploy"
            )
        self.suspended.resume()
        self._attempt_to_clean_up()
        raise UserError(f"{self._name} serves what it served before, since the other did not come up: {reason}")

    def _apply_scaling(self) -> None:
        """Scale as is asked for. Raises UserError; the endpoint serves nevertheless."""
        wanted = build_scaling(self.cfg, self.endpoint.name)
        try:
            if wanted is not None:
                self.scaling.apply(wanted)
            elif (present := self.scaling.read()) is not None and not self.client.dry_run:
                self.scaling.remove(present)
            self.suspended.forget()
        except CloudError as error:
            raise UserError(
                f"{error}; the {self._name} serves, but is not scaled so: type the same command again"
            ) from None

    @contextmanager
    def _clean_up_on_refusal(self) -> Iterator[None]:
        """Delete what was made, where AWS refuses what comes after it."""
        try:
            yield
        except CloudError:
            self._attempt_to_clean_up()
            raise

    def _attempt_to_clean_up(self) -> None:
        """Delete what nobody uses; what cannot be deleted now is found by the next command, and only told."""
        try:
            if self.endpoint.status == FAILED:
                self._delete_endpoint()
            self._delete_unused()
        except UserError as error:
            log.warning("What was made for the %s is still there: %s", self._name, error)

    def _delete_unused(self) -> None:
        """Delete the models and configurations that it neither serves by nor can go back to. Raises UserError."""
        self.endpoint.read()
        kept: set[str] = set()
        if self.endpoint.description:
            history = self.endpoint.require_own()
            kept = {self.endpoint.config, self.endpoint.pending_config, *history}
        self.endpoint.delete_unused(kept)

    def _delete_endpoint(self) -> None:
        """Delete the endpoint and its scaling, and wait until it is gone. Raises UserError."""
        if (present := self.scaling.read()) is not None:
            self.scaling.remove(present)
        if self.endpoint.status != DELETING:
            self.endpoint.request("delete_endpoint", {"EndpointName": self.endpoint.name})
        self.endpoint.wait(self._lock.confirm)
