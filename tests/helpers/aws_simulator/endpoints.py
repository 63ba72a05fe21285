"""What SageMaker answers about endpoints, and what endpoints answer."""

import json
import uuid
from collections.abc import Iterable
from typing import Any

import requests
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.responses import SageMakerResponse

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.endpoint_checks import check_config, check_payload
from tests.helpers.aws_simulator.job_checks import refuse
from tests.helpers.aws_simulator.protocols import Asked, Environ, body_of
from tests.helpers.aws_simulator.running_endpoint import EndpointConfig, RunningEndpoint
from tests.helpers.aws_simulator.strictness import LOCK, replace

IN_PROGRESS = ("Creating", "Updating", "RollingBack", "Deleting")


class Endpoints:
    """All endpoints of the simulator, and what is asked of them."""

    def __init__(self) -> None:
        self.running: dict[str, RunningEndpoint] = {}

    def install(self) -> None:
        """Make moto in this process run endpoints."""
        response: Any = SageMakerResponse
        for operation in (
            *("create_endpoint_config", "describe_endpoint_config", "list_endpoint_configs", "delete_endpoint_config"),
            *("create_endpoint", "describe_endpoint", "update_endpoint", "delete_endpoint", "list_models"),
        ):
            answer = getattr(self, operation)
            replace(response, operation, lambda _, asking, answer=answer: answer(asking, parameters(asking)))
        # moto forgets whether a model has a network.
        replace(response, "create_model", self.create_model)

    def create_model(self, original: Any, response: Any) -> Any:
        asked = parameters(response)
        done = original(response)
        response.sagemaker_backend.describe_model(asked["ModelName"]).enable_network_isolation = asked.get(
            "EnableNetworkIsolation", False
        )
        return done

    def list_models(self, response: Any, asked: dict[str, Any]) -> ActionResult:
        found = [model.response_object for model in response.sagemaker_backend.list_models()]
        part = asked.get("NameContains", "")
        keys = ("ModelName", "ModelArn", "CreationTime")
        return ActionResult({"Models": [{key: one[key] for key in keys} for one in found if part in one["ModelName"]]})

    def create_endpoint_config(self, response: Any, asked: dict[str, Any]) -> ActionResult:
        backend, name = response.sagemaker_backend, asked["EndpointConfigName"]
        refuse(name in backend.endpoint_configs, f'Cannot create already existing endpoint configuration "{name}".')
        check_config(backend, asked)
        config = backend.endpoint_configs[name] = EndpointConfig(backend.region_name, asked)
        return ActionResult({"EndpointConfigArn": config.arn})

    def find_config(self, response: Any, name: str) -> EndpointConfig:
        found = response.sagemaker_backend.endpoint_configs.get(name)
        refuse(found is None, f'Could not find endpoint configuration "{name}".')
        return found  # type: ignore[no-any-return]

    def describe_endpoint_config(self, response: Any, asked: dict[str, Any]) -> ActionResult:
        return ActionResult(self.find_config(response, asked["EndpointConfigName"]).described())

    def list_endpoint_configs(self, response: Any, asked: dict[str, Any]) -> ActionResult:
        """One a page, so that nobody takes the first page for all."""
        part, first = asked.get("NameContains", ""), int(asked.get("NextToken", 0))
        found = [one for name, one in sorted(response.sagemaker_backend.endpoint_configs.items()) if part in name]
        keys = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        rows = [{key: one.described()[key] for key in keys} for one in found[first : first + 1]]
        more = {"NextToken": str(first + 1)} if first + 1 < len(found) else {}
        return ActionResult({"EndpointConfigs": rows, **more})

    def delete_endpoint_config(self, response: Any, asked: dict[str, Any]) -> EmptyResult:
        name = self.find_config(response, asked["EndpointConfigName"]).name
        for endpoint in self.running.values():
            pending = (endpoint.state.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")
            used = name in (endpoint.state["EndpointConfigName"], pending)
            refuse(used, f'Endpoint configuration "{name}" is in use by the endpoint "{endpoint.name}".')
        del response.sagemaker_backend.endpoint_configs[name]
        return EmptyResult()

    def create_endpoint(self, response: Any, asked: dict[str, Any]) -> ActionResult:
        name, backend = asked["EndpointName"], response.sagemaker_backend
        refuse(name in self.running, f'Cannot create already existing endpoint "{name}".')
        config = self.find_config(response, asked["EndpointConfigName"])
        endpoint = RunningEndpoint(backend.region_name, asked, config)
        self.running[name] = backend.endpoints[name] = endpoint
        return ActionResult({"EndpointArn": endpoint.arn})

    def find(self, name: str) -> RunningEndpoint:
        refuse(name not in self.running, f'Could not find endpoint "{name}".')
        return self.running[name]

    def describe_endpoint(self, _: Any, asked: dict[str, Any]) -> ActionResult:
        return ActionResult(self.find(asked["EndpointName"]).described())

    def update_endpoint(self, response: Any, asked: dict[str, Any]) -> ActionResult:
        endpoint = self.find(asked["EndpointName"])
        refuse(
            endpoint.state["EndpointStatus"] != "InService", f'Cannot update in-progress endpoint "{endpoint.name}".'
        )
        config = self.find_config(response, asked["EndpointConfigName"])
        same = config.name == endpoint.config.name
        refuse(same, f'Endpoint "{endpoint.name}" is using the endpoint configuration "{config.name}" already.')
        former, latter = (one.asked["ProductionVariants"][0] for one in (endpoint.config, config))
        kinds = ["AsyncInferenceConfig" in one.asked for one in (endpoint.config, config)]
        refuse(kinds[0] != kinds[1], "Cannot change between asynchronous and other endpoints.")
        scaled = endpoint.name in self.scaled_endpoints()
        refuse(
            scaled and former.get("InstanceType") != latter.get("InstanceType"),
            "The instance type of a variant that is a target of automatic scaling cannot be changed; deregister it.",
        )
        deployment = asked.get("DeploymentConfig", {})
        refuse(bool(deployment) and "ServerlessConfig" in latter, "Serverless endpoints take no DeploymentConfig.")
        alarms = cloudwatch_backends[DEFAULT_ACCOUNT_ID][endpoint.region].alarms
        for alarm in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", []):
            refuse(alarm["AlarmName"] not in alarms, f"Alarm {alarm['AlarmName']} does not exist.")
        summary = {"EndpointConfigName": config.name}
        endpoint.state.update({"EndpointStatus": "Updating", "PendingDeploymentSummary": summary})
        endpoint.state["LastDeploymentConfig"] = deployment or None
        endpoint.begin(endpoint.update, config, deployment)
        return ActionResult({"EndpointArn": endpoint.arn})

    def delete_endpoint(self, response: Any, asked: dict[str, Any]) -> EmptyResult:
        endpoint = self.find(asked["EndpointName"])
        status = endpoint.state["EndpointStatus"]
        refuse(status in IN_PROGRESS, f'Cannot update in-progress endpoint "{endpoint.name}".')
        endpoint.state["EndpointStatus"] = "Deleting"
        endpoints = response.sagemaker_backend.endpoints

        def end() -> None:
            if endpoint.server is not None:
                endpoint.server.__exit__(None, None, None)
                endpoint.server = None
            with LOCK:
                self.running.pop(endpoint.name, None)
                endpoints.pop(endpoint.name, None)

        endpoint.begin(end)
        return EmptyResult()

    def scaled_endpoints(self) -> Iterable[str]:
        """Names of those with automatic scaling; set by the simulator."""
        return ()

    def invoke(self, asked: Asked, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        """What InvokeEndpoint and InvokeEndpointAsync answer: status line, headers, body."""
        name = asked.path.split("/")[2]
        endpoint = self.running.get(name)
        if endpoint is None or endpoint.server is None:
            return error(400, "ValidationError", f"Endpoint {name} of account {DEFAULT_ACCOUNT_ID} not found.")
        is_async = "AsyncInferenceConfig" in endpoint.config.asked
        if is_async != (asked.operation == "InvokeEndpointAsync"):
            return error(400, "ValidationError", f"Endpoint {name} does not support this kind of inference.")
        if is_async:
            return self.queue(endpoint, environ)
        body = body_of(environ)
        if refused := check_payload(endpoint.config.asked, len(body)):
            return error(413, "ValidationError", refused)
        answer = ask(endpoint, body, environ.get("CONTENT_TYPE", ""))
        if answer.status_code != 200:
            said = f'Received client error ({answer.status_code}) from primary with message "{answer.text}".'
            return error(424, "ModelError", said)
        headers = [
            ("Content-Type", answer.headers["Content-Type"]),
            ("x-Amzn-Invoked-Production-Variant", "AllTraffic"),
        ]
        return "200 OK", headers, answer.content

    def queue(self, endpoint: RunningEndpoint, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        """Answer the object that a request names into another one, at once."""
        output = endpoint.config.asked["AsyncInferenceConfig"]["OutputConfig"]
        body = storage.read(environ["HTTP_X_AMZN_SAGEMAKER_INPUTLOCATION"])
        inference = str(uuid.uuid4())
        target, failed = f"{output['S3OutputPath']}/{inference}.out", f"{output['S3FailurePath']}/{inference}-error.out"
        if body is None:
            storage.write(failed, b"the input cannot be read", output.get("KmsKeyId"))
        else:
            answer = ask(endpoint, body, environ.get("HTTP_X_AMZN_SAGEMAKER_CONTENT_TYPE", ""))
            place = target if answer.status_code == 200 else failed
            storage.write(place, answer.content, output.get("KmsKeyId"))
        locations = [("X-Amzn-SageMaker-OutputLocation", target), ("X-Amzn-SageMaker-FailureLocation", failed)]
        return "202 Accepted", locations, json.dumps({"InferenceId": inference}).encode()

    def end_all(self) -> None:
        for endpoint in list(self.running.values()):
            endpoint.end()
        self.running.clear()


def ask(endpoint: RunningEndpoint, body: bytes, content_type: str) -> requests.Response:
    assert endpoint.server is not None
    headers = {"Content-Type": content_type}
    return requests.post(f"{endpoint.server.url}/invocations", data=body, headers=headers, timeout=60)


def error(status: int, code: str, message: str) -> tuple[str, list[tuple[str, str]], bytes]:
    body = json.dumps({"Message": message, "message": message}).encode()
    return f"{status} Error", [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)], body


def parameters(response: Any) -> dict[str, Any]:
    return dict(json.loads(response.body))
