"""A bounded amount of something that requests share, such as bytes of memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MemoryLimiter:
    """``size`` units; who finds too few free waits, in the order of arrival. For one event loop."""

    def __init__(self, size: int) -> None:
        self.free = size
        self.waiting = 0
        self.turn = asyncio.Lock()
        self.freed = asyncio.Event()

    @asynccontextmanager
    async def reserve(self, amount: int) -> AsyncIterator[None]:
        """Hold ``amount`` units, at most the size, for the length of the block."""
        self.waiting += 1
        try:
            async with self.turn:
                while self.free < amount:
                    self.freed.clear()
                    await self.freed.wait()
                self.free -= amount
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self.free += amount
            self.freed.set()
