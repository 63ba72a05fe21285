"""A process that ends when the one that started it does, however that was ended."""

import os
import threading
import time
from collections.abc import Mapping

VARIABLE = "FER_LIFELINE"
LOOK_S = 0.2


def tied_to_me(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that is to end with this process."""
    return {**environment, VARIABLE: str(os.getpid())}


def hold() -> None:
    """Where this process was started by ``tied_to_me``, end it as soon as its starter is gone."""
    if VARIABLE in os.environ:
        # What this process starts in turn has its own starter.
        follow(int(os.environ.pop(VARIABLE)))


def follow(parent: int) -> None:
    """End this process, as SIGKILL would, as soon as its parent is not ``parent`` any more."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_S)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
