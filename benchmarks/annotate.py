"""`python -m benchmarks.annotate`: pictures a second from drawn photographs to labels, against the stages alone.

Photographs of several people each are drawn, their faces extracted as a data set and labelled, by the programs as a
user starts them. Beside that: finding the faces alone and classifying them alone, with as many threads and without a
program around. Each program is also killed in the middle and resumed, and must leave the same bytes; and it runs on a
fifth of the photographs, which tells whether memory grows with their number. On a machine that others use, seconds of
the processor tell more than those of the clock.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer.bundle.locate import PRETRAINED
from fer.bundle.predictor import Predictor
from fer.config.compose import load_overrides
from fer.core.documents import read_json_object
from fer.core.image import to_bgr
from fer.core.image_decoding import decode_image
from fer.core.prefetch import map_in_threads
from fer.core.run_layout import FINAL_DATASET, LABEL_MONITOR_CSV, LABELS_TABLE, PROVENANCE_JSON
from fer.core.system import resolve_thread_count
from fer.emotions import EMOTIONS
from fer.runs.detector_choice import build_detector, pin_detector
from fer.synthetic import Identity, Scene, paste_face, sample_actions

WIDTH, HEIGHT = 500, 375  # as most photographs of Flickr30k
BATCH = 32
POLL_S = 0.05
LABEL_FILES = (f"{LABELS_TABLE}.parquet", f"{LABELS_TABLE}.csv", FINAL_DATASET, LABEL_MONITOR_CSV)


def draw_photograph(path: Path, seed: int) -> None:
    """Draw one to four people before a background of blurred noise."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(60, 220, (6, 8, 3)).astype(np.uint8)
    canvas = cv2.resize(colours, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    people = int(rng.integers(1, 5))
    for number in range(people):
        place = ((number + 0.5) * WIDTH / people, float(rng.uniform(0.4, 0.6)) * HEIGHT)
        actions = sample_actions(str(rng.choice(EMOTIONS)), 1.0, rng)
        paste_face(canvas, actions, Identity.sample(rng), Scene(), place, 0.9 * min(WIDTH / people, 0.6 * HEIGHT))
    path.write_bytes(cv2.imencode(".jpg", canvas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())


def read_clocks() -> np.ndarray:
    """Seconds (2,) of the clock, and of the processor: of this process and of programs that have ended."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


def run(arguments: list[str]) -> np.ndarray:
    """Seconds (2,) that a program takes."""
    start = read_clocks()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return read_clocks() - start


def kill_and_resume(arguments: list[str], resumed: list[str], begun: Callable[[], bool]) -> None:
    """Kill a program as soon as it has begun, and go on with it."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not begun() and process.poll() is None:
        time.sleep(POLL_S)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run(resumed)


def read_crops(run_directory: Path) -> dict[str, bytes]:
    """Every file of a data set of faces."""
    crops = run_directory / "crops"
    return {str(path.relative_to(crops)): path.read_bytes() for path in crops.rglob("*") if path.is_file()}


def extract_arguments(folder: Path, out: Path, options: list[str]) -> list[str]:
    """The command line that extracts the faces of a folder."""
    keys = ["extraction.save=dataset", "extraction.faces=all", "extraction.stages=[extract]"]
    return ["infer.py", f"extraction.input={folder}", *keys, f"hydra.run.dir={out}", *options]


def measure_detection(folder: Path, options: list[str], threads: int) -> np.ndarray:
    """Seconds (2,) in which pictures are decoded, and their faces found."""
    config, _ = pin_detector(load_overrides(options, "infer").extraction)
    cv2.setNumThreads(1)
    detectors = [build_detector(config) for _ in range(threads)]
    paths = sorted(folder.iterdir())
    workers = [lambda path, found=found: found.detect(to_bgr(decode_image(path.read_bytes()))) for found in detectors]
    start = read_clocks()
    for _ in map_in_threads(iter(paths), workers):
        pass
    return read_clocks() - start


def measure_classification(run_directory: Path, threads: int) -> np.ndarray:
    """Seconds (2,) in which faces are classified, without reading them."""
    predictor = Predictor.load(PRETRAINED, runtime="onnx", threads=threads)
    paths = sorted((run_directory / "crops").glob("*/*.png"))
    seconds = np.zeros(2)
    for place in range(0, len(paths), BATCH):
        faces = [decode_image(path.read_bytes()) for path in paths[place : place + BATCH]]
        start = read_clocks()
        predictor.predict(faces, BATCH)
        seconds += read_clocks() - start
    return seconds


def measure(count: int, options: list[str], place: Path) -> None:
    """Measure and print."""
    threads = resolve_thread_count(None)
    folders = {"whole": place / "photographs", "fifth": place / "fifth"}
    for folder in folders.values():
        folder.mkdir()
    for seed in range(count):
        draw_photograph(folders["whole"] / f"{seed:06d}.jpg", seed)
        if seed % 5 == 0:
            shutil.copy(folders["whole"] / f"{seed:06d}.jpg", folders["fifth"])
    seconds, memory = {}, {}
    for name, folder in folders.items():
        faces, labels = place / f"faces-{name}", place / f"labels-{name}"
        seconds[name] = (
            run(extract_arguments(folder, faces, options)),
            run(["-m", "fer.annotate", str(faces), f"hydra.run.dir={labels}"]),
        )
        memory[name] = [read_json_object(out / PROVENANCE_JSON)["peak_memory_mib"] for out in (faces, labels)]
    content = read_crops(place / "faces-whole")
    face_count = sum(name.endswith(".png") for name in content)
    extraction, annotation = seconds["whole"]
    detection = measure_detection(folders["whole"], options, threads)
    classification = measure_classification(place / "faces-whole", threads)
    slowest = np.maximum(detection, classification)
    print(f"{count} photographs, {face_count} faces, {threads} threads; pictures a second by clock, by processor:")
    for name, taken in (
        ("finding faces alone", detection),
        ("classifying alone", classification),
        ("extraction", extraction),
        ("annotation", annotation),
        ("both", extraction + annotation),
    ):
        rates, shares = count / taken, slowest / taken
        print(f"{name}: {rates[0]:.1f}, {rates[1]:.1f}; of the slowest stage alone {shares[0]:.2f}, {shares[1]:.2f}")
    for number, stage in enumerate(("extraction", "annotation")):
        print(f"{stage}: at most {memory['fifth'][number]} MiB for a fifth, {memory['whole'][number]} MiB for all")
    killed = place / "faces-killed"
    kill_and_resume(
        extract_arguments(folders["whole"], killed, options),
        ["infer.py", f"resume={killed}"],
        lambda: (killed / "parts" / f"{count // 2:05d}" / "video.json").is_file(),
    )
    print(f"extraction killed and resumed: {'the same' if read_crops(killed) == content else 'OTHER'} bytes")
    labels = place / "labels-killed"
    kill_and_resume(
        ["-m", "fer.annotate", str(place / "faces-whole"), f"hydra.run.dir={labels}"],
        ["-m", "fer.annotate", f"resume={labels}"],
        lambda: len(list((labels / "parts" / "batches").glob("*.parquet"))) > face_count // 512,
    )
    same = all((labels / name).read_bytes() == (place / "labels-whole" / name).read_bytes() for name in LABEL_FILES)
    print(f"annotation killed and resumed: {'the same' if same else 'OTHER'} bytes", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotate", description=__doc__)
    parser.add_argument("--pictures", type=int, default=5000, help="photographs that are drawn")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="such as extraction=haar")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        measure(arguments.pictures, arguments.options, Path(place))


if __name__ == "__main__":
    main()
