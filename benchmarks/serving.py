"""`python -m benchmarks.serving --model RUN`: the real server under many clients, one request in ten malformed.

Every good answer is compared with the predictor in this process. Exit code 1 if a request was answered by a 5xx or with
another status than its fault deserves, an answer was wrong, or the server's memory grew.
"""

import argparse
import http.client
import io
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from fer.bundle.verification import load_verified_predictor
from fer.runs.provenance import PROJECT_ROOT
from fer.serving.requests import MAX_BYTES
from fer.serving.responses import decode_image
from fer.synthetic import draw_dataset_face

PICTURES, SIZES, SHARD = 48, (48, 96, 200), 12
MALFORMED_EVERY = 10
TOLERANCE = 1e-5
# Memory settles in the first part of the time; medians over a part leave out its moment-to-moment changes.
WARM, END = (0.2, 0.4), (0.8, 1.0)
GROWTH = 1.1
PNG, JPEG, TAR = "image/png", "image/jpeg", "application/x-tar"


@dataclass(frozen=True)
class Sent:
    """One request and what must come back: the status, and with 200 the probabilities by id, None for an error.

    ``length`` is what its header says where that is not the truth; with ``status`` 0 the client leaves halfway.
    """

    kind: str
    body: bytes
    status: int = 200
    expected: dict[str, np.ndarray | None] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Figures:
    """What clients saw, added up over all of them."""

    seconds: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    pictures: int = 0
    difference: float = 0.0
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def memory_in(self, part: tuple[float, float]) -> float:
        """Median MiB of the server in a part of the time."""
        first, last = (share * self.seconds for share in part)
        return median(value for at, value in self.memory if first <= at <= last)


