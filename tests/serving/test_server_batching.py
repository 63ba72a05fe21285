"""Faces of several requests in one call, and memory that requests share."""

import asyncio
import threading

import numpy as np
import pytest

from fer.serving.batching import Batcher
from fer.serving.limiter import MemoryLimiter


class Held:
    """A judge that waits until it is let; its answer to a face is the face's first pixel."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Semaphore(0), threading.Event()
        self.sizes: list[int] = []

    def __call__(self, faces: list[np.ndarray]) -> np.ndarray:
        self.begun.release()
        self.let.wait()
        if any(face[0] == 13 for face in faces):
            raise RuntimeError("unlucky")
        return np.array([[face[0]] for face in faces])


def jobs(*sizes: int) -> list[list[np.ndarray]]:
    """Faces with the place of their job as their only pixel."""
    return [[np.array([place])] * size for place, size in enumerate(sizes)]


@pytest.fixture
def held() -> Held:
    return Held()


def test_what_waits_is_judged_together_up_to_the_largest_batch(held: Held) -> None:
    async def scenario() -> None:
        batcher = Batcher(held, 8, held.sizes.append)
        sizes = (1, 3, 4, 2, 5, 1, 3, 8, 2)
        first, *others = jobs(*sizes)
        results = [batcher.submit(first)]
        held.begun.acquire()
        results += [batcher.submit(job) for job in others]
        held.let.set()
        for place, (result, size) in enumerate(zip(results, sizes, strict=True)):
            np.testing.assert_array_equal(await result, [[place]] * size)
        batcher.close()

    asyncio.run(scenario())
    assert held.sizes == [1, 7, 8, 3, 8, 2]


def test_an_error_reaches_its_own_job_alone_and_work_goes_on(held: Held) -> None:
    async def scenario() -> None:
        batcher = Batcher(held, 8, held.sizes.append)
        results = [batcher.submit([np.array([0])])]
        held.begun.acquire()
        results += [batcher.submit([np.array([value])]) for value in (1, 13, 2)]
        held.let.set()
        assert [(await result).item() for place, result in enumerate(results) if place != 2] == [0, 1, 2]
        with pytest.raises(RuntimeError, match="unlucky"):
            await results[2]
        assert (await batcher.submit([np.array([5])])).item() == 5
        batcher.close()

    asyncio.run(scenario())


def test_jobs_that_nobody_waits_for_are_left_out(held: Held) -> None:
    async def scenario() -> None:
        batcher = Batcher(held, 8, held.sizes.append)
        batcher.submit([np.array([0])])
        held.begun.acquire()
        gone, kept = batcher.submit([np.array([1])]), batcher.submit([np.array([2])])
        assert gone.cancel()
        held.let.set()
        assert (await kept).item() == 2
        batcher.close()

    asyncio.run(scenario())
    assert held.sizes == [1, 1]


def test_closing_answers_what_waits(held: Held) -> None:
    async def scenario() -> list[float]:
        batcher = Batcher(held, 2, held.sizes.append)
        results = [batcher.submit([np.array([value])]) for value in range(5)]
        held.let.set()
        batcher.close()
        return [result.item() for result in await asyncio.gather(*results)]

    assert asyncio.run(scenario()) == list(range(5))


def test_room_is_given_in_the_order_of_arrival() -> None:
    async def scenario() -> list[int]:
        room, order = MemoryLimiter(10), []
        leave = asyncio.Event()

        async def visitor(amount: int) -> None:
            async with room.reserve(amount):
                order.append(amount)
                assert room.free >= 0
                if amount == 6:
                    await leave.wait()

        visitors = [asyncio.create_task(visitor(amount)) for amount in (6, 8, 1, 2)]
        await asyncio.sleep(0)
        while room.waiting < 3:
            await asyncio.sleep(0)
        assert (order, room.free) == ([6], 4)
        leave.set()
        await asyncio.gather(*visitors)
        assert (room.free, room.waiting) == (10, 0)
        return order

    assert asyncio.run(scenario()) == [6, 8, 1, 2]


def test_who_no_longer_waits_takes_no_room() -> None:
    async def scenario() -> None:
        room = MemoryLimiter(10)

        async def visitor() -> None:
            async with room.reserve(10):
                pass

        async with room.reserve(5):
            gone = asyncio.create_task(visitor())
            while not room.waiting:
                await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])
            async with room.reserve(5):
                assert room.free == 0
        assert (room.free, room.waiting) == (10, 0)

    asyncio.run(scenario())
