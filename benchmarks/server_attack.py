"""`python -m benchmarks.server_attack --model RUN`: the real server under clients that mean it harm.

Good clients ask alone, under attack, and alone again. The attackers are clients that send a byte now and then of a body
that they declared to be 100 MB, or of a request's head, clients that read no answer, and malformed requests of many
kinds; who is sent away comes back. Exit code 1 if a good answer was wrong or missing, the 99th percentile of its time
was more than twice that of a calm server, or the server's memory grew under attack.
"""

import argparse
import asyncio
import multiprocessing
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving import TOLERANCE, Client, Request, build_requests, pack_shard, read_memory, run_server, send_get

CLIENTS, SLOW_BODIES, SLOW_READERS, SLOW_HEADS, MALFORMED_CLIENTS = 32, 10, 6, 300, 4
MAX_RATIO = MAX_GROWTH = 2.0
# A part of the time, at the start of an attack, in which its memory is not looked at yet.
WARM = 0.3
# Of clients that send a byte now and then.
PAUSE_S = 1.0
HOST = "127.0.0.1"
HEAD = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\n"
MALFORMED_REQUESTS = (
    b"\0\1\2\3\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /invocations HTTP/1.1\r\n\r\n",
    b"G" * 100_000,
    b"GET /ping HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000,
    HEAD.format("image/png").encode() + b"Content-Length: -1\r\n\r\n",
    HEAD.format("image/png").encode() + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    HEAD.format("image/png").encode() + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD.format("image/png").encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    HEAD.format("image/png").encode() + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000,
    HEAD.format("image/png").encode() + b"Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n",
    HEAD.format("multipart/form-data; boundary=x").encode() + b"Content-Length: 9\r\n\r\n--x\r\n\r\n--",
    b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n" * 500,
    HEAD.format("application/x-tar").encode() + b"Content-Length: 2048\r\n\r\n" + b"\xff" * 2048,
)


class TimedClient(Client):
    """A client of good requests alone, which keeps the time of each."""

    def __init__(self, port: int, number: int, good: list[Request]) -> None:
        super().__init__(port, number, good, [])
        self.times_s: list[float] = []

    def run(self, until: float) -> None:
        """Send random requests until this moment of ``time.monotonic``."""
        while time.monotonic() < until:
            start = time.perf_counter()
            try:
                self.send(self.random.choice(self.good))
            except Exception as error:
                self.metrics.errors.append(f"{type(error).__name__} {error}")
                self.connection.close()
            self.times_s.append(time.perf_counter() - start)
        self.connection.close()


async def _drip(port: int, start: bytes, payload: bytes) -> None:
    """Send ``start`` at once, then one byte after the other."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(start)
        await writer.drain()
        for place in range(1 << 20):
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    if not await reader.read(1 << 16):
                        return
            writer.write(payload[place % len(payload) :][:1])
            await writer.drain()
    finally:
        writer.close()


async def _send_slow_body(port: int, number: int) -> None:
    """A body of which nothing comes, or its first 30 MB at once, in every third case without a declared length."""
    kind = HEAD.format("application/x-tar").encode()
    if number % 3 == 2:
        await _drip(port, kind + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n")
    else:
        await _drip(port, kind + b"Content-Length: 104857600\r\n\r\n" + bytes(30_000_000 * (number % 3)), b"\0")


async def _send_slow_head(port: int, number: int) -> None:
    await _drip(port, b"POST /invocations HTTP/1.1\r\nHost: x\r\nX-Long: "[: number % 40], b"a")


async def _read_slowly(port: int, shard: bytes) -> None:
    """Ask for a large answer several times over, and read a byte of it now and then."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, (HOST, port))
        head = HEAD.format("application/x-tar").encode() + b"Content-Length: %d\r\n\r\n" % len(shard)
        async with asyncio.timeout(60):
            for _ in range(3):
                await loop.sock_sendall(client, head + shard)
        while await loop.sock_recv(client, 1):
            await asyncio.sleep(PAUSE_S)


