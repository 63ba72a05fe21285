"""`python -m benchmarks.saturation`: the server with as many clients as it can bear, against the model in this process.

Drawn faces are classified in turns for some rounds: in this process (decoded one after the other, classified in
batches), and by the real server, whose clients are another process, each with one picture a request, or with a tar
archive of a full batch. Ratios are taken within a round, by the clock and by processor seconds: where the clients share
the server's cores, the clock counts their work, too. Latencies are told in times of one full batch in this process.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.serving import JPEG, PNG, TAR, pack_shard, run_server
from benchmarks.speeds import describe_ratio
from fer.bundle.locate import PRETRAINED
from fer.bundle.predictor import Predictor
from fer.bundle.verification import load_verified_predictor
from fer.core.image import to_native
from fer.serving.app import BATCH_SIZE
from fer.serving.responses import decode_image
from fer.synthetic import draw_dataset_face

P99_AIM, RATE_AIM = 3.0, 0.95


@dataclass(frozen=True)
class Round:
    """One turn: images a second by the clock and by processor seconds, and each answer's seconds."""

    by_clock: float
    by_processor: float
    latencies: list[float]


def encode_faces(count: int, side: int, suffix: str) -> list[bytes]:
    """Drawn faces as files."""
    images = [draw_dataset_face(0, number, side).image for number in range(count)]
    return [cv2.imencode(suffix, image if image.ndim == 2 else image[..., ::-1])[1].tobytes() for image in images]


def build_request(content_type: str, body: bytes) -> bytes:
    """The bytes of one request."""
    head = f"POST /invocations HTTP/1.1\r\nHost: server\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def ask(port: int, number: int, requests: list[bytes], until: float) -> list[float]:
    """Send requests over one connection, each when the one before is answered; the seconds of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    latencies: list[float] = []
    while time.monotonic() < until:
        start = time.monotonic()
        writer.write(requests[(number + len(latencies)) % len(requests)])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"the server answered {head.decode(errors='replace')}")
        latencies.append(time.monotonic() - start)
    writer.close()
    return latencies


async def ask_all(port: int, clients: int, requests: list[bytes], seconds: float) -> list[float]:
    """So many clients at once; the seconds of each answer."""
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(ask(port, number, requests, until) for number in range(clients))), [])


def serve_clients(connection: Any, port: int, requests: dict[str, list[bytes]], seconds: float) -> None:
    """Be the clients whenever the parent asks for them, until it asks no more."""
    while (asked := connection.recv()) is not None:
        kind, clients = asked
        connection.send(asyncio.run(ask_all(port, clients, requests[kind], seconds)))


def classify_here(predictor: Predictor, files: list[bytes], seconds: float) -> Round:
    """Decode and classify in this process, batch after batch."""
    clock, processor, done, latencies = time.monotonic(), time.process_time(), 0, []
    faces = predictor.description.faces
    while time.monotonic() < clock + seconds:
        start = time.monotonic()
        batch = [files[(done + number) % len(files)] for number in range(BATCH_SIZE)]
        predictor.predict([to_native(decode_image(data), faces.side, faces.colour) for data in batch])
        latencies.append(time.monotonic() - start)
        done += BATCH_SIZE
    return Round(done / (time.monotonic() - clock), done / (time.process_time() - processor), latencies)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.saturation", description=__doc__)
    parser.add_argument("--model", default=PRETRAINED, help="a run, a bundle, or the shipped model")
    parser.add_argument("--clients", type=int, default=32, help="with one picture a request")
    parser.add_argument("--archive-clients", type=int, default=4, help="with an archive a request")
    parser.add_argument("--side", type=int, default=96, help="width of the pictures, pixels")
    parser.add_argument("--format", choices=["png", "jpg"], default="jpg")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    files = encode_faces(2 * BATCH_SIZE, args.side, f".{args.format}")
    named = [(f"{number}.{args.format}", data) for number, data in enumerate(files)]
    picture_type = PNG if args.format == "png" else JPEG
    requests = {
        "single": [build_request(picture_type, data) for data in files],
        "archive": [build_request(TAR, pack_shard(named[start : start + BATCH_SIZE])) for start in (0, BATCH_SIZE)],
    }
    clients = {"single": (args.clients, 1), "archive": (args.archive_clients, BATCH_SIZE)}
    predictor = load_verified_predictor(args.model, None)
    rounds: dict[str, list[Round]] = {"in process": [], "single": [], "archive": []}
    with tempfile.TemporaryDirectory() as temporary, run_server(args.model, Path(temporary) / "log") as port:
        server = next(child for child in psutil.Process().children() if "fer.serving" in " ".join(child.cmdline()))
        connection, theirs = multiprocessing.get_context("spawn").Pipe()
        asking = multiprocessing.get_context("spawn").Process(
            target=serve_clients, args=(theirs, port, requests, args.seconds), daemon=True
        )
        asking.start()
        for _ in range(args.rounds + 1):
            rounds["in process"].append(classify_here(predictor, files, args.seconds))
            for kind, (count, images) in clients.items():
                before, clock = server.cpu_times(), time.monotonic()
                connection.send((kind, count))
                latencies = connection.recv()
                after, elapsed = server.cpu_times(), time.monotonic() - clock
                processor = after.user + after.system - before.user - before.system
                done = len(latencies) * images
                rounds[kind].append(Round(done / elapsed, done / processor, latencies))
        connection.send(None)
    # The first round warms up.
    rounds = {kind: measured[1:] for kind, measured in rounds.items()}
    batch_s = statistics.median(seconds for one in rounds["in process"] for seconds in one.latencies)
    print(f"a full batch of {BATCH_SIZE} in this process: {batch_s * 1000:.1f} ms")
    for kind, measured in rounds.items():
        clock = statistics.median(one.by_clock for one in measured)
        processor = statistics.median(one.by_processor for one in measured)
        print(f"{kind}: {clock:.0f} images/s, {processor:.0f} a processor second")
    for kind, (count, _) in clients.items():
        for name in ("by_clock", "by_processor"):
            pairs = ([getattr(one, name) for one in rounds[key]] for key in (kind, "in process"))
            print(f"{kind}, {count} clients, over in process, {name}: {describe_ratio(*pairs)}, aim {RATE_AIM}")
        beside = statistics.median(
            1000 / there.by_processor - 1000 / here.by_processor
            for there, here in zip(rounds[kind], rounds["in process"], strict=True)
        )
        print(f"{kind}: {beside:.2f} ms of the server's processor time a picture beside decoding and classifying it")
        p50, p99 = np.quantile([seconds for one in rounds[kind] for seconds in one.latencies], [0.5, 0.99]) / batch_s
        print(f"{kind}: an answer takes {p50:.2f} batches, 99th percentile {p99:.2f}, aim {P99_AIM}")


if __name__ == "__main__":
    main()
