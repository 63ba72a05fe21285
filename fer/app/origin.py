"""Who may ask the dashboard: its own pages, by the names that it goes by.

Without a login the names are what keeps a page of another site, which leads a name of its own to this machine, from
reading runs. Streamlit's own check knows websockets alone, and would ask a service of the network for this machine's
address before it refuses.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::")
POLICY_VIOLATION = 1008


def list_names(host: str, public_hosts: Collection[str]) -> frozenset[str] | None:
    """The names that requests may be addressed to; None where they cannot be known.

    Args:
        host: The address that is listened on.
        public_hosts: Names by which visitors come through a proxy.
    """
    if host in EVERY_ADDRESS and not public_hosts:
        return None
    return frozenset(name.lower() for name in (*LOOPBACK, host, *public_hosts))


class OriginGuard:
    """ASGI middleware that refuses requests of other sites' pages, and those addressed to names that are not ours.

    Args:
        app: The application behind it.
        names: As ``list_names`` gives them.
    """

    def __init__(self, app: Application, names: frozenset[str] | None) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the application do so."""
        if scope["type"] not in ("http", "websocket") or self._is_allowed(dict(scope["headers"])):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            text = b"The dashboard does not go by this name; start it with --public-host NAME, see its how-to.\n"
            await send({"type": "http.response.body", "body": text})

    def _is_allowed(self, headers: dict[bytes, bytes]) -> bool:
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin")
        if self.names is not None and _parse_name(host) not in self.names:
            return False
        # Browsers send an origin with websockets, uploads and whatever another site's page asks for.
        return origin is None or origin.decode("latin-1").partition("://")[2].lower() == host.lower()


def _parse_name(host: str) -> str:
    """The name in a Host header, without its port; an empty one where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
