"""`python -m benchmarks.transform`: face crops through the packaged model's server, in three ways.

Drawn faces, as PNG files, are classified by turns for some rounds: in this process (read, decoded, classified in
batches), through the server one request a face, one after the other, and through the server in shards, as batch
transform sends them. Ratios are taken within a round, and their medians are printed. All have the same number of
threads.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import httpx2
import numpy as np

from fer.bundle.locate import PRETRAINED, locate_model
from fer.bundle.predictor import Predictor
from fer.config.aws import LocalTransform
from fer.config.compose import load_overrides
from fer.core.system import resolve_thread_count
from fer.infer.saved_crops import read_crop
from fer.infer.transform.local import LocalBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES, pack, read_answers
from fer.registry.resolve import ResolvedModel, ensure_package
from fer.synthetic import draw_dataset_face

DIFFERENT_FACES = 200  # drawing takes longer than classifying


def write_crops(count: int, side: int, folder: Path) -> list[tuple[str, Path]]:
    """Sample ids and PNG files of drawn faces."""
    images = [draw_dataset_face(0, number, side).image[..., ::-1] for number in range(min(count, DIFFERENT_FACES))]
    crops = []
    for number in range(count):
        path = folder / f"{number:08d}.png"
        path.write_bytes(cv2.imencode(".png", images[number % len(images)])[1].tobytes())
        crops.append((f"{number:08d}", path))
    return crops


def measure_rate(work: Callable[[], None], count: int) -> float:
    """Images a second of work on ``count`` images."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transform", description=__doc__)
    parser.add_argument("--model", default=PRETRAINED, help="a run, or the shipped model")
    parser.add_argument("--crops", type=int, default=2000)
    parser.add_argument("--side", type=int, default=96, help="width of the crops, pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="batch size in this process")
    args = parser.parse_args()
    threads = resolve_thread_count(None)
    options = load_overrides([], "infer").aws.transform
    assert isinstance(options, LocalTransform)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "crops").mkdir()
        crops = write_crops(args.crops, args.side, folder / "crops")
        requests = pack(iter(crops), folder / "shards", "shard", options.shard_mb)
        package = ensure_package(ResolvedModel(locate_model(args.model)), folder / "model")
        predictor = Predictor.load(str(package / "bundle"), runtime="onnx", threads=threads)
        batch = LocalBatchTransform(package, options, threads, False, folder / "server.log")

        def in_process() -> None:
            images = [read_crop(path) for _, path in crops]
            expected.append(predictor.predict(images, batch_size=args.batch))

        def one_by_one() -> None:
            for _, path in crops:
                client.post(
                    "/invocations", content=path.read_bytes(), headers={"Content-Type": "image/png"}
                ).raise_for_status()

        def in_shards() -> None:
            batch.send_to(address, requests, CONTENT_TYPES["shard"])

        expected: list[np.ndarray] = []
        rates: dict[str, list[float]] = {"in process": [], "one by one": [], "in shards": []}
        with batch.run_server() as address, httpx2.Client(base_url=address, timeout=60) as client:
            for _ in range(args.rounds + 1):
                for name, work in zip(rates, (in_process, one_by_one, in_shards), strict=True):
                    rates[name].append(measure_rate(work, len(crops)))
        answers = {
            key: row for request in requests for key, row in (read_answers(request, predictor.classes) or {}).items()
        }
    rows = zip(crops, expected[-1], strict=True)
    difference = max(float(np.abs(answers[key] - row).max()) for (key, _), row in rows)
    # The first round warms up.
    rates = {name: values[1:] for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):.0f} images/s ({min(values):.0f}-{max(values):.0f})")
    for name in ("one by one", "in process"):
        ratios = [shards / other for shards, other in zip(rates["in shards"], rates[name], strict=True)]
        print(f"in shards over {name}: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    print(f"{len(requests)} shards; largest difference of a probability: {difference:.2g}")


if __name__ == "__main__":
    main()
