"""A proxy before a server that fails as lines, proxies and busy servers do, request after request by a plan."""

import contextlib
import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What a request may meet: an answer of this status with this Retry-After; `drop`: a connection that ends without an
# answer; `cut`: in the middle of it; `None`: nothing.
Fault = tuple[int, str | None] | str | None


class FaultyProxy:
    """The proxy's port, what it has done, and the largest number of requests at the same time."""

    def __init__(self, target: int, faults: Iterable[Fault]) -> None:
        self.port = 0
        self.target = target
        self.met: Counter[object] = Counter()
        self.at_once = self.most_at_once = 0
        self.max_bytes = 1 << 30
        self._faults = iter(faults)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take_fault(self) -> Fault:
        with self._lock:
            fault = next(self._faults, None)
            self.met[fault] += 1
            return fault

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._forward("GET", b"")

    def do_POST(self) -> None:
        with self.proxy.counting():
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = self.proxy.take_fault()
            if fault == "drop":
                self.close_connection = True
            elif isinstance(fault, tuple):
                self._send(fault[0], b"<html>busy</html>", {} if fault[1] is None else {"Retry-After": fault[1]})
            elif len(body) > self.proxy.max_bytes:
                self._send(413, b"<html>too large</html>", {})
            else:
                self._forward("POST", body, is_cut=fault == "cut")

    def _forward(self, method: str, body: bytes, is_cut: bool = False) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.target, timeout=60)
        kept = {
            name: value for name, value in self.headers.items() if name.lower() in ("content-type", "authorization")
        }
        connection.request(method, self.path, body or None, kept)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if not is_cut:
            self._send(response.status, content, {})
            return
        self.send_response(response.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing: connections are broken off on purpose."""


@contextlib.contextmanager
def faulty_proxy(target: int, faults: Iterable[Fault] = ()) -> Iterator[FaultyProxy]:
    """A proxy before the server on the port ``target``, for as long as the block lasts."""
    proxy = FaultyProxy(target, faults)
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy})) as server:
        proxy.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def every(number: int, *faults: Fault) -> Iterator[Fault]:
    """Faults by turns, before each so many requests that meet none."""
    for fault in itertools.cycle(faults):
        yield fault
        yield from itertools.repeat(None, number - 1)
