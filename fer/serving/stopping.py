"""Stopping in time: what a platform has told to stop, it kills after a while, in the middle of an answer."""

import logging
import os
import threading
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from fer.errors import ExitCode
from fer.serving.connection import build_server_config

# So much before the end new answers are given up, and so much before it the process ends in any case.
SPARE_S, LAST_S = 3, 0.5
log = logging.getLogger(__name__)


class BoundedServer(uvicorn.Server):
    """A server that answers what it has begun when a signal stops it, and ends in time.

    Args:
        app: The application.
        stop_s: Seconds from the signal to the end of the process.
    """

    def __init__(self, app: ASGIApp, stop_s: int) -> None:
        super().__init__(build_server_config(app, stop_s - SPARE_S))
        self.stop_s = stop_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, once what is under way is answered."""
        if not self.should_exit:
            # A thread cannot be cancelled: one that decodes a huge picture would keep the process.
            last = threading.Timer(self.stop_s - LAST_S, self._give_up)
            last.daemon = True
            last.start()
        super().handle_exit(sig, frame)

    def _give_up(self) -> None:
        log.error("stopped after %d s, in the middle of a request", self.stop_s)
        os._exit(ExitCode.ERROR)
