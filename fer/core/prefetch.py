"""Work in threads, ahead of its consumer."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def prefetch(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """Yield items that a thread takes from an iterator ahead of the consumer.

    Where the consumer stops early, the thread ends after the item that it is at.

    Args:
        items: The iterator; an error that it raises is raised here.
        depth: How many items it may be ahead.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | None, error: BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((item, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fetch() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


def take_together(items: Iterator[T], is_complete: Callable[[list[T]], bool]) -> Iterator[T]:
    """Yield items that are taken several at a time: work of one kind for all of them finds its data in the caches.

    Args:
        items: The iterator; before an error that it raises come the items that it gave.
        is_complete: Whether no more items are to be taken before those of a list are yielded.
    """
    error: Exception | None = None
    while error is None:
        group: list[T] = []
        try:
            while not group or not is_complete(group):
                group.append(next(items))
        except Exception as raised:
            error = raised
        yield from group
    if not isinstance(error, StopIteration):
        raise error


def map_in_threads(items: Iterator[T], workers: Sequence[Callable[[T], U]]) -> Generator[U, None, None]:
    """Yield the result of each item, in order; the items are worked on at the same time.

    Args:
        items: The items, which are taken in this thread.
        workers: Functions of an item; each runs in one thread at a time, a single one in the consumer's.
    """
    if len(workers) == 1:
        yield from map(workers[0], items)
        return
    free: queue.SimpleQueue[Callable[[T], U]] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def work(item: T) -> U:
        worker = free.get()
        try:
            return worker(item)
        finally:
            free.put(worker)

    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(len(workers)) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            # One item more than workers, so that a worker that is done goes on at once.
            if len(waiting) > len(workers) + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
