"""HTTP as no library sends it: over a socket, in whatever pieces a test wants."""

import http.client
import socket

from tests.helpers.server import PATIENCE_S, PNG


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def head(*lines: str, kind: str = PNG) -> bytes:
    """Of an invocation."""
    return "\r\n".join(("POST /invocations HTTP/1.1", "Host: x", f"Content-Type: {kind}", *lines, "", "")).encode()


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection, in whatever way."""
    received = b""
    try:
        while part := connection.recv(1 << 16):
            received += part
    except ConnectionResetError:
        pass
    return received
