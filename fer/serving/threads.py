"""Threads that work for an event loop, at a fraction of what the executors of asyncio cost a call."""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Results(Generic[T]):
    """What threads have found, for futures of an event loop: in one turn it hears of all that came since the last."""

    def __init__(self) -> None:
        self._found: deque[tuple[asyncio.Future[T], T | None, BaseException | None]] = deque()
        self._announced = False

    def post(self, future: asyncio.Future[T], result: T | None, error: BaseException | None = None) -> None:
        """Hand over a result, or an error, from any thread."""
        self._found.append((future, result, error))
        if not self._announced:
            self._announced = True
            # A loop that has ended has nobody who waits.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        # Before the first one is taken: what is posted from here on is announced anew.
        self._announced = False
        while self._found:
            future, result, error = self._found.popleft()
            if future.done():
                continue  # cancelled: nobody waits
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)


class Workers:
    """Threads that call functions, in the order in which they were asked to.

    Args:
        count: Threads.
        name: Their name.
    """

    def __init__(self, count: int, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], object]] | None] = queue.SimpleQueue()
        self._results = Results[Any]()
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def run(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Return the future of a call, for the running event loop; once cancelled, it is not begun any more."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((future, lambda: self._results.post(future, function(*arguments))))
        return future

    def run_first(self, function: Callable[..., None], *arguments: Any) -> asyncio.Future[Any]:
        """Return a future that the called function gets behind its arguments, to have its result come from elsewhere.

        An error of the call is the future's at once.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.put((future, lambda: function(*arguments, future)))
        return future

    def close(self) -> None:
        """Do what waits, and end the threads."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (asked := self._calls.get()) is not None:
            future, call = asked
            if not future.cancelled():
                try:
                    call()
                except BaseException as error:
                    self._results.post(future, None, error)
            # What it was called with would otherwise stay in memory until the next call.
            del asked, future, call
