"""Requests to a server over connections that may break: tried again with growing waits, until patience ends."""

import email.utils
import json
import logging
import math
import random
import threading
import time
from http import HTTPStatus
from ipaddress import ip_address

import httpx2

from fer.core.installation import format_command
from fer.errors import ConfigError, UserError, shorten_error

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 15.0
CONNECT_TIMEOUT_S = 10.0
# What passes by itself: a slow line, too many requests, a proxy whose server is restarted, a model that is loaded.
TRANSIENT = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
# Of an answer: some hundred bytes a picture; more is no answer of ours.
ANSWER_BYTES, MAX_ERROR_BYTES = 16 << 10, 16 << 10
# A line a request says nothing that the progress does not.
logging.getLogger("httpx2").setLevel(logging.WARNING)
log = logging.getLogger(__name__)


class TooLargeError(UserError):
    """The server takes no request of this size."""


class Connection:
    """Sends requests to one server.

    Args:
        url: Its address.
        token: What it asks for; None where it asks for nothing.
        concurrency: Connections at the same time.
        timeout_s: Longest wait for a sign of life within one request, seconds.
        patience_s: How long one request is tried again, seconds.

    Raises:
        ConfigError: The address is none.
    """

    def __init__(self, url: str, token: str | None, concurrency: int, timeout_s: float, patience_s: float) -> None:
        self.url, self.patience_s = url.rstrip("/"), patience_s
        parsed = _parse_url(self.url)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.client = httpx2.Client(
            base_url=self.url,
            headers={**headers, "Accept": "application/jsonlines"},
            timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            # A server of this machine is reached directly, whatever proxy there is for others.
            trust_env=not _is_local(parsed.host),
        )

    def close(self) -> None:
        """End all connections."""
        self.client.close()

    def wait_until_ready(self) -> None:
        """Return when the server can answer.

        Raises:
            UserError: Nothing answers at the address, something else does, or it does not get ready in time.
        """
        deadline, attempt = time.monotonic() + self.patience_s, 0
        while True:
            try:
                # Of what something else answers there, the body may be without end.
                with self.client.stream("GET", "/ping") as response:
                    status = response.status_code
            except httpx2.ConnectError as error:
                raise UserError(
                    f"{self.url}: no server answers there ({shorten_error(error)}); start one "
                    f"({format_command('fer.serving')}), or name another with --server"
                ) from None
            except httpx2.HTTPError as error:
                raise UserError(f"{self.url}: does not answer as a server does ({shorten_error(error)})") from None
            if status == HTTPStatus.OK:
                return
            if status not in TRANSIENT:
                raise self._build_refusal(status, "")
            attempt += 1
            self._wait(attempt, None, deadline, f"is not ready ({status})", threading.Event())

    def send(self, body: bytes, content_type: str, pictures: int, stopped: threading.Event) -> bytes:
        """Send a request until it is answered.

        Args:
            body: Its body.
            content_type: What that is.
            pictures: How many pictures are in it, which bounds the answer.
            stopped: Once it is set, the request is not tried again.

        Returns:
            The body of the answer.

        Raises:
            TooLargeError: The server takes no request of this size.
            UserError: The server refuses, or stays away for longer than patience lasts.
        """
        deadline, attempt = time.monotonic() + self.patience_s, 0
        while True:
            retry_after, reason = None, ""
            try:
                status, answer, retry_after = self._post(body, content_type, pictures)
                if status == HTTPStatus.OK:
                    return answer
                reason = _read_reason(answer)
                if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    raise TooLargeError(f"{self.url}: {reason or 'the request is too large'} ({status})")
                if status not in TRANSIENT:
                    raise self._build_refusal(status, reason)
                problem = f"answers {reason or HTTPStatus(status).phrase} ({status})"
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                problem = f"does not answer ({shorten_error(error)})"
            attempt += 1
            self._wait(attempt, retry_after, deadline, problem, stopped)

    def _post(self, body: bytes, content_type: str, pictures: int) -> tuple[int, bytes, float | None]:
        """Status, body and Retry-After of one attempt. Raises what httpx2 raises, and UserError."""
        with self.client.stream(
            "POST", "/invocations", content=body, headers={"Content-Type": content_type}
        ) as response:
            is_good = response.status_code == HTTPStatus.OK
            limit = pictures * ANSWER_BYTES if is_good else MAX_ERROR_BYTES
            received = bytearray()
            for part in response.iter_bytes():
                received += part
                if len(received) > limit:
                    if is_good:
                        raise UserError(f"{self.url}: answers more than a server of this project does; name another")
                    break
            return response.status_code, bytes(received), _parse_retry_after(response.headers.get("Retry-After"))

    def _wait(
        self, attempt: int, retry_after: float | None, deadline: float, problem: str, stopped: threading.Event
    ) -> None:
        """Wait before the next attempt. Raises UserError where patience ends before it."""
        # By chance shorter, so that many that were refused together do not come again together.
        wait_s = min(FIRST_WAIT_S * 2 ** min(attempt - 1, 16), LONGEST_WAIT_S) * random.uniform(0.5, 1.0)
        wait_s = max(wait_s, retry_after or 0.0)
        if time.monotonic() + wait_s > deadline or stopped.wait(wait_s):
            raise UserError(f"{self.url}: {problem}, {attempt} time{'s' * (attempt != 1)}; try again later")

    def _build_refusal(self, status: int, reason: str) -> UserError:
        if status == HTTPStatus.UNAUTHORIZED:
            return UserError(f"{self.url}: the token is missing or wrong (401); name its file with --token-file")
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) or 300 <= status < 400:
            return UserError(
                f"{self.url}: no server of this project is there ({status}); name the address that it prints"
            )
        return UserError(f"{self.url}: refuses: {reason or _get_phrase(status)} ({status})")


def _parse_url(url: str) -> httpx2.URL:
    """Raises ConfigError for what is no address of a server."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query:
        raise ConfigError(f"--server={url}: must be an address such as http://127.0.0.1:8080")
    if parsed.userinfo:
        raise ConfigError("--server: must hold no name and password; name a token's file with --token-file")
    return parsed


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _read_reason(body: bytes) -> str:
    """What a server of this project says is wrong; "" for anything else, such as the page of a proxy."""
    try:
        reason = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return " ".join(reason.split())[:300] if isinstance(reason, str) else ""


def _get_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an unknown answer"


def _parse_retry_after(value: str | None) -> float | None:
    """Seconds that a server asks to wait, by a number or a date; None where it asks for nothing of sense."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
