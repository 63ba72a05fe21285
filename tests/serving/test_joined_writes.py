"""What is written in one turn of the loop leaves together."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fer.serving.joined_writes import LARGE_BYTES, JoinedWrites


class Sent:
    """A transport that notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def get_write_buffer_size(self) -> int:
        return 17


def write_head_and(act: Callable[[Any], object]) -> list[Any]:
    """What a transport is asked for when a head is written and ``act`` follows."""

    async def scenario() -> list[Any]:
        sent = Sent()
        transport = JoinedWrites(sent, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"head")
        act(transport)
        await asyncio.sleep(0)
        return sent.calls

    return asyncio.run(scenario())


LARGE = b"x" * LARGE_BYTES


@pytest.mark.parametrize(
    ("act", "calls"),
    [
        (lambda transport: transport.write(b" body"), [b"head body"]),
        (lambda transport: transport.close(), [b"head", "close"]),
        (lambda transport: transport.abort(), ["abort"]),
    ],
)
def test_a_head_leaves_with_what_follows(act: Callable[[Any], object], calls: list[Any]) -> None:
    assert write_head_and(act) == calls


def test_large_parts_leave_at_once() -> None:
    """So that the transport can stop whoever writes them."""
    seen: list[Any] = []

    def act(transport: Any) -> None:
        transport.write(LARGE)
        seen.extend(transport.calls)
        transport.write(b"end")

    assert write_head_and(act) == [b"head" + LARGE, b"end"]
    assert seen == [b"head" + LARGE]


def test_all_else_is_asked_of_the_transport_itself() -> None:
    sizes: list[int] = []
    write_head_and(lambda transport: sizes.append(transport.get_write_buffer_size()))
    assert sizes == [17]
