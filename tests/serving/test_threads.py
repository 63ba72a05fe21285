"""Threads that work for an event loop."""

import asyncio
import threading

import pytest

from fer.serving.threads import Results, Workers


def test_each_call_gets_its_own_result_or_error() -> None:
    def divide(number: int) -> float:
        return 1 / number

    async def scenario() -> list[float | BaseException]:
        workers = Workers(3, "divide")
        results = [workers.run(divide, number) for number in (1, 0, 2, 0, 4)]
        try:
            return await asyncio.gather(*results, return_exceptions=True)
        finally:
            workers.close()

    first, bad, second, worse, third = asyncio.run(scenario())
    assert (first, second, third) == (1, 0.5, 0.25)
    assert isinstance(bad, ZeroDivisionError) and isinstance(worse, ZeroDivisionError)


def test_results_of_many_threads_all_arrive() -> None:
    async def scenario() -> list[int]:
        workers = Workers(4, "count")
        results: list[int] = []
        for _ in range(50):
            results += await asyncio.gather(*(workers.run(int, number) for number in range(20)))
        workers.close()
        return results

    assert asyncio.run(scenario()) == [*range(20)] * 50


def test_a_first_call_has_its_result_from_elsewhere_and_its_errors_by_itself() -> None:
    async def scenario() -> list[str | BaseException]:
        workers = Workers(1, "first")
        results = Results[str]()

        def pass_on(word: str, future: asyncio.Future[str]) -> None:
            if not word:
                raise ValueError("no word")
            threading.Thread(target=results.post, args=(future, word + "!")).start()

        futures = [workers.run_first(pass_on, word) for word in ("a", "", "b")]
        try:
            return await asyncio.gather(*futures, return_exceptions=True)
        finally:
            workers.close()

    first, error, second = asyncio.run(scenario())
    assert (first, str(error), second) == ("a!", "no word", "b!")


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    begun, let, calls = threading.Event(), threading.Event(), []

    def wait() -> None:
        begun.set()
        let.wait()

    async def scenario() -> None:
        workers = Workers(1, "wait")
        running = workers.run(wait)
        begun.wait()
        gone, kept = workers.run(calls.append, "gone"), workers.run(calls.append, "kept")
        # What has begun goes on, and its result is lost.
        assert running.cancel() and gone.cancel()
        let.set()
        await kept
        workers.close()

    asyncio.run(scenario())
    assert calls == ["kept"]


def test_a_loop_that_has_ended_hurts_no_thread(recwarn: pytest.WarningsRecorder) -> None:
    let = threading.Event()

    async def scenario() -> Workers:
        workers = Workers(1, "late")
        workers.run(let.wait)
        return workers

    workers = asyncio.run(scenario())
    let.set()
    workers.close()
    assert not [str(warning.message) for warning in recwarn]
