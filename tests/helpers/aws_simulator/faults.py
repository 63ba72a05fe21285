"""What goes wrong on request: refusals of AWS, broken connections, damaged objects, jobs that fail."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.helpers.aws_simulator.protocols import Asked

# Code and HTTP status by kind and protocol, as AWS answers.
REFUSALS: dict[str, dict[str, tuple[str, int]]] = {
    "throttling": {"json": ("ThrottlingException", 400), "query": ("Throttling", 400), "rest-xml": ("SlowDown", 503)},
    "error": {"json": ("InternalFailure", 500), "query": ("InternalFailure", 500), "rest-xml": ("InternalError", 500)},
    "expired": {
        "json": ("ExpiredTokenException", 400),
        "query": ("ExpiredToken", 403),
        "rest-xml": ("ExpiredToken", 400),
    },
    "denied": {
        **{"json": ("AccessDeniedException", 400), "query": ("AccessDenied", 403)},
        **{"rest-xml": ("AccessDenied", 403)},
    },
}
SAYINGS = {
    "throttling": "Rate exceeded",
    "error": "We encountered an internal error. Please try again.",
    "expired": "The security token included in the request is expired",
    "denied": "The caller is not authorized to perform this action",
}
# timeout: held for `seconds`, then dropped; reset: dropped in the middle of its body; lost: done, but not answered.
CONNECTION = ("timeout", "reset", "lost")
# Half of the object, or one byte changed; nothing in the transport shows it.
DAMAGE = ("truncated", "tampered")
# After half of its objects: the others fail; its server is killed; it goes on until it is stopped.
JOB = ("job_fails", "job_killed", "job_stuck")
# Once a line of a training's log has `path` in it, its machine is taken away, `seconds` after it was told.
SPOT = "spot_interruption"
KINDS = (*REFUSALS, *CONNECTION, *DAMAGE, *JOB, SPOT)


@dataclass
class Fault:
    """A fault of ``kind`` for the next ``times`` matching calls (None: all), after the first ``skip`` of them.

    An empty ``service`` or ``operation`` matches every one; ``path`` is a part of the request's path.
    """

    kind: str
    service: str = ""
    operation: str = ""
    path: str = ""
    times: int | None = 1
    skip: int = 0
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {self.kind!r} is none of {', '.join(KINDS)}")
        if self.kind in DAMAGE:
            self.service, self.operation = "s3", "GetObject"

    def matches(self, asked: Asked) -> bool:
        same = self.service in ("", asked.service) and self.operation in ("", asked.operation)
        return same and self.path in asked.path


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.active: list[Fault] = []
        self.cleared = threading.Event()

    def add(self, fault: Fault) -> None:
        with self.lock:
            self.active.append(fault)

    def clear(self) -> None:
        """Switch all off; requests that are held go on."""
        with self.lock:
            self.active = []
            self.cleared.set()
            self.cleared = threading.Event()

    def take(self, matches: Callable[[Fault], bool]) -> Fault | None:
        """The first fault that matches, which is used once by that."""
        with self.lock:
            for fault in [fault for fault in self.active if matches(fault)]:
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.active.remove(fault)
                return fault
        return None

    def for_request(self, asked: Asked) -> Fault | None:
        return self.take(lambda fault: fault.kind not in (*JOB, SPOT) and fault.matches(asked))

    def for_job(self) -> str | None:
        """What is to happen to a job that starts now."""
        fault = self.take(lambda fault: fault.kind in JOB)
        return fault.kind if fault else None

    def interruption(self, line: str) -> float | None:
        """How many seconds a spot instance has left after this line of its log; None where it stays."""
        fault = self.take(lambda fault: fault.kind == SPOT and fault.path in line)
        return fault.seconds if fault else None
