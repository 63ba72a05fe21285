"""`python -m benchmarks.transform --model RUN`: face crops through the packaged model's server, in three ways.

Drawn faces, as PNG files, are judged by turns for some rounds: in this process (read, decoded, judged in batches),
through the server one request a face, one after the other, and through the server in shards, as batch transform sends
them. Ratios are taken within a round, and their medians are printed. All have the same number of threads.
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

from fer.config.aws import LocalTransform
from fer.config.compose import load_overrides
from fer.core.system import resolve_thread_count
from fer.infer.classify import read_crop
from fer.infer.transform.local import LocalBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES, pack, read_answers
from fer.registry.resolve import ResolvedModel, ensure_package
from fer.serving import Predictor
from fer.synthetic import draw_dataset_face

DRAWN = 200  # different faces; drawing takes longer than judging


def drawn_crops(count: int, side: int, folder: Path) -> list[tuple[str, Path]]:
    """Sample ids and PNG files of drawn faces."""
    pictures = [draw_dataset_face(0, number, side).image[..., ::-1] for number in range(min(count, DRAWN))]
    found = []
    for number in range(count):
        path = folder / f"{number:08d}.png"
        path.write_bytes(cv2.imencode(".png", pictures[number % len(pictures)])[1].tobytes())
        found.append((f"{number:08d}", path))
    return found


def rate(work: Callable[[], None], count: int) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transform", description=__doc__)
    parser.add_argument("--model", required=True, help="run directory of a trained model")
    parser.add_argument("--crops", type=int, default=2000)
    parser.add_argument("--side", type=int, default=96, help="width of the crops, pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="batch size in this process")
    chosen = parser.parse_args()
    threads = resolve_thread_count(None)
    options = load_overrides([], "infer").aws.transform
    assert isinstance(options, LocalTransform)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        (place / "crops").mkdir()
        crops = drawn_crops(chosen.crops, chosen.side, place / "crops")
        requests = pack(iter(crops), place / "shards", "shard", options.shard_mb)
        package = ensure_package(ResolvedModel(Path(chosen.model)), place / "model")
        predictor = Predictor.load(str(package / "bundle"), runtime="onnx", threads=threads)
        batch = LocalBatchTransform(package, options, threads, False, place / "server.log")

        def in_process() -> None:
            pictures = [read_crop(path) for _, path in crops]
            wanted.append(predictor.predict(pictures, batch_size=chosen.batch))

        def one_by_one() -> None:
            for _, path in crops:
                client.post(
                    "/invocations", content=path.read_bytes(), headers={"Content-Type": "image/png"}
                ).raise_for_status()

        def in_shards() -> None:
            batch.send_to(address, requests, CONTENT_TYPES["shard"])

        wanted: list[np.ndarray] = []
        rates: dict[str, list[float]] = {"in process": [], "one by one": [], "in shards": []}
        with batch.run_server() as address, httpx2.Client(base_url=address, timeout=60) as client:
            for _ in range(chosen.rounds + 1):
                for name, work in zip(rates, (in_process, one_by_one, in_shards), strict=True):
                    rates[name].append(rate(work, len(crops)))
        found = {
            key: row for request in requests for key, row in (read_answers(request, predictor.classes) or {}).items()
        }
    difference = max(float(np.abs(found[key] - wanted[-1][place]).max()) for place, (key, _) in enumerate(crops))
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
