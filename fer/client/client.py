"""``Client``: pictures of faces to a server, answers in their order, in batches that are sent side by side."""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from fer.client.answers import Answer, parse_answers
from fer.client.bodies import ARCHIVE, Batch, iter_batches, read_picture, split_batch, write_archive
from fer.client.connection import Connection, TooLargeError
from fer.errors import DataError, UserError

__all__ = ["Answer", "Client"]

# Frames of one sequence: the server's own limit.
MAX_FRAMES = 512


class Client:
    """A server of this project (`fer.serving`).

    Args:
        url: Its address, such as ``http://127.0.0.1:8080``; behind a proxy with the path there.
        token: What the server asks for, if it does.
        batch_size: Pictures of one request; fewer where they are large.
        concurrency: Requests at the same time. Memory holds two requests for each, however many pictures there are.
        timeout_s: Longest wait for a sign of life within one request, seconds.
        patience_s: How long a request is tried again while the server is away, busy or restarted, seconds.

    Raises:
        UserError: The address is none.

    Examples:
        >>> with Client("http://127.0.0.1:8080") as client:
        ...     for answer in client.classify(Path("faces").glob("*.png")):
        ...         print(answer.name, answer.emotion, answer.probabilities["happiness"])
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        batch_size: int = 64,
        concurrency: int = 4,
        timeout_s: float = 60.0,
        patience_s: float = 120.0,
    ) -> None:
        if batch_size < 1 or concurrency < 1:
            raise UserError(f"batch_size={batch_size}, concurrency={concurrency}: must be 1 or more")
        self.batch_size, self.concurrency = batch_size, concurrency
        self.connection = Connection(url, token, concurrency, timeout_s, patience_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all connections."""
        self.connection.close()

    def wait_until_ready(self) -> None:
        """Return when the server can answer: at once where it is up, later where it still loads its model.

        Raises:
            UserError: Nothing answers at the address, something else does, or it does not get ready in time.
        """
        self.connection.wait_until_ready()

    def classify(self, pictures: Iterable[Path | bytes]) -> Generator[Answer, None, None]:
        """Classify pictures of one face each.

        Args:
            pictures: Files, or their content: JPEG or PNG. They are taken a few requests ahead of the answers.

        Yields:
            An answer a picture, in their order. One that cannot be classified has an ``error`` instead of an emotion.

        Raises:
            DataError: A file cannot be read.
            UserError: The server refuses, answers otherwise than one of this project, or stays away.
        """
        batches = iter_batches(pictures, self.batch_size)
        waiting: deque[Future[list[Answer]]] = deque()
        pool, stopped = ThreadPoolExecutor(self.concurrency, "request"), threading.Event()
        failures: list[UserError] = []

        def answer(batch: Batch) -> list[Answer]:
            try:
                return self._answer(batch, stopped)
            except UserError as error:
                # Those before it are not to be patient any longer.
                failures.append(error)
                stopped.set()
                raise

        try:
            # One request waits for each that is under way, so that the server is never kept waiting.
            waiting.extend(pool.submit(answer, batch) for batch in islice(batches, 2 * self.concurrency))
            while waiting:
                yield from waiting.popleft().result()
                waiting.extend(pool.submit(answer, batch) for batch in islice(batches, 1))
        except UserError as error:
            raise (failures or [error])[0] from None
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)

    def classify_sequence(self, frames: Sequence[Path | bytes | None], step_s: float | None = None) -> list[Answer]:
        """Classify the frames of one face in their order, by a model of clips.

        Args:
            frames: Files or their content, at most 512; None where nothing is to be seen.
            step_s: Time between two frames, seconds; None is the model's own.

        Returns:
            An answer a frame; one for None has an ``error``.

        Raises:
            DataError: A file cannot be read, or there are too many frames.
            UserError: The server refuses, such as one with a model of single faces, or stays away.
        """
        if len(frames) > MAX_FRAMES:
            raise DataError(f"{len(frames)} frames are too many for one sequence: at most {MAX_FRAMES} are answered")
        if not frames:
            return []
        # A frame without content is missing for those around it, at its own time.
        pictures = [read_picture(number, frame or b"") for number, frame in enumerate(frames)]
        step = "" if step_s is None else f"; step_s={step_s:g}"
        batch = Batch(tuple(pictures))
        try:
            kind = f"{ARCHIVE}; sequence=true{step}"
            body = self.connection.send(write_archive(batch), kind, len(pictures), threading.Event())
        except TooLargeError as error:
            raise UserError(f"{error}; send fewer or smaller frames") from None
        return parse_answers(body, batch, self.connection.url)

    def _answer(self, batch: Batch, stopped: threading.Event) -> list[Answer]:
        """The answers to a batch; one that is too large for the server goes in halves. Raises UserError."""
        try:
            body = self.connection.send(write_archive(batch), ARCHIVE, len(batch.pictures), stopped)
        except TooLargeError as error:
            if len(batch.pictures) == 1:
                return [Answer(batch.pictures[0].name, error=str(error))]
            return [answer for half in split_batch(batch) for answer in self._answer(half, stopped)]
        return parse_answers(body, batch, self.connection.url)