async def _send_malformed(port: int, rounds: random.Random) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(rounds.choice(MALFORMED_REQUESTS))
        await writer.drain()
        if rounds.random() < 0.5:
            writer.write_eof()
        async with asyncio.timeout(0.2):
            while await reader.read(1 << 16):
                pass
    finally:
        writer.close()


async def _repeat(attack: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        with suppress(OSError, TimeoutError):
            await attack()
        await asyncio.sleep(0.05)


async def _attack(port: int, begun: Event) -> None:
    # Names become ids: a large answer for little work, which is not what is measured here.
    shard = pack_shard([(f"{'ß' * 4000}{number}.png", b"no image") for number in range(200)])
    rounds = random.Random(0)
    attacks: list[Callable[[], Coroutine[Any, Any, None]]] = [
        *(partial(_send_slow_body, port, number) for number in range(SLOW_BODIES)),
        *(partial(_send_slow_head, port, number) for number in range(SLOW_HEADS)),
        *(partial(_read_slowly, port, shard) for _ in range(SLOW_READERS)),
        *(partial(_send_malformed, port, rounds) for _ in range(MALFORMED_CLIENTS)),
    ]
    async with asyncio.TaskGroup() as group:
        for attack in attacks:
            group.create_task(_repeat(attack))
        await asyncio.sleep(PAUSE_S)
        begun.set()


def run_attackers(port: int, begun: Event) -> None:
    """Attack until the process is ended; says when all have begun."""
    asyncio.run(_attack(port, begun))


def ask(port: int, good: list[Request], seconds: float) -> tuple[list[TimedClient], list[tuple[float, float]]]:
    """Let all good clients ask for so long; returns them and the server's memory in MiB, by seconds from the start."""
    start = time.monotonic()
    clients = [TimedClient(port, number, good) for number in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, args=(start + seconds,)) for client in clients]
    memory = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append((time.monotonic() - start, read_memory(port)))
        time.sleep(seconds / 60)
    for thread in threads:
        thread.join()
    return clients, memory


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_attack", description=__doc__)
    parser.add_argument("--model", required=True, help="an unpacked package, a bundle or a run")
    parser.add_argument("--seconds", type=float, default=60, help="of the attack; each calm lasts half as long")
    args = parser.parse_args()
    good, _ = build_requests(args.model)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as temporary, run_server(args.model, Path(temporary) / "log") as port:
        ask(port, good, min(5.0, args.seconds / 4))
        calm, _ = ask(port, good, args.seconds / 2)
        begun = context.Event()
        attackers = context.Process(target=run_attackers, args=(port, begun))
        attackers.start()
        try:
            begun.wait()
            attacked, memory = ask(port, good, args.seconds)
            ping = send_get(port, "/ping")[0]
        finally:
            attackers.kill()
            attackers.join()
        calm += ask(port, good, args.seconds / 2)[0]
    times = {
        name: np.array([time_s for client in clients for time_s in client.times_s])
        for name, clients in (("calm", calm), ("under attack", attacked))
    }
    for name, found in times.items():
        p50, p99 = np.percentile(found, (50, 99))
        print(f"{name}: {len(found) / args.seconds:.1f} requests/s, median {p50:.3f} s, 99th percentile {p99:.3f} s")
    ratio = float(np.percentile(times["under attack"], 99) / np.percentile(times["calm"], 99))
    errors = [error for client in (*calm, *attacked) for error in client.metrics.errors]
    difference = max(client.metrics.difference for client in (*calm, *attacked))
    early = max(value for time_s, value in memory if time_s <= args.seconds * WARM)
    late = max(value for time_s, value in memory if time_s > args.seconds * WARM)
    print(f"99th percentile under attack: × {ratio:.2f} of calm (limit × {MAX_RATIO:g})")
    print(f"wrong or missing good answers: {len(errors)}; largest difference {difference:.2g} (limit {TOLERANCE:g})")
    print(f"memory under attack: {early:.0f} MiB at first, {late:.0f} MiB later (limit × {MAX_GROWTH:g}); /ping {ping}")
    for error in errors[:10]:
        print(f"wrong: {error}")
    correct = not errors and difference <= TOLERANCE and ping == 200
    return 0 if correct and ratio <= MAX_RATIO and late <= early * MAX_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
