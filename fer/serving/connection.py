"""Connections: uvicorn's protocol, with deadlines and limits that keep silent, slow and hostile clients harmless.

uvicorn itself ends idle connections only between two requests, and never one that sends half of a request's head or
reads no answer. The deadline of a body is kept where it is read, in ``fer.serving.bodies``.
"""

import asyncio
import logging
import resource
from collections.abc import Callable
from typing import Any

import h11
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from fer.serving.joined_writes import JoinedWrites

# Open connections. One more takes the place of the one that has kept the server waiting for a request for longest.
MAX_CONNECTIONS = 1024
# Descriptors for all else: the model, the log, what libraries open.
SPARE_DESCRIPTORS = 64
# From the connection, or the last answer, to the end of the next request's head; whatever is left of a refused body
# must have come by then, too.
HEAD_TIMEOUT_S = 10
# How long an answer may lie unread; every time that a part of it was read, so much more.
ANSWER_TIMEOUT_S, ANSWER_PART_S = 30, 3
CHECK_INTERVAL_S = 1
# Bytes given to the parser at once. Tiny chunks take it a second for what the socket hands over, and all others wait.
SLICE_BYTES = 1 << 14
# Chunks of a body: so many are free, beyond them they must have so many bytes on average.
FREE_CHUNKS, MIN_CHUNK_BYTES = 1000, 256
# Connections that are accepted at once: fewer than there may be, or new ones would end each other unheard.
BACKLOG = 256
# Of requests behind one that is answered.
MAX_WAITING_BYTES = 1 << 16
# Of the connection, in the state of a request's scope.
STATE_KEY = "connection"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
log = logging.getLogger(__name__)


def build_server_config(app: ASGIApp, grace_s: int) -> Config:
    """Return the settings of a server of an application, which goes on for ``grace_s`` with what it has begun."""
    Connection.max_connections = count_allowed_connections()
    return Config(
        app,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=grace_s,
    )


def count_allowed_connections() -> int:
    """Raise the process' limit of descriptors as far as it may be, and return how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, soft - SPARE_DESCRIPTORS))


class Parser(h11.Connection):
    """h11's parser, which also refuses bodies cut into tiny chunks, and bodies of two lengths.

    A proxy that believes the other length than we do would take part of a body for another client's request.
    """

    _chunks = _bytes = 0

    def next_event(self) -> Any:
        """Return the next event, as h11 does. Raises h11.RemoteProtocolError."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
            names = {name.lower() for name, _ in event.headers.raw_items()}
            if {b"content-length", b"transfer-encoding"} <= names:
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            self._bytes += len(event.data)
            if self._chunks > FREE_CHUNKS + self._bytes // MIN_CHUNK_BYTES:
                raise h11.RemoteProtocolError("a body of tiny chunks")
        return event


class _Flow(FlowControl):
    """Reads no more as long as requests wait here: their client could send without end while one is answered."""

    def __init__(self, transport: asyncio.Transport, parser: Parser) -> None:
        super().__init__(transport)
        self._parser = parser

    def resume_reading(self) -> None:
        """Read again, where little waits."""
        if len(self._parser.trailing_data[0]) <= MAX_WAITING_BYTES:
            super().resume_reading()


class Connection(H11Protocol):
    """A connection that ends where the client keeps the server waiting."""

    max_connections = MAX_CONNECTIONS  # fewer where the system allows no more descriptors

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # What answers a request finds its connection in there.
        super().__init__(config, server_state, {**app_state, STATE_KEY: self}, _loop)
        self.conn = Parser(h11.SERVER)
        self.is_gone = False
        self._give_up: Callable[[], object] | None = None
        self._head_since = self.loop.time()
        self._unread_s, self._allowed_unread_s = 0.0, float(ANSWER_TIMEOUT_S)
        self._check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and make room for this connection where there are too many."""
        joined = JoinedWrites(transport, self.loop)
        super().connection_made(joined)  # type: ignore[arg-type]
        self.flow = _Flow(joined, self.conn)  # type: ignore[arg-type]
        self._schedule_check()
        if len(self.connections) > self.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._check is not None:
            self._check.cancel()
        super().connection_lost(exc)
        self._leave()
        # Only Python's search for circles would find the connection otherwise.
        self.app_state.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        for start in range(0, len(data), SLICE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE_BYTES])

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._head_since = self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Go on with the answer: the client has read a part of it."""
        self._allowed_unread_s += ANSWER_PART_S
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; where an answer was begun already, it cannot be told."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._leave()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def watch(self, give_up: Callable[[], object] | None) -> None:
        """Call ``give_up``, until another takes its place, when the client goes."""
        self._give_up = give_up
        # What is not read does not end.
        self.flow.resume_reading()

    def _leave(self) -> None:
        self.is_gone = True
        if self._give_up is not None:
            self._give_up()

    @property
    def awaits_request(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _schedule_check(self) -> None:
        self._check = self.loop.call_later(CHECK_INTERVAL_S, self._check_deadlines)

    def _check_deadlines(self) -> None:
        if self.transport.get_write_buffer_size():
            self._unread_s += CHECK_INTERVAL_S
            if self._unread_s > self._allowed_unread_s:
                self.transport.abort()
                return
        else:
            self._unread_s, self._allowed_unread_s = 0.0, float(ANSWER_TIMEOUT_S)
            if self.awaits_request and self.loop.time() - self._head_since > HEAD_TIMEOUT_S:
                self.transport.close()
                return
        self._schedule_check()

    def _make_room(self) -> None:
        """End the connection that has waited for its next request for longest, or this one where all are busy."""
        waiting = [
            other
            for other in self.connections
            if isinstance(other, Connection)
            and other is not self
            and other.awaits_request
            and not other.transport.is_closing()
        ]
        if waiting:
            min(waiting, key=lambda other: other._head_since).transport.abort()
        else:
            log.warning("503: all of %d connections are busy", self.max_connections)
            self.transport.write(REFUSAL)
            self.transport.close()
