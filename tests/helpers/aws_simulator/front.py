"""The WSGI application before moto's: counts calls, refuses bad parameters, does the faults, and is set by HTTP."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from werkzeug.test import run_wsgi_app

from tests.helpers.aws_simulator.constraints import broken
from tests.helpers.aws_simulator.endpoints import Endpoints
from tests.helpers.aws_simulator.faults import REFUSALS, SAYINGS, Fault, Faults
from tests.helpers.aws_simulator.protocols import (
    Answer,
    Asked,
    Environ,
    asked_for,
    body_of,
    parameters_of,
    refusal,
    service_model,
)

# What of each service is walked over, and the code with which it refuses what its description does not allow.
WALKED = {
    **{"sagemaker": "ValidationException", "s3": "InvalidRequest"},
    **{"logs": "InvalidParameterException", "cloudwatch": "InvalidParameterValue"},
    "application-autoscaling": "ValidationException",
}


class Front:
    """Goes between HTTP and ``app``, or ``endpoints`` that are invoked; ``reset`` empties what is behind it."""

    def __init__(self, app: Any, endpoints: Endpoints, faults: Faults, reset: Callable[[], None]) -> None:
        self.app = app
        self.endpoints = endpoints
        self.faults = faults
        self.reset = reset
        self.calls: Counter[tuple[str, str]] = Counter()
        # All operations whose requests were what AWS's descriptions allow, since the start.
        self.walked: set[str] = set()
        self.lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/simulator/"):
            status, content = self.administered(environ)
            body = json.dumps(content).encode()
            start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        asked = asked_for(environ)
        with self.lock:
            self.calls[asked.service, asked.operation] += 1
        fault = self.faults.for_request(asked)
        if fault is not None:
            return self.faulty(fault, asked, environ, start_response)
        if asked.service == "sagemaker-runtime":
            return answered(self.endpoints.invoke(asked, environ), start_response)
        if asked.service in WALKED and asked.operation in service_model(asked.service).operation_names:
            if refused := broken(asked.service, asked.operation, parameters_of(asked, environ)):
                return answered(refusal(asked.protocol, WALKED[asked.service], refused, 400), start_response)
            with self.lock:
                self.walked.add(f"{asked.service}:{asked.operation}")
        answer: Iterable[bytes] = self.app(environ, start_response)
        return answer

    def administered(self, environ: Environ) -> tuple[str, Any]:
        """Status and content of the answer to a request at `/simulator/`."""
        done = "200 OK"
        match environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix("/simulator/"):
            case "GET", "calls":
                with self.lock:
                    counts = list(self.calls.items())
                return done, [{"service": one, "operation": other, "count": count} for (one, other), count in counts]
            case "GET", "walked":
                return done, sorted(self.walked)
            case "GET", "faults":
                return done, [asdict(fault) for fault in self.faults.active]
            case "POST", "faults":
                try:
                    self.faults.add(Fault(**parameters(environ)))
                except (TypeError, ValueError) as error:
                    return "400 Bad Request", {"error": str(error)}
                return done, {}
            case "DELETE", "faults":
                self.faults.clear()
                return done, {}
            case "POST", "reset":
                self.faults.clear()
                self.reset()
                with self.lock:
                    self.calls.clear()
                return done, {}
        return "404 Not Found", {"error": "calls, walked, faults or reset"}

    def faulty(self, fault: Fault, asked: Asked, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """What the request gets under a fault. A ConnectionError becomes a reset of the connection."""
        if fault.kind in REFUSALS:
            code, status = REFUSALS[fault.kind][asked.protocol]
            return answered(refusal(asked.protocol, code, SAYINGS[fault.kind], status), start_response)
        if fault.kind == "timeout":
            self.faults.cleared.wait(fault.seconds)
            raise ConnectionResetError
        if fault.kind == "reset":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            raise ConnectionResetError
        content, status_line, headers = run_wsgi_app(self.app, environ)
        body = b"".join(content)
        if fault.kind == "lost":
            raise ConnectionResetError
        middle = len(body) // 2
        changed = body[:middle]
        if fault.kind == "tampered":
            changed += bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        kept = [(name, value) for name, value in headers if not damaged(name)]
        start_response(status_line, [*kept, ("Content-Length", str(len(changed)))])
        return [changed]


def damaged(header: str) -> bool:
    """Whether a header speaks of the content as it was before."""
    return header.lower() == "content-length" or header.lower().startswith("x-amz-checksum")


def parameters(environ: Environ) -> dict[str, Any]:
    """The body of a request, JSON."""
    return dict(json.loads(body_of(environ) or b"{}"))


def answered(answer: Answer, start_response: Any) -> Iterable[bytes]:
    status, headers, body = answer
    start_response(status, headers)
    return [body]
