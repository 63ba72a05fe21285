"""Dynamic batching: faces of many requests, classified together by one thread."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fer.serving.threads import Results

ClassifyFn = Callable[[list[np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class _Job:
    """Faces of one request, and the future of their probabilities."""

    faces: Sequence[np.ndarray]
    result: asyncio.Future[np.ndarray]


class Batcher:
    """Classifies the faces that wait, in batches, in a thread of its own.

    It waits for no further requests: while one batch is classified the next one gathers, so that a lone client loses
    no time and many clients get large batches.

    Args:
        classify: Returns probabilities (N, classes) of N native faces.
        max_batch_size: Most faces in one batch; one request must not have more.
        observe: Called with the size of each batch.
    """

    def __init__(self, classify: ClassifyFn, max_batch_size: int, observe: Callable[[int], None]) -> None:
        self.classify = classify
        self.max_batch_size = max_batch_size
        self.observe = observe
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._results = Results[np.ndarray]()
        self._thread = threading.Thread(target=self._process_queue, name="classify", daemon=True)
        self._thread.start()

    def submit(self, faces: Sequence[np.ndarray]) -> asyncio.Future[np.ndarray]:
        """Return the future of the probabilities (N, classes) of N native faces, at most ``max_batch_size``.

        It is one of the running event loop.
        """
        result: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self.submit_for(result, faces)
        return result

    def submit_for(self, result: asyncio.Future[np.ndarray], faces: Sequence[np.ndarray]) -> None:
        """Classify faces for a future, from any thread; they are left out of the batches once it is cancelled."""
        self._jobs.put(_Job(faces, result))

    def close(self) -> None:
        """Classify what waits, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _process_queue(self) -> None:
        job = self._jobs.get()
        while job is not None:
            batch, job = self._collect_batch(job)
            self._process_batch([queued for queued in batch if not queued.result.cancelled()])
            # The faces would otherwise stay in memory until the next request.
            del batch
            job = job or self._jobs.get()

    def _collect_batch(self, first: _Job) -> tuple[list[_Job], _Job | None]:
        """Return a batch that begins with ``first``, and the job that no longer fits, if there is one."""
        batch, size = [first], len(first.faces)
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, None
            if job is None:
                self._jobs.put(None)
                return batch, None
            size += len(job.faces)
            if size > self.max_batch_size:
                return batch, job
            batch.append(job)

    def _process_batch(self, batch: list[_Job]) -> None:
        if not batch:
            return
        faces = [face for job in batch for face in job.faces]
        try:
            probabilities = self.classify(faces)
        except Exception as error:
            # One request's faces must not fail those of others.
            if len(batch) > 1:
                for job in batch:
                    self._process_batch([job])
            else:
                self._results.post(batch[0].result, None, error)
            return
        self.observe(len(faces))
        start = 0
        for job in batch:
            self._results.post(job.result, probabilities[start : start + len(job.faces)])
            start += len(job.faces)
