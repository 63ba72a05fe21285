"""A bounded amount of a resource that requests share, such as bytes of memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MemoryLimiter:
    """A pool of units, for the tasks of one event loop; a task that finds too few free waits for its turn.

    Args:
        size: Number of units.

    Attributes:
        free: Units that nobody holds.
        waiting: Tasks that wait.
    """

    def __init__(self, size: int) -> None:
        self.free = size
        self.waiting = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def reserve(self, amount: int) -> AsyncIterator[None]:
        """Hold ``amount`` units, at most the pool's size, inside the block; waiters are served in order of arrival."""
        if self.waiting or self.free < amount:
            await self._wait(amount)
        self.free -= amount
        try:
            yield
        finally:
            self.free += amount
            self._freed.set()

    async def _wait(self, amount: int) -> None:
        self.waiting += 1
        try:
            async with self._turn:
                while self.free < amount:
                    self._freed.clear()
                    await self._freed.wait()
        finally:
            self.waiting -= 1
