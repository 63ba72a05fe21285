"""Reading the body of a request: within the memory that all share, and by a deadline that only the client can miss."""

import asyncio
import io

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from fer.serving.body_memory import Share
from fer.serving.requests import RequestError, check_size

# Bytes of a body that need no memory of all: connections are few enough, and small pictures never wait.
FREE_BYTES = 1 << 16
# A client may keep the server waiting for so long, longer only while it has sent so many bytes a second (0.5 Mbit/s).
READ_TIMEOUT_S, MIN_BYTES_PER_S = 30.0, 1 << 16
# Bodies that may wait for memory.
MAX_WAITING_REQUESTS = 256


async def read_body(receive: Receive, share: Share) -> bytes:
    """Return the body of a request.

    Args:
        receive: The request, of which nothing has been read.
        share: Grows with the body.

    Raises:
        RequestError: It is too large or too slow, or too many wait for memory.
        ClientDisconnect: The client is gone.
    """
    body = io.BytesIO()
    while True:
        left_s = READ_TIMEOUT_S - max(0.0, share.waited_s - body.tell() / MIN_BYTES_PER_S)
        try:
            async with asyncio.timeout(left_s) as deadline:
                share.begin_wait(deadline)
                message = await receive()
        except TimeoutError:
            raise RequestError(
                408, f"too slow: {body.tell():,} bytes came in {share.lost_s:.0f} s, and the body is not complete"
            ) from None
        finally:
            share.end_wait()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size = body.tell() + len(chunk)
        check_size(size, share.memory.largest)
        if (amount := size - FREE_BYTES - share.held) > 0:
            if share.memory.waiting >= MAX_WAITING_REQUESTS and not share.memory.fits(share, amount):
                raise RequestError(503, "too many requests wait already: try again in a moment")
            await share.grow(amount)
        body.write(chunk)
        if not message.get("more_body", False):
            return body.getvalue()
