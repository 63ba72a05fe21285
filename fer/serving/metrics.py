"""The server's metrics, in Prometheus' format."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("fer_requests", "Answered invocations", ["code"], registry=registry)
        self.images = Counter("fer_images", "Images that were classified", registry=registry)
        self.bad_images = Counter("fer_bad_images", "Images that could not be read", registry=registry)
        self.seconds = Histogram("fer_request_seconds", "Time of an invocation", buckets=SECONDS, registry=registry)
        self.batches = Histogram("fer_batch_images", "Images classified in one batch", buckets=SIZES, registry=registry)
        # On Linux also the memory and the CPU time of the process.
        ProcessCollector(registry=registry)

    def add_gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Add a metric whose value is ``value()`` whenever it is asked for."""
        Gauge(name, description, registry=self.registry).set_function(value)

    def render(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self.registry)
