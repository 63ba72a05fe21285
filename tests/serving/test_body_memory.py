"""Memory that bodies share while they grow."""

import asyncio
import random

from fer.serving.body_memory import BodyMemory


def test_bodies_that_grow_side_by_side_all_end() -> None:
    """None may wait for ever, though together they are many times larger than the memory."""

    async def scenario() -> None:
        memory, chance, ended = BodyMemory(25, 10), random.Random(0), []

        async def body(number: int) -> None:
            share = memory.open()
            for _ in range(10):
                await share.grow(1)
                assert memory.free >= 0
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            share.close()
            ended.append(number)

        async with asyncio.timeout(60):
            await asyncio.gather(*(body(number) for number in range(50)))
        assert (sorted(ended), memory.free, memory.waiting) == (list(range(50)), 25, 0)

    asyncio.run(scenario())


def test_the_oldest_never_waits_and_others_leave_it_what_it_may_need() -> None:
    async def scenario() -> None:
        memory = BodyMemory(20, 10)
        oldest, other = memory.open(), memory.open()
        await other.grow(10)
        waiting = asyncio.create_task(other.grow(1))
        await asyncio.sleep(0)
        assert memory.waiting == 1
        await oldest.grow(10)
        assert memory.free == 0
        oldest.close()
        await waiting
        assert memory.free == 9
        other.close()
        other.close()
        assert memory.free == 20

    asyncio.run(scenario())


def test_who_no_longer_waits_takes_nothing() -> None:
    async def scenario() -> None:
        memory = BodyMemory(20, 10)
        oldest, other = memory.open(), memory.open()
        await oldest.grow(5)
        waiting = asyncio.create_task(other.grow(16))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        oldest.close()
        other.close()
        assert (memory.free, memory.waiting) == (20, 0)

    asyncio.run(scenario())


def test_what_an_answer_does_not_need_is_free_for_others() -> None:
    async def scenario() -> None:
        memory = BodyMemory(20, 10)
        share = memory.open()
        await share.grow(10)
        share.shrink(3)
        share.shrink(30)
        assert (share.held, memory.free) == (3, 17)

    asyncio.run(scenario())
