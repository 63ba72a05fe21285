"""A process that answers a line of JSON for each line of JSON, and may die or hang."""

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from fer.core.documents import parse_json
from fer.errors import shorten_error

MAX_ANSWER_BYTES = 1 << 20
# So much of the end of its log is looked at for what it said last.
LOG_TAIL_BYTES = 4096


class WorkerError(Exception):
    """The process has died, hangs, or answers nonsense; it is ended then. The message says which."""


class WorkerProcess:
    """Starts the process when it is first asked, and anew when it was lost.

    Args:
        command: What starts it.
        environment: Its environment.
        log: File to which its standard error goes.
        start_timeout_s: How long it may take to say that it is ready, seconds.
        timeout_s: How long an answer may take, seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        start_timeout_s: float,
        timeout_s: float,
    ) -> None:
        self.command, self.environment, self.log = list(command), dict(environment), log
        self.start_timeout_s, self.timeout_s = start_timeout_s, timeout_s
        self.count = 0
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Args:
            request: What is asked, without an ``id``.

        Returns:
            The answer, without its ``id``.

        Raises:
            WorkerError: There is none, and the process is ended; the next question starts another.
        """
        self.start()
        self.count += 1
        answer = self._exchange({"id": self.count, **request}, self.timeout_s)
        if answer.pop("id", None) != self.count:
            raise self._give_up("answered something else than was asked")
        return answer

    def start(self) -> None:
        """Start the process where none is at work. Raises WorkerError."""
        if self._process is not None:
            return
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.environment,
                    # Ctrl-C is for the program, which ends it; with all that it has started.
                    start_new_session=True,
                )
        except OSError as error:
            raise WorkerError(f"cannot be started ({error.strerror}: {self.command[0]})") from None
        answer = self._exchange(None, self.start_timeout_s)
        if not answer.get("ready"):
            raise self._give_up(f"cannot start: {answer.get('error', 'it said nothing')}")

    def _exchange(self, request: Mapping[str, Any] | None, timeout_s: float) -> dict[str, Any]:
        """Send a line, if any, and receive one. Raises WorkerError."""
        process = self._process
        assert process is not None
        received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # Of a process that hangs neither end of a pipe returns, so that both are left to a thread.
        threading.Thread(target=_send_and_receive, args=(process, request, received), daemon=True).start()
        try:
            line = received.get(timeout=timeout_s)
        except queue.Empty:
            raise self._give_up(f"gave no answer within {timeout_s:g} s") from None
        if not line:
            raise self._give_up("has ended")
        try:
            answer = parse_json(line.decode())
            if not isinstance(answer, dict):
                raise ValueError("no object")
        except ValueError as error:
            raise self._give_up(f"gave an answer that cannot be read ({shorten_error(error)})") from None
        return answer

    def _give_up(self, reason: str) -> WorkerError:
        """End the process, and build the error that says why, and what its log said last."""
        self.close()
        said = _read_last_line(self.log)
        return WorkerError(f"{reason}; it said last: {said}" if said else reason)

    def close(self) -> None:
        """End the process and what it has started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError, ValueError):
                _close(pipe)
        self._process = None


def _send_and_receive(
    process: "subprocess.Popen[bytes]", request: Mapping[str, Any] | None, received: "queue.SimpleQueue[bytes]"
) -> None:
    assert process.stdin is not None and process.stdout is not None
    try:
        if request is not None:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        received.put(process.stdout.readline(MAX_ANSWER_BYTES))
    except (OSError, ValueError):
        # Its end, or that of this program, has closed the pipe.
        received.put(b"")


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _read_last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
