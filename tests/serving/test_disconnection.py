"""Work for a client ends with its connection, and only then."""

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from fer.serving.disconnection import run_while_connected


async def run_until(gone: asyncio.Event, work: Any, ended: list[str]) -> Any:
    """Work for a client that is gone once ``gone`` is set."""

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def watched() -> Any:
        try:
            return await work
        finally:
            ended.append("work")

    return await run_while_connected(receive, watched())


def test_the_result_of_work_for_a_client_that_stays() -> None:
    assert asyncio.run(run_until(asyncio.Event(), asyncio.sleep(0, "done"), [])) == "done"


def test_work_ends_as_soon_as_the_client_is_gone() -> None:
    async def scenario() -> None:
        gone, ended = asyncio.Event(), list[str]()
        request = asyncio.create_task(run_until(gone, asyncio.sleep(3600), ended))
        await asyncio.sleep(0)
        gone.set()
        with pytest.raises(ClientDisconnect):
            await request
        assert ended == ["work"]
        # The task may go on with an answer.
        assert not request.cancelling()

    asyncio.run(scenario())


def test_a_client_that_leaves_with_its_answer_disturbs_nothing() -> None:
    async def scenario() -> str:
        gone = asyncio.Event()

        async def leave() -> str:
            await asyncio.sleep(0)
            gone.set()
            return "done"

        result: str = await run_until(gone, leave(), [])
        # What would still end the task comes in its next turns.
        for _ in range(5):
            await asyncio.sleep(0)
        return result

    assert asyncio.run(scenario()) == "done"


def test_an_end_for_another_reason_stays_one() -> None:
    async def scenario() -> None:
        request = asyncio.create_task(run_until(asyncio.Event(), asyncio.sleep(3600), []))
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(scenario())
