"""Several machines that train together: who they are, how they meet, and how all learn that one has ended.

Machine 0 keeps a store of keys, at MASTER_ADDR:MASTER_PORT where there are several. The processes of the training
meet there, too.
"""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist

from fer.errors import UserError, first_line

# How long to wait for another machine that still prepares its data, and for one that is to notice the end.
MEETING_S, FAREWELL_S = 900.0, 10.0
CHUNK = 4 << 20  # the store takes values of up to 8 MiB
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Machine:
    """This machine's ``number`` among ``count``, and where machine 0 is."""

    number: int
    count: int
    address: str
    port: int


def this_machine(count: int) -> Machine:
    """This machine as the environment has it, where there are several. Raises UserError."""
    if count == 1:
        return Machine(0, 1, "127.0.0.1", 0)
    names = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    if missing := [name for name in names if not os.environ.get(name)]:
        raise UserError(
            f"trainer.num_nodes={count} needs {', '.join(missing)} in the environment: NODE_RANK is the machine's "
            f"number (0 to {count - 1}), MASTER_ADDR and MASTER_PORT are machine 0's address and a free port of it"
        )
    number, address, port = (os.environ[name] for name in names)
    if not number.isdecimal() or int(number) >= count:
        raise UserError(f"NODE_RANK={number}: with trainer.num_nodes={count} it is a number from 0 to {count - 1}")
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UserError(f"MASTER_PORT={port}: is no port; give a free one of machine 0, such as 29500")
    return Machine(int(number), count, address, int(port))


def is_helper(count: int) -> bool:
    """Whether another machine than this one has the run."""
    return count > 1 and os.environ.get("NODE_RANK", "0") != "0"


class Meeting:
    """Where the machines of one training meet. Raises UserError where they cannot."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.store = opened(machine) if machine.number == 0 else found(machine)

    @property
    def port(self) -> int:
        return self.store.port

    def agree(self, data: str, checkpoint: Path | None, copy: Path) -> Path | None:
        """The checkpoint of machine 0, from which all go on: its own there, a ``copy`` elsewhere.

        Raises UserError for ``data``, a fingerprint, that are not those of machine 0.
        """
        if self.machine.count == 1:
            return checkpoint
        if self.machine.number == 0:
            content = checkpoint.read_bytes() if checkpoint else b""
            chunks = [content[start : start + CHUNK] for start in range(0, len(content), CHUNK)]
            for number, chunk in enumerate(chunks):
                self.store.set(f"checkpoint-{number}", chunk)  # type: ignore[arg-type]
            self.store.set("begin", json.dumps({"data": data, "chunks": len(chunks)}))
            return checkpoint
        with while_reachable():
            begin = json.loads(self.store.get("begin"))
            content = b"".join(self.store.get(f"checkpoint-{number}") for number in range(begin["chunks"]))
        if begin["data"] != data:
            raise UserError(
                f"this machine's data (fingerprint {data[:12]}) are not those of machine 0 ({begin['data'][:12]}); "
                "give all machines the same files and the same command"
            )
        copy.write_bytes(content)
        return copy if content else None

    def look(self) -> None:
        """Raises UserError where another machine has ended before the training has, KeyboardInterrupt where it was
        interrupted.
        """
        if self.machine.count == 1:
            return
        with while_reachable():
            reason = self.store.get("ended").decode() if self.store.check(["ended"]) else None
        if reason == INTERRUPTED:
            raise KeyboardInterrupt
        if reason is not None:
            raise UserError(f"another machine ended the training: {reason}")

    def end(self, reason: str | None) -> None:
        """Tell the others why the training ends here, None where it is finished; machine 0 waits until they know."""
        if self.machine.count == 1:
            return
        try:
            if reason is not None and not self.store.check(["ended"]):
                self.store.set("ended", f"machine {self.machine.number}: {reason}" if reason != INTERRUPTED else reason)
            self.store.set(f"left-{self.machine.number}", "")
            others = [f"left-{number}" for number in range(1, self.machine.count)]
            deadline = time.monotonic() + FAREWELL_S
            while self.machine.number == 0 and not self.store.check(others) and time.monotonic() < deadline:
                time.sleep(0.1)
        except dist.DistError:
            # Machine 0 is gone, and with it the store.
            return


@contextmanager
def while_reachable() -> Iterator[None]:
    """Raises UserError where the store, and so machine 0, cannot be reached."""
    try:
        yield
    except dist.DistError:
        raise UserError("machine 0 has ended, or cannot be reached any more; see what it says") from None


def opened(machine: Machine) -> dist.TCPStore:
    """Machine 0's store."""
    try:
        return dist.TCPStore("127.0.0.1", machine.port, is_master=True, wait_for_workers=False)
    except dist.DistError as error:
        raise UserError(f"MASTER_PORT={machine.port}: cannot be opened ({first_line(error)}); choose another") from None


def found(machine: Machine) -> dist.TCPStore:
    """The store of another machine, which may still prepare its data, and whose name may not be known yet."""
    deadline = time.monotonic() + MEETING_S
    while True:
        try:
            socket.create_connection((machine.address, machine.port), timeout=5).close()
            return dist.TCPStore(machine.address, machine.port, is_master=False)
        except (OSError, dist.DistError) as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"MASTER_ADDR={machine.address}, MASTER_PORT={machine.port}: machine 0 does not answer "
                    f"({first_line(error)}); is it running, and the port open?"
                ) from None
            time.sleep(1)
