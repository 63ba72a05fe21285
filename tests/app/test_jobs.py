"""The queue: order, places, so many at a time, cancelled jobs and all that they have started are gone."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fer.app.jobs import Job, JobQueue, JobState
from fer.core.process import PARENT_PID_ENV
from fer.core.progress import Progress
from tests.helpers.server import wait_until


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    opened = JobQueue(2)
    yield opened
    opened.close()


def shell(script: str) -> Job:
    """A program that needs no interpreter of Python to start."""
    return Job(["/bin/sh", "-c", script])


def ended(job: Job) -> Callable[[], bool]:
    return lambda: job.is_over


def test_a_job_leaves_its_lines_its_progress_and_its_code(queue: JobQueue) -> None:
    job = queue.submit(
        shell("echo first; echo 'Frames: 3/12 frames, 4/s, 2 s left'; printf '\\033[2Jlast\\n' >&2; exit 3")
    )
    wait_until(ended(job), "the end")
    assert (job.state, job.code) == (JobState.ENDED, 3)
    assert list(job.lines) == ["first", "\\x1b[2Jlast"]
    assert job.progress == Progress("Frames", 3, 12, "frames", 2)
    assert job.progress.share == 0.25


def test_endless_output_is_not_kept(queue: JobQueue) -> None:
    job = queue.submit(shell("i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); done; printf '%9000s'"))
    wait_until(ended(job), "the end")
    assert len(job.lines) == 200
    assert max(map(len, job.lines)) == 2000


def test_two_run_and_the_others_wait_at_their_places(queue: JobQueue, tmp_path: Path) -> None:
    jobs = [queue.submit(shell(f"while [ ! -e {tmp_path / str(number)} ]; do sleep 0.02; done")) for number in range(5)]
    wait_until(lambda: jobs[1].state is JobState.RUNNING, "two at work")
    assert [queue.get_place(job) for job in jobs] == [0, 0, 1, 2, 3]
    queue.cancel(jobs[3])
    assert (jobs[3].state, jobs[3].code) == (JobState.CANCELLED, None)
    assert queue.get_place(jobs[4]) == 2
    (tmp_path / "1").touch()
    wait_until(lambda: jobs[2].state is JobState.RUNNING, "the next one at work")
    assert [job.state for job in jobs] == ["running", "ended", "running", "cancelled", "waiting"]


def test_ten_at_once_never_run_more_than_two_and_all_end(queue: JobQueue, tmp_path: Path) -> None:
    script = f"echo + >> {tmp_path}/log; sleep 0.05; echo - >> {tmp_path}/log"
    jobs: list[Job] = []
    visitors = [threading.Thread(target=lambda: jobs.append(queue.submit(shell(script)))) for _ in range(10)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    wait_until(lambda: all(job.is_over for job in jobs), "ten jobs")
    assert {job.code for job in jobs} == {0}
    at_work, most = 0, 0
    for mark in (tmp_path / "log").read_text().split():
        at_work += 1 if mark == "+" else -1
        most = max(most, at_work)
    assert most == 2


def test_a_cancelled_job_takes_what_it_has_started_along(queue: JobQueue) -> None:
    job = queue.submit(shell("sleep 600 & echo $!; wait"))
    wait_until(lambda: bool(job.lines), "the child")
    child = psutil.Process(int(job.lines[0]))
    queue.cancel(job)
    assert (job.state, job.code) == (JobState.CANCELLED, -9)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child's end")


def test_a_job_that_is_killed_from_outside_is_over_and_the_next_one_runs(queue: JobQueue) -> None:
    job = queue.submit(shell("echo $$; exec sleep 600"))
    wait_until(lambda: bool(job.lines), "its process")
    os.kill(int(job.lines[0]), 9)
    wait_until(ended(job), "its end")
    assert (job.state, job.code) == (JobState.ENDED, -9)
    after = queue.submit(shell("echo done"))
    wait_until(ended(after), "the next one")
    assert list(after.lines) == ["done"]


def test_a_program_that_is_not_there_is_a_job_that_fails(queue: JobQueue) -> None:
    job = queue.submit(Job(["/nowhere/python"]))
    wait_until(ended(job), "its end")
    assert (job.code, list(job.lines)) == (1, ["cannot be started: No such file or directory"])


def test_closing_ends_everything() -> None:
    queue = JobQueue(1)
    jobs = [queue.submit(shell("sleep 600")) for _ in range(3)]
    queue.close()
    assert all(job.state is JobState.CANCELLED for job in jobs)


def test_a_program_ends_with_the_dashboard(queue: JobQueue) -> None:
    """It is told whose child it is, and programs of the project watch that."""
    job = queue.submit(shell(f"echo ${PARENT_PID_ENV}"))
    wait_until(ended(job), "its end")
    assert list(job.lines) == [str(os.getpid())]
