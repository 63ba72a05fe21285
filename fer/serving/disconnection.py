"""Giving up the work for a client that is gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def run_while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``work``; cancel it and raise ClientDisconnect as soon as the client is gone.

    Args:
        receive: A request whose body has been read: what comes next is that the client is gone.
        work: What the client waits for. It is done in the running task, since one of its own takes longer to start.
    """
    task = asyncio.current_task()
    assert task is not None
    watch = asyncio.ensure_future(receive())
    is_working = True

    def give_up(_: asyncio.Future[Any]) -> None:
        if is_working:
            task.cancel()

    watch.add_done_callback(give_up)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.done():
            raise  # somebody else cancels the task
        task.uncancel()
        raise ClientDisconnect from None
    finally:
        is_working = False
        watch.cancel()
