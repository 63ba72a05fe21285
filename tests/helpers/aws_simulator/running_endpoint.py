"""One endpoint that does what SageMaker's do: the real package, served by a process; blue/green, rolled back."""

import threading
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow
from moto.logs.models import logs_backends
from moto.sagemaker.models import sagemaker_backends

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.job_checks import served_by
from tests.helpers.aws_simulator.job_logs import put_line
from tests.helpers.aws_simulator.package_server import NotServing, PackageServer
from tests.helpers.aws_simulator.strictness import LOCK

UNHEALTHY = (
    "The primary container for production variant AllTraffic did not pass the ping health check. Please check "
    "CloudWatch logs for this endpoint."
)
SHOWN = ("EndpointConfigName", "EndpointStatus", "FailureReason", "PendingDeploymentSummary", "LastDeploymentConfig")


class EndpointConfig:
    """What moto keeps of a configuration, without its own list of instance types, which is an old one."""

    def __init__(self, region: str, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.name = asked["EndpointConfigName"]
        self.arn = f"arn:aws:sagemaker:{region}:{DEFAULT_ACCOUNT_ID}:endpoint-config/{self.name}"
        self.tags = asked.get("Tags", [])
        self.created = utcnow()

    @property
    def model(self) -> str:
        return str(self.asked["ProductionVariants"][0]["ModelName"])

    def described(self) -> dict[str, Any]:
        kept = {key: value for key, value in self.asked.items() if key != "Tags"}
        return {**kept, "EndpointConfigArn": self.arn, "CreationTime": self.created}


class RunningEndpoint:
    """One endpoint; ``state`` is what its Describe operation answers of SHOWN."""

    def __init__(self, region: str, asked: dict[str, Any], config: EndpointConfig) -> None:
        self.region, self.name, self.tags = region, asked["EndpointName"], asked.get("Tags", [])
        self.arn = f"arn:aws:sagemaker:{region}:{DEFAULT_ACCOUNT_ID}:endpoint/{self.name}"
        self.creation_time = utcnow()
        self.config = config
        self.server: PackageServer | None = None
        self.state: dict[str, Any] = {"EndpointStatus": "Creating", "EndpointConfigName": config.name}
        self.logs = logs_backends[DEFAULT_ACCOUNT_ID][region]
        self.begin(self.create)

    def begin(self, work: Any, *arguments: Any) -> None:
        self.thread = threading.Thread(target=work, args=arguments, daemon=True)
        self.thread.start()

    def described(self) -> dict[str, Any]:
        shown = {key: self.state[key] for key in SHOWN if self.state.get(key)}
        times = {"CreationTime": self.creation_time, "LastModifiedTime": self.creation_time}
        return {"EndpointName": self.name, "EndpointArn": self.arn, **shown, **times}

    def summary(self) -> dict[str, Any]:
        keys = ("EndpointName", "EndpointArn", "EndpointStatus", "CreationTime", "LastModifiedTime")
        return {key: self.described()[key] for key in keys}

    def create(self) -> None:
        self.server = self.started(self.config)
        healthy = self.server is not None
        self.state.update({"EndpointStatus": "InService"} if healthy else failure("Failed"))

    def started(self, config: EndpointConfig) -> PackageServer | None:
        """A server that is healthy; None where it does not come up."""
        served = served_by(sagemaker_backends[DEFAULT_ACCOUNT_ID][self.region], config.model)
        server = PackageServer(
            storage.read(served.data_url) or b"", {"FER_THREADS": "1", **served.environment}, self.note
        )
        try:
            server.__enter__()
        except NotServing as error:
            self.note(str(error))
            return None
        try:
            server.wait_until_healthy()
        except NotServing as error:
            self.note(str(error))
            server.__exit__(None, None, None)
            return None
        return server

    def update(self, config: EndpointConfig, deployment: dict[str, Any]) -> None:
        """Blue/green: the former server answers until the other one is healthy, and no alarm rings."""
        server = self.started(config)
        alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        ringing = [alarm["AlarmName"] for alarm in alarms if self.rings(alarm["AlarmName"])]
        self.state["PendingDeploymentSummary"] = None
        if server is None or ringing:
            self.state["EndpointStatus"] = "RollingBack"
            if server is not None:
                server.__exit__(None, None, None)
            reason = f"One or more configured alarm(s) in ALARM state: [{', '.join(ringing)}]" if ringing else UNHEALTHY
            self.state.update(failure("InService", reason))
            return
        former, self.server, self.config = self.server, server, config
        self.state.update({"EndpointStatus": "InService", "EndpointConfigName": config.name, "FailureReason": None})
        if former is not None:
            former.__exit__(None, None, None)

    def rings(self, alarm: str) -> bool:
        found = cloudwatch_backends[DEFAULT_ACCOUNT_ID][self.region].alarms[alarm]
        return bool(found.state_value == "ALARM")

    def note(self, line: str) -> None:
        with LOCK:
            put_line(self.logs, f"/aws/sagemaker/Endpoints/{self.name}", "AllTraffic/i-simulated", line)

    def end(self) -> None:
        self.thread.join()
        if self.server is not None:
            self.server.__exit__(None, None, None)
            self.server = None


def failure(status: str, reason: str = UNHEALTHY) -> dict[str, str]:
    return {"EndpointStatus": status, "FailureReason": reason}
