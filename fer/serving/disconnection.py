"""Giving up the work for a client that is gone."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from starlette.requests import ClientDisconnect

T = TypeVar("T")


class Watched(Protocol):
    """A connection that says when its client is gone."""

    @property
    def is_gone(self) -> bool:
        """Whether the client is gone."""
        ...

    def watch(self, give_up: Callable[[], object] | None) -> None:
        """Call ``give_up``, until another takes its place, when the client goes."""
        ...


async def run_while_connected(connection: Watched, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``work``; cancel it and raise ClientDisconnect as soon as the client is gone.

    Args:
        connection: Of the client, whose request has been read.
        work: What it waits for.
    """
    task = asyncio.current_task()
    assert task is not None
    connection.watch(task.cancel)
    try:
        if connection.is_gone:
            task.cancel()
        return await work
    except asyncio.CancelledError:
        if not connection.is_gone:
            raise  # somebody else cancels the task
        task.uncancel()
        raise ClientDisconnect from None
    finally:
        connection.watch(None)
