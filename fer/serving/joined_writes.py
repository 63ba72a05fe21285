"""One packet for what is written in one turn of the event loop."""

import asyncio
from typing import Any

# Handed on at once, so that the transport can say when its client reads too slowly.
LARGE_BYTES = 1 << 14


class JoinedWrites:
    """A transport that sends the head and the body of an answer together: sending costs more than writing them does.

    All that is not said here it does as the transport behind it.

    Args:
        transport: The transport of a connection.
        loop: Its event loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send ``data`` before the next turn of the loop."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        if len(data) >= LARGE_BYTES:
            self._flush()

    def close(self) -> None:
        """Close once all is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._parts.clear()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._transport.write(data)
