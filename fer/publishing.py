"""Figures of a batch for CloudWatch."""

import logging
from collections.abc import Mapping
from typing import Any

from fer.cloud.calls import AwsCalls, CloudError
from fer.cloud.cloudwatch import alarms, publish
from fer.config import Config, SageMakerAws
from fer.resolving import registered

log = logging.getLogger(__name__)


def publish_batch(config: Config, monitoring: Mapping[str, Any], calls: AwsCalls | None = None) -> None:
    """Send the figures where the configuration wants it. A failure loses no result, so it is only told."""
    aws = config.aws
    if not isinstance(aws, SageMakerAws) or not aws.cloudwatch.publish:
        return
    chosen, limits, uri = aws.cloudwatch, config.inference.monitor, str(config.model_uri)
    model = registered(uri)["name"] if uri.startswith("models:") else config.registry.name
    try:
        calls = calls or AwsCalls(aws.region)
        publish(calls, monitoring, chosen.namespace, chosen.dimensions, model)
        if chosen.alarms:
            alarms(calls, limits, chosen.namespace, chosen.dimensions, model, chosen.alarm_topic)
    except CloudError as error:
        log.warning("CloudWatch has no figures of this batch: %s", error)
