"""Memory for the bodies of requests, shared among them as their bytes arrive."""

import asyncio

# Where others wait for memory, a body whose client has kept the server waiting for longer than this gives up its own.
SLOW_S = 5.0
CHECK_INTERVAL_S = 1.0


class BodyMemory:
    """A bounded number of bytes for the bodies of all requests, for the tasks of one event loop.

    What a client declares takes nothing. So that bodies which grow side by side cannot wait for each other for ever, as
    much stays free as the oldest of them may still need. Others that find too little free wait, the older first; a slow
    one is ended then.

    Args:
        size: Bytes altogether.
        largest: Bytes of the largest body.

    Attributes:
        free: Bytes that nobody holds.
    """

    def __init__(self, size: int, largest: int) -> None:
        self.free = size
        self.largest = largest
        self._shares: dict[Share, None] = {}

    @property
    def waiting(self) -> int:
        """Bodies that wait for memory."""
        return sum(share.wanted > 0 for share in self._shares)

    def open(self) -> "Share":
        """Return an empty share, which must be closed."""
        share = Share(self)
        self._shares[share] = None
        return share

    def close(self, share: "Share") -> None:
        """Free all that a share holds; closing twice does nothing."""
        if share in self._shares:
            del self._shares[share]
            self.free += share.held
            self.grant()

    def grant(self) -> None:
        """Give bytes to those that wait for them, as far as there are enough."""
        for share in self._shares:
            if share.wanted and self.fits(share, share.wanted):
                share.take()

    def fits(self, share: "Share", amount: int) -> bool:
        """Whether a share may grow by so much without taking what the oldest may need."""
        oldest = next(iter(self._shares))
        return self.free - amount >= (0 if share is oldest else self.largest - oldest.held)

    def end_slowest(self) -> None:
        """End the slow body that holds most for longest, if there is one."""
        slow = [share for share in self._shares if share.held and share.deadline and share.lost_s > SLOW_S]
        if slow:
            share = max(slow, key=lambda share: share.held * share.lost_s)
            assert share.deadline is not None
            share.deadline.reschedule(asyncio.get_running_loop().time())


class Share:
    """What one body holds.

    Attributes:
        held: Bytes.
        wanted: Further bytes that it waits for.
        deadline: Of what the client is to send next, while the server waits for it.
        waited_s: Seconds for which the server has waited for the client so far.
    """

    def __init__(self, memory: BodyMemory) -> None:
        self.memory = memory
        self.held = self.wanted = 0
        self.deadline: asyncio.Timeout | None = None
        self.waited_s = 0.0
        self._since = 0.0
        self._granted = asyncio.Event()

    @property
    def lost_s(self) -> float:
        """Seconds for which the server has waited for the client, the present wait included."""
        return self.waited_s + (asyncio.get_running_loop().time() - self._since if self.deadline else 0.0)

    def begin_wait(self, deadline: asyncio.Timeout) -> None:
        """Note that the server waits for the client now."""
        self.deadline, self._since = deadline, asyncio.get_running_loop().time()

    def end_wait(self) -> None:
        """Note that the client has sent something."""
        self.waited_s, self.deadline = self.lost_s, None

    def take(self) -> None:
        """Take what it waits for."""
        self.memory.free -= self.wanted
        self.held += self.wanted
        self.wanted = 0
        self._granted.set()

    async def grow(self, amount: int) -> None:
        """Hold so many bytes more; wait for them where they are not free."""
        self.wanted = amount
        if self.memory.fits(self, amount):
            return self.take()
        self._granted.clear()
        try:
            while self.wanted:
                try:
                    async with asyncio.timeout(CHECK_INTERVAL_S):
                        await self._granted.wait()
                except TimeoutError:
                    self.memory.end_slowest()
        finally:
            self.wanted = 0

    def shrink(self, amount: int) -> None:
        """Hold at most so many bytes."""
        freed = self.held - amount
        if freed <= 0:
            return
        self.held -= freed
        self.memory.free += freed
        self.memory.grant()

    def close(self) -> None:
        """Free all."""
        self.memory.close(self)