def shard(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A tar archive of named files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return file.getvalue()


def requests_for(model: str) -> tuple[list[Sent], list[Sent]]:
    """Good and malformed requests, with the answers of the predictor in this process."""
    encoded: list[tuple[str, bytes]] = []
    for index in range(PICTURES):
        image = draw_dataset_face(0, index, SIZES[index % len(SIZES)]).image
        suffix = (".png", ".jpg")[index % 2]
        encoded.append((suffix, cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()))
    predictor = load_verified_predictor(model, None)
    rows = predictor.predict([decode_image(data) for _, data in encoded])
    good = [
        Sent(PNG if suffix == ".png" else JPEG, data, expected={"image": row})
        for (suffix, data), row in zip(encoded, rows, strict=True)
    ]
    for start in range(0, PICTURES, SHARD):
        places = range(start, start + SHARD)
        members = [(f"face/{place}{encoded[place][0]}", encoded[place][1]) for place in places]
        good.append(Sent(TAR, shard(members), expected={f"face/{place}": rows[place] for place in places}))
    return good, malformed(good)


def malformed(good: Sequence[Sent]) -> list[Sent]:
    """Requests of every fault that clients have."""
    picture, whole = good[0], good[-1]
    (row,) = picture.expected.values()
    # A PNG's first chunk: its name, width, height and more, and a checksum.
    header = picture.body[12:16] + (60_000).to_bytes(4, "big") * 2 + picture.body[24:29]
    enormous = picture.body[:12] + header + zlib.crc32(header).to_bytes(4, "big") + picture.body[33:]
    return [
        Sent("text/plain", picture.body, 415),
        Sent(PNG, random.Random(0).randbytes(5000), 400),
        Sent(PNG, picture.body[: len(picture.body) // 2], 400),
        Sent(TAR, whole.body[: len(whole.body) // 2], 400),
        Sent(TAR, picture.body, 400),
        Sent(PNG, b"", 400),
        Sent(PNG, picture.body, 413, length=MAX_BYTES + 1),
        Sent(PNG, enormous, 413),
        Sent(TAR, shard([("a.png", picture.body), ("b.png", b"no picture")]), expected={"a": row, "b": None}),
        Sent(TAR, whole.body, 0),
    ]


@contextmanager
def serving(model: str, log: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server as a process of its own and its port, ready to answer."""
    command = [sys.executable, "-m", "fer.serving", "--model", model, "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=output, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("Serving "):
            sys.exit(f"the server did not start: {log.read_text()}")
        port = int(line.rsplit(":", 1)[1])
        while ask(port, "/ping")[0] != 200:
            if process.poll() is not None:
                sys.exit(f"the server ended: {log.read_text()}")
            time.sleep(0.05)
        yield process, port
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def ask(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def memory_of(port: int) -> float:
    """Resident memory of the server in MiB."""
    found = re.search(rb"^process_resident_memory_bytes (\S+)$", ask(port, "/metrics")[1], re.MULTILINE)
    return float(found[1]) / 2**20 if found else float("nan")


class Client:
    """One of the clients: sends requests over one connection for as long as it is let."""

    def __init__(self, port: int, number: int, good: Sequence[Sent], bad: Sequence[Sent]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.random = random.Random(number)
        self.number = number
        self.good, self.bad = good, bad
        self.figures = Figures()

    def run(self, until: float) -> None:
        for count in itertools.count(self.number):
            if time.monotonic() > until:
                break
            sent = self.random.choice(self.good if count % MALFORMED_EVERY else self.bad)
            try:
                self.send(sent)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.figures.wrong.append(f"{sent.kind} of {len(sent.body)} bytes: {type(error).__name__} {error}")
                self.connection.close()
        self.connection.close()

    def send(self, sent: Sent) -> None:
        self.connection.putrequest("POST", "/invocations")
        self.connection.putheader("Content-Type", sent.kind)
        self.connection.putheader("Content-Length", str(len(sent.body) if sent.length is None else sent.length))
        self.connection.endheaders()
        if sent.status == 0:
            self.connection.send(sent.body[: len(sent.body) // 2])
            self.connection.close()
            return
        self.connection.send(sent.body)
        response = self.connection.getresponse()
        content = response.read()
        if sent.length is not None:
            self.connection.close()
        self.figures.codes[response.status] += 1
        if response.status != sent.status:
            self.figures.wrong.append(f"{sent.kind}: {response.status}, not {sent.status}: {content[:200]!r}")
        elif response.status == 200:
            self.compare(sent, [json.loads(line) for line in content.splitlines()])
        elif not json.loads(content)["error"]:
            self.figures.wrong.append(f"{response.status} without a reason")

    def compare(self, sent: Sent, answers: list[dict[str, Any]]) -> None:
        if [answer["id"] for answer in answers] != list(sent.expected):
            self.figures.wrong.append(f"ids {[answer['id'] for answer in answers]}, not {list(sent.expected)}")
            return
        for answer, expected in zip(answers, sent.expected.values(), strict=True):
            if expected is None:
                if not answer["error"]:
                    self.figures.wrong.append(f"no reason in {answer}")
                continue
            found = np.array(list(answer["probabilities"].values()))
            self.figures.pictures += 1
            self.figures.difference = max(self.figures.difference, float(np.abs(found - expected).max()))


def measure(model: str, clients: int, seconds: float) -> Figures:
    """Start a server for a model, let so many clients ask it for so long, and add up what they saw."""
    good, bad = requests_for(model)
    total = Figures()
    with tempfile.TemporaryDirectory() as temporary, serving(model, Path(temporary) / "log") as (_, port):
        start = time.monotonic()
        asking = [Client(port, number, good, bad) for number in range(clients)]
        threads = [threading.Thread(target=client.run, args=(start + seconds,)) for client in asking]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            total.memory.append((time.monotonic() - start, memory_of(port)))
            threads[0].join(seconds / 60)
        for thread in threads:
            thread.join()
        total.seconds = time.monotonic() - start
    for client in asking:
        total.codes += client.figures.codes
        total.pictures += client.figures.pictures
        total.difference = max(total.difference, client.figures.difference)
        total.wrong += client.figures.wrong
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--model", required=True, help="an unpacked package, a bundle or a run")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    figures = measure(chosen.model, chosen.clients, chosen.seconds)
    warm, end = figures.memory_in(WARM), figures.memory_in(END)
    answered = sum(figures.codes.values())
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(figures.codes.items()))
    print(f"{answered / figures.seconds:.1f} requests/s, {figures.pictures / figures.seconds:.1f} pictures/s")
    print(f"answers by status: {codes}")
    print(f"largest difference of a probability: {figures.difference:.2g} (limit {TOLERANCE:g})")
    print(f"memory of the server: {warm:.0f} MiB after warming up, {end:.0f} MiB at the end (limit × {GROWTH:g})")
    for text in figures.wrong[:20]:
        print(f"wrong: {text}")
    right = not figures.wrong and all(code < 500 for code in figures.codes) and figures.difference <= TOLERANCE
    return 0 if right and end <= warm * GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
