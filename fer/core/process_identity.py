"""Who a process is, so that another one of the same machine can tell whether it has ended. On Linux alone."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Fields of /proc/PID/stat after the name, from 0.
STATE, START = 0, 19
DEAD_STATES = ("Z", "X")


def identify_process() -> dict[str, Any]:
    """Return what identifies this process among all of all machines; empty where that cannot be known."""
    pid = os.getpid()
    try:
        place = {"boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}
        # Containers of one machine number their processes each for themselves.
        place["namespace"] = os.readlink("/proc/self/ns/pid")
    except OSError:
        return {}
    # Processes of other users may be invisible.
    return {**place, "user": os.getuid(), "pid": pid, "start": _read_start(pid)}


def has_ended(identity: Mapping[str, Any]) -> bool:
    """Whether a process, as ``identify_process`` described it, is known to have ended; False where it may be alive."""
    own = identify_process()
    if not own or any(identity.get(key) != own[key] for key in ("boot", "namespace", "user")):
        return False
    pid, start = identity.get("pid"), identity.get("start")
    return isinstance(pid, int) and isinstance(start, str) and _read_start(pid) != start


def _read_start(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" where there is none, or none that runs."""
    try:
        # Its name, which comes before, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[STATE] in DEAD_STATES else fields[START]
