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
from fer.core.installation import with_project_path
from fer.serving.requests import MAX_BYTES
from fer.serving.responses import decode_image
from fer.synthetic import draw_dataset_face

IMAGES, SIZES, SHARD_IMAGES = 48, (48, 96, 200), 12
MALFORMED_EVERY = 10
TOLERANCE = 1e-5
# Fractions of the time. Memory settles at first; medians over a while leave out its moment-to-moment changes.
WARM, END = (0.2, 0.4), (0.8, 1.0)
MAX_GROWTH = 1.1
PNG, JPEG, TAR = "image/png", "image/jpeg", "application/x-tar"


@dataclass(frozen=True)
class Request:
    """One request and what must come back: the status, and with 200 the probabilities by id, None for an error.

    ``length`` is what its header says where that is not the truth; with ``status`` 0 the client leaves halfway.
    """

    content_type: str
    body: bytes
    status: int = 200
    expected: dict[str, np.ndarray | None] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Metrics:
    """What clients saw, added up over all of them; ``memory`` is the server's in MiB, by seconds from the start."""

    seconds: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    images: int = 0
    difference: float = 0.0
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def get_median_memory(self, fractions: tuple[float, float]) -> float:
        """Median MiB of the server between two fractions of the time."""
        first, last = (fraction * self.seconds for fraction in fractions)
        return median(value for time_s, value in self.memory if first <= time_s <= last)


