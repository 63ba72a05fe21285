"""Sending a good answer as fast as its client reads it, and no faster."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fer.serving.body_memory import Share
from fer.serving.responses import JSON_LINES

# Handed over to the socket at once.
PART_BYTES = 1 << 16
# Never waits for the client to read.
SMALL_BYTES = 1 << 12


class Answer(Response):
    """A good answer, which holds its memory until it is read.

    Args:
        lines: JSON Lines.
        share: The memory.
    """

    media_type = JSON_LINES

    def __init__(self, lines: str, share: Share) -> None:
        super().__init__(lines)
        self.share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it in parts, each when the client has read those before it."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if len(self.body) <= SMALL_BYTES:
                return await send({"type": "http.response.body", "body": self.body})
            for start in range(0, len(self.body), PART_BYTES):
                part = self.body[start : start + PART_BYTES]
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.share.close()
