"""A queue of programs, so many at a time: each a process of its own that can be cancelled, and whose lines are kept."""

import logging
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from fer.core.process import with_parent_pid
from fer.core.progress import Progress, parse_progress
from fer.core.visible import make_visible

# What is kept of what a program prints.
MAX_LINES, MAX_LINE_LENGTH = 200, 2000
# A killed process is gone at once, unless a disk or a network drive holds it.
KILL_TIMEOUT_S = 10.0
log = logging.getLogger(__name__)


class JobState(StrEnum):
    """Where a job is on its way."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    CANCELLED = "cancelled"


@dataclass(eq=False)
class Job:
    """A program that is to run, runs or has run.

    Attributes:
        command: Its arguments, the interpreter first; no shell ever sees them.
        environment: All its variables.
        state: Where it is on its way.
        code: Its exit code, negative where a signal has ended it; None before its end.
        lines: The last lines that it has printed.
        progress: What its last line of progress said.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    state: JobState = JobState.WAITING
    code: int | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    progress: Progress | None = None
    _process: "subprocess.Popen[str] | None" = field(default=None, init=False, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether it will do nothing any more."""
        return self.state in (JobState.ENDED, JobState.CANCELLED)


class JobQueue:
    """Runs jobs in the order in which they come, so many at a time.

    Args:
        at_once: How many.

    Examples:
        >>> queue = JobQueue(2)
        >>> job = queue.submit(Job([sys.executable, "-m", "fer.cli.infer", "extraction.input=clip.mp4"]))
        >>> queue.get_place(job)  # 0: it is at work
        0
        >>> queue.cancel(job)
    """

    def __init__(self, at_once: int) -> None:
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._workers = [
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True) for number in range(at_once)
        ]
        for worker in self._workers:
            worker.start()

    def submit(self, job: Job) -> Job:
        """Put a job at the end of the queue; returns it."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def get_place(self, job: Job) -> int:
        """The place of a job among those that wait, from 1; 0 where it does not wait."""
        with self._changed:
            return self._waiting.index(job) + 1 if job in self._waiting else 0

    def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or kill it with all that it has started; returns once it is gone."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                job.state = JobState.CANCELLED
            elif job in self._running:
                job.state = JobState.CANCELLED
                _kill(job)
            self._changed.wait_for(lambda: job not in self._running, KILL_TIMEOUT_S)

    def close(self) -> None:
        """Cancel every job and end the threads; no job may come afterwards."""
        with self._changed:
            self._closed = True
            jobs = [*self._waiting, *self._running]
            self._changed.notify_all()
        for job in jobs:
            self.cancel(job)
        for worker in self._workers:
            worker.join()

    def _work(self) -> None:
        while (job := self._start_next()) is not None:
            try:
                _follow(job)
            except Exception:
                log.exception("A job could not be followed")
            with self._changed:
                _end(job)
                if job.state is JobState.RUNNING:
                    job.state = JobState.ENDED
                self._running.remove(job)
                self._changed.notify_all()

    def _start_next(self) -> Job | None:
        """Wait for a job and start it; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            job = self._waiting.popleft()
            job.state = JobState.RUNNING
            self._running.append(job)
            # Under the lock: whoever cancels finds a process to kill, or none that will ever start.
            _start(job)
            return job


def _start(job: Job) -> None:
    try:
        job._process = subprocess.Popen(
            job.command,
            env=with_parent_pid(job.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Its signals are its own, and what it starts can be killed with it.
            start_new_session=True,
        )
    except OSError as error:
        job.lines.append(f"cannot be started: {error.strerror}")
        job.code = 1


def _follow(job: Job) -> None:
    """Read what a job prints until it ends."""
    process = job._process
    if process is None:
        return
    assert process.stdout is not None
    with process.stdout as lines:
        while line := lines.readline(MAX_LINE_LENGTH):
            text = make_visible(line.rstrip("\n"))
            progress = parse_progress(text)
            if progress is not None:
                job.progress = progress
            else:
                job.lines.append(text)
    # It stays a zombie, so that its number belongs to no other process while it may still be killed.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def _kill(job: Job) -> None:
    """Kill a job's process and all that it has started."""
    if job._process is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(job._process.pid, signal.SIGKILL)


def _end(job: Job) -> None:
    """Kill what a job has left behind, and read its exit code."""
    if job._process is not None:
        _kill(job)
        job.code = job._process.wait()
