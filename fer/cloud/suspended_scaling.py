"""The scaling that is taken from an endpoint for the length of a change, in the bucket: a kill does not lose it."""

import json
import logging
from typing import Any

from fer.aws.client import AwsClient, CloudError
from fer.aws.lock import GONE_CODES
from fer.aws.s3 import build_encryption_args
from fer.cloud.autoscaling import Scaling, VariantScaling
from fer.cloud.endpoint_names import build_suspended_key
from fer.config import SageMakerAws

log = logging.getLogger(__name__)


class SuspendedScaling:
    """What an endpoint's scaling was before a change that SageMaker does not allow beside it.

    Args:
        client: Client for AWS.
        aws: The section `aws` of the configuration.
        scaling: The endpoint's scaling.
    """

    def __init__(self, client: AwsClient, aws: SageMakerAws, scaling: VariantScaling) -> None:
        self.client, self.scaling, self.encryption = client, scaling, build_encryption_args(aws.kms_key)
        self.place = {"Bucket": aws.bucket, "Key": build_suspended_key(aws, scaling.endpoint)}

    def suspend(self, present: Scaling) -> None:
        """Take the scaling away until ``resume`` or ``forget``. Raises CloudError."""
        body = json.dumps({"target": present.target, "policies": present.policies}).encode()
        self.client.request("s3", "put_object", {**self.place, "Body": body, **self.encryption})
        self.scaling.remove(present)

    def resume(self) -> None:
        """Scale as before a change that did not come about, or one that was undone; what fails is only told."""
        try:
            if (kept := self._read()) is not None:
                self.scaling.apply(kept)
                self.forget()
        except CloudError as error:
            log.warning("The endpoint %s is scaled no more: %s", self.scaling.endpoint, error)

    def forget(self) -> None:
        """Keep nothing: the endpoint is scaled otherwise now, or gone. Raises CloudError."""
        if self._read() is not None:
            self.client.request("s3", "delete_object", self.place)

    def _read(self) -> Scaling | None:
        """What was taken away; None where nothing was, as in a dry run."""
        if self.client.dry_run:
            return None
        try:
            content = self.client.request("s3", "get_object", self.place)["Body"].read()
        except CloudError as error:
            if error.code not in GONE_CODES:
                raise
            return None
        kept: dict[str, Any] = json.loads(content)
        return Scaling(kept["target"], kept["policies"])