def pack_shard(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A tar archive of named files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return file.getvalue()


def build_requests(model: str) -> tuple[list[Request], list[Request]]:
    """Good and malformed requests, with the answers of the predictor in this process."""
    encoded: list[tuple[str, bytes]] = []
    for index in range(IMAGES):
        image = draw_dataset_face(0, index, SIZES[index % len(SIZES)]).image
        suffix = (".png", ".jpg")[index % 2]
        encoded.append((suffix, cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()))
    predictor = load_verified_predictor(model, None)
    rows = predictor.predict([decode_image(data) for _, data in encoded])
    good = [
        Request(PNG if suffix == ".png" else JPEG, data, expected={"image": row})
        for (suffix, data), row in zip(encoded, rows, strict=True)
    ]
    for start in range(0, IMAGES, SHARD_IMAGES):
        numbers = range(start, start + SHARD_IMAGES)
        members = [(f"face/{number}{encoded[number][0]}", encoded[number][1]) for number in numbers]
        expected = {f"face/{number}": rows[number] for number in numbers}
        good.append(Request(TAR, pack_shard(members), expected=expected))
    return good, build_malformed_requests(good)


def build_malformed_requests(good: Sequence[Request]) -> list[Request]:
    """Requests of every fault that clients have."""
    image, shard = good[0].body, good[-1].body
    (row,) = good[0].expected.values()
    # A PNG's first chunk: its name, width, height and more, and a checksum.
    header = image[12:16] + (60_000).to_bytes(4, "big") * 2 + image[24:29]
    enormous = image[:12] + header + zlib.crc32(header).to_bytes(4, "big") + image[33:]
    return [
        Request("text/plain", image, 415),
        Request(PNG, random.Random(0).randbytes(5000), 400),
        Request(PNG, image[: len(image) // 2], 400),
        Request(TAR, shard[: len(shard) // 2], 400),
        Request(TAR, image, 400),
        Request(PNG, b"", 400),
        Request(PNG, image, 413, length=MAX_BYTES + 1),
        Request(PNG, enormous, 413),
        Request(TAR, pack_shard([("a.png", image), ("b.png", b"no image")]), expected={"a": row, "b": None}),
        Request(TAR, shard, 0),
    ]


@contextmanager
def run_server(model: str, log: Path) -> Iterator[int]:
    """The port of a server that is a process of its own, ready to answer."""
    command = [sys.executable, "-m", "fer.serving", "--model", model, "--port", "0"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=with_project_path(os.environ), stdout=subprocess.PIPE, stderr=output, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("Serving "):
            sys.exit(f"the server did not start: {log.read_text()}")
        port = int(line.rsplit(":", 1)[1])
        while send_get(port, "/ping")[0] != 200:
            if process.poll() is not None:
                sys.exit(f"the server ended: {log.read_text()}")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def send_get(port: int, path: str) -> tuple[int, bytes]:
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


def read_memory(port: int) -> float:
    """Resident memory of the server in MiB."""
    match = re.search(rb"^process_resident_memory_bytes (\S+)$", send_get(port, "/metrics")[1], re.MULTILINE)
    return float(match[1]) / 2**20 if match else float("nan")


class Client:
    """One of the clients, which sends its requests over one connection."""

    def __init__(self, port: int, number: int, good: Sequence[Request], malformed: Sequence[Request]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.random = random.Random(number)
        self.number = number
        self.good, self.malformed = good, malformed
        self.metrics = Metrics()

    def run(self, until: float) -> None:
        """Send random requests until this moment of ``time.monotonic``."""
        for count in itertools.count(self.number):
            if time.monotonic() > until:
                break
            request = self.random.choice(self.good if count % MALFORMED_EVERY else self.malformed)
            try:
                self.send(request)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.metrics.errors.append(
                    f"{request.content_type} of {len(request.body)} bytes: {type(error).__name__} {error}"
                )
                self.connection.close()
        self.connection.close()

    def send(self, request: Request) -> None:
        """Send one request, and compare what comes back."""
        self.connection.putrequest("POST", "/invocations")
        self.connection.putheader("Content-Type", request.content_type)
        self.connection.putheader(
            "Content-Length", str(len(request.body) if request.length is None else request.length)
        )
        self.connection.endheaders()
        if request.status == 0:
            self.connection.send(request.body[: len(request.body) // 2])
            self.connection.close()
            return
        self.connection.send(request.body)
        response = self.connection.getresponse()
        content = response.read()
        if request.length is not None:
            self.connection.close()
        self.metrics.codes[response.status] += 1
        if response.status != request.status:
            self.metrics.errors.append(
                f"{request.content_type}: {response.status}, not {request.status}: {content[:200]!r}"
            )
        elif response.status == 200:
            self.compare(request, [json.loads(line) for line in content.splitlines()])
        elif not json.loads(content)["error"]:
            self.metrics.errors.append(f"{response.status} without a reason")

    def compare(self, request: Request, answers: list[dict[str, Any]]) -> None:
        """Compare the answers with those that must come back."""
        if [answer["id"] for answer in answers] != list(request.expected):
            self.metrics.errors.append(f"ids {[answer['id'] for answer in answers]}, not {list(request.expected)}")
            return
        for answer, expected in zip(answers, request.expected.values(), strict=True):
            if expected is None:
                if not answer["error"]:
                    self.metrics.errors.append(f"no reason in {answer}")
                continue
            probabilities = np.array(list(answer["probabilities"].values()))
            self.metrics.images += 1
            self.metrics.difference = max(self.metrics.difference, float(np.abs(probabilities - expected).max()))


def measure(model: str, client_count: int, seconds: float) -> Metrics:
    """Start a server for a model, let so many clients ask it for so long, and add up what they saw."""
    good, malformed = build_requests(model)
    total = Metrics()
    with tempfile.TemporaryDirectory() as temporary, run_server(model, Path(temporary) / "log") as port:
        start = time.monotonic()
        clients = [Client(port, number, good, malformed) for number in range(client_count)]
        threads = [threading.Thread(target=client.run, args=(start + seconds,)) for client in clients]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            total.memory.append((time.monotonic() - start, read_memory(port)))
            threads[0].join(seconds / 60)
        for thread in threads:
            thread.join()
        total.seconds = time.monotonic() - start
    for client in clients:
        total.codes += client.metrics.codes
        total.images += client.metrics.images
        total.difference = max(total.difference, client.metrics.difference)
        total.errors += client.metrics.errors
    return total


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--model", required=True, help="an unpacked package, a bundle or a run")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    metrics = measure(args.model, args.clients, args.seconds)
    warm, end = metrics.get_median_memory(WARM), metrics.get_median_memory(END)
    answered = sum(metrics.codes.values())
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(metrics.codes.items()))
    print(f"{answered / metrics.seconds:.1f} requests/s, {metrics.images / metrics.seconds:.1f} images/s")
    print(f"answers by status: {codes}")
    print(f"largest difference of a probability: {metrics.difference:.2g} (limit {TOLERANCE:g})")
    print(f"memory of the server: {warm:.0f} MiB after warming up, {end:.0f} MiB at the end (limit × {MAX_GROWTH:g})")
    for error in metrics.errors[:20]:
        print(f"wrong: {error}")
    correct = not metrics.errors and all(code < 500 for code in metrics.codes) and metrics.difference <= TOLERANCE
    return 0 if correct and end <= warm * MAX_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
