"""A secret that clients must send, for servers that others can reach."""

import hmac
import json

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

# Health checks know no secrets, and learn nothing but whether the server is up.
OPEN_PATHS = ("/ping",)


class RequireToken:
    """An ASGI application that refuses requests without the token, before anything of their body is read.

    Args:
        app: The application behind it.
        token: What must stand behind `Authorization: Bearer`.
    """

    def __init__(self, app: ASGIApp, token: bytes) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._is_authorized(Headers(scope=scope)):
            await self.app(scope, receive, send)
        else:
            content = json.dumps({"error": "Authorization: Bearer TOKEN is missing or wrong"})
            refusal = Response(content, 401, {"WWW-Authenticate": "Bearer"}, "application/json")
            await refusal(scope, receive, send)

    def _is_authorized(self, headers: Headers) -> bool:
        given = headers.getlist("authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        # In constant time: how much of a guess is right must not be told by how long the comparison takes.
        return hmac.compare_digest(token.strip().encode("latin-1"), self.token) and scheme.lower() == "bearer"
