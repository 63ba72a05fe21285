"""Faces of many requests, judged together by one thread."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

ClassifyFn = Callable[[list[np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class _Job:
    """Faces of one request, and the place of their probabilities."""

    faces: Sequence[np.ndarray]
    result: Future[np.ndarray] = field(default_factory=Future)


class Batcher:
    """Judges what waits, up to ``largest`` faces in one call.

    It waits for no further requests: while one batch is judged the next one gathers, so that a lone client loses no
    time and many clients get large batches. ``observe`` is told the size of each batch.
    """

    def __init__(self, classify: ClassifyFn, max_batch_size: int, observe: Callable[[int], None]) -> None:
        self.classify = classify
        self.max_batch_size = max_batch_size
        self.observe = observe
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._process_queue, name="judge", daemon=True)
        self.thread.start()

    def submit(self, faces: Sequence[np.ndarray]) -> Future[np.ndarray]:
        """Probabilities (N, classes) of N native faces, at most ``largest``, some time later."""
        job = _Job(faces)
        self.jobs.put(job)
        return job.result

    def close(self) -> None:
        """Judge what waits, and end."""
        self.jobs.put(None)
        self.thread.join()

    def _process_queue(self) -> None:
        job = self.jobs.get()
        while job is not None:
            batch, job = self._collect_batch(job)
            self._process_batch([one for one in batch if one.result.set_running_or_notify_cancel()])
            # What is no longer needed would otherwise stay in memory until the next request.
            del batch
            job = job or self.jobs.get()

    def _collect_batch(self, first: _Job) -> tuple[list[_Job], _Job | None]:
        """A batch that begins with ``first``, and the job that no longer fits, if there is one."""
        batch, size = [first], len(first.faces)
        while True:
            try:
                job = self.jobs.get_nowait()
            except queue.Empty:
                return batch, None
            if job is None:
                self.jobs.put(None)
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
                batch[0].result.set_exception(error)
            return
        self.observe(len(faces))
        start = 0
        for job in batch:
            job.result.set_result(probabilities[start : start + len(job.faces)])
            start += len(job.faces)
