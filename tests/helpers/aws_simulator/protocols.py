"""What a request to AWS asks for, and how a refusal looks to its client."""

import io
import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import botocore.session
from moto.core.parse import PROTOCOL_PARSERS
from werkzeug.datastructures import EnvironHeaders, MultiDict

Environ = dict[str, Any]
Answer = tuple[str, list[tuple[str, str]], bytes]
# boto3's names of services that sign under another one.
SIGNING = {"monitoring": "cloudwatch"}
UPLOADS = ("PutObject", "UploadPart")
TEXTS = {400: "Bad Request", 403: "Forbidden", 500: "Internal Server Error", 503: "Service Unavailable"}


@dataclass(frozen=True)
class Asked:
    """``service`` as boto3 calls it, ``operation`` as the API does; ``protocol`` json, query or rest-xml."""

    service: str
    operation: str
    protocol: str
    path: str


@dataclass(frozen=True)
class Route:
    """How a request of S3 looks: its method, the parts of its path, the query keys and headers it needs."""

    operation: str
    method: str
    parts: int
    query: frozenset[str]
    headers: frozenset[str]


@cache
def service_model(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


@cache
def routes() -> list[Route]:
    """The routes of S3, those that need most first."""
    found = []
    for name in service_model("s3").operation_names:
        operation = service_model("s3").operation_model(name)
        path, _, literal = operation.http["requestUri"].partition("?")
        needed: dict[str, set[str]] = {"querystring": set(parse_qs(literal, True)), "header": set()}
        shape = operation.input_shape
        for member in shape.required_members if shape else ():
            place = shape.members[member].serialization
            if place.get("location") in needed:
                needed[place["location"]].add(place["name"])
        parts = len([part for part in path.split("/") if part])
        query, headers = frozenset(needed["querystring"]), frozenset(needed["header"])
        found.append(Route(name, operation.http["method"], parts, query, headers))
    return sorted(found, key=lambda route: -len(route.query) - len(route.headers))


def s3_operation(environ: Environ) -> str:
    parts = min(2, len(environ["PATH_INFO"].lstrip("/").split("/", 1)) if environ["PATH_INFO"].strip("/") else 0)
    query = set(parse_qs(environ.get("QUERY_STRING", ""), True))
    for route in routes():
        headers = {f"HTTP_{name.upper().replace('-', '_')}" for name in route.headers}
        same = (route.method, route.parts) == (environ["REQUEST_METHOD"], parts)
        if same and route.query <= query and headers <= set(environ):
            return route.operation
    return "Unknown"


def body_of(environ: Environ) -> bytes:
    """The whole body, which stays readable."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def asked_for(environ: Environ) -> Asked:
    """What the request asks for; unsigned requests are of S3."""
    path = environ["PATH_INFO"]
    if path.endswith("invocations"):
        operation = "InvokeEndpointAsync" if path.endswith("/async-invocations") else "InvokeEndpoint"
        return Asked("sagemaker-runtime", operation, "rest-json", path)
    # Credential=KEY/date/region/service/aws4_request
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
    signed = scope[3] if len(scope) > 3 else "s3"
    service = SIGNING.get(signed, signed)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return Asked(service, target.rpartition(".")[2], "json", path)
    if service == "s3":
        return Asked(service, s3_operation(environ), "rest-xml", path)
    action = parse_qs(body_of(environ).decode()).get("Action", ["Unknown"])[0]
    return Asked(service, action, "query", path)


def parameters_of(asked: Asked, environ: Environ) -> dict[str, Any]:
    """The parameters of a request as its client gave them, by the API's own description; without the bytes of S3."""
    body = b"" if asked.operation in UPLOADS else body_of(environ)
    bucket, _, key = asked.path.lstrip("/").partition("/")
    query = environ.get("QUERY_STRING", "") if asked.protocol == "rest-xml" else body.decode(errors="replace")
    request = {
        "body": body,
        "headers": EnvironHeaders(environ),
        "method": environ["REQUEST_METHOD"],
        "url_params": {"Bucket": bucket, "Key": key},
        "url_path": asked.path,
        "values": MultiDict(parse_qsl(query, keep_blank_values=True)),
    }
    model = service_model(asked.service).operation_model(asked.operation)
    return dict(PROTOCOL_PARSERS[asked.protocol](model).parse(request))


def refusal(protocol: str, code: str, message: str, status: int) -> Answer:
    """AWS's error as each protocol writes it."""
    line = f"{status} {TEXTS[status]}"
    if protocol == "json":
        body = json.dumps({"__type": code, "message": message}).encode()
        return line, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))], body
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if protocol == "rest-xml":
        text = f"<Error>{error}<RequestId>simulated</RequestId></Error>"
    else:
        text = f"<ErrorResponse><Error>{error}</Error><RequestId>simulated</RequestId></ErrorResponse>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
    return line, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))], body
