"""A secret that clients must send, for servers that others can reach."""

import hmac
import json
import os
import re
import stat
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fer.errors import UserError

# Health checks know no secrets, and learn nothing but whether the server is up.
OPEN_PATHS = ("/ping",)
MAX_TOKEN_BYTES = 4096
# What RFC 6750 allows in a bearer token.
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


def read_token(path: Path) -> bytes:
    """Return the token in a file. Raises UserError where it holds none, or others can read it."""
    try:
        # A pipe without a writer would wait for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise UserError(f"--token-file={path}: not a file; name one that holds the token alone")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UserError(f"--token-file={path}: others can read it; run chmod 600 {path}")
            token = file.read(MAX_TOKEN_BYTES + 1).strip()
    except OSError as error:
        raise UserError(f"--token-file={path}: cannot be read ({error.strerror}); name a file with the token") from None
    if not token:
        raise UserError(f"--token-file={path}: the file is empty; write a long random token into it")
    if len(token) > MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
        raise UserError(
            f"--token-file={path}: must hold one token of letters, digits and -._~+/, at most {MAX_TOKEN_BYTES:,} bytes"
        )
    return token


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
