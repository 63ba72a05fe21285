"""Work for a client ends with its connection, and only then."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from fer.serving.disconnection import run_while_connected


class Connected:
    """A connection whose client leaves when it is told to."""

    def __init__(self) -> None:
        self.is_gone = False
        self.give_up: Callable[[], object] | None = None

    def watch(self, give_up: Callable[[], object] | None) -> None:
        self.give_up = give_up

    def leave(self) -> None:
        self.is_gone = True
        if self.give_up:
            self.give_up()


async def begin(connection: Connected, work: Any) -> asyncio.Task[Any]:
    """A task that waits for the work of a client."""
    request = asyncio.create_task(run_while_connected(connection, work))
    await asyncio.sleep(0)
    return request


def test_the_result_of_work_for_a_client_that_stays() -> None:
    assert asyncio.run(run_while_connected(Connected(), asyncio.sleep(0, "done"))) == "done"


@pytest.mark.parametrize("leaves_first", [False, True])
def test_work_ends_as_soon_as_the_client_is_gone(leaves_first: bool) -> None:
    async def scenario() -> None:
        connection = Connected()
        if leaves_first:
            connection.leave()
        request = await begin(connection, asyncio.sleep(3600))
        if not leaves_first:
            connection.leave()
        with pytest.raises(ClientDisconnect):
            await request
        # Such a task may go on with an answer.
        assert not request.cancelling()

    asyncio.run(scenario())


def test_a_client_that_leaves_with_its_answer_disturbs_nothing() -> None:
    async def scenario() -> str:
        connection = Connected()
        result = await run_while_connected(connection, asyncio.sleep(0, "done"))
        connection.leave()
        await asyncio.sleep(0)
        return result

    assert asyncio.run(scenario()) == "done"


def test_an_end_for_another_reason_stays_one() -> None:
    async def scenario() -> None:
        request = await begin(Connected(), asyncio.sleep(3600))
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(scenario())
