"""`python -m benchmarks.annotate`: pictures a second from drawn photographs to labels, against the stages alone.

Photographs of several people each are drawn, their faces extracted as a data set and labelled, by the programs as a
user starts them. Beside that: what each program must do for a picture alone, with as many threads and without a program
around: decoding and finding faces; that, cutting them out and encoding them; decoding and classifying them. Each
program is also killed in the middle and resumed, and must leave the same bytes; and it runs on a fifth of the
photographs, which tells whether memory grows with their number. On a machine that others use, seconds of the processor
tell more than those of the clock.
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
from concurrent.futures import ProcessPoolExecutor
from functools import partial
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
from fer.video.crop import crop_face
from fer.video.detectors import Detector, Face

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


def measure_detection(folder: Path, options: list[str], threads: int) -> dict[str, np.ndarray]:
    """Seconds (2,) in which pictures are decoded and their faces found; and also cut out and encoded."""
    config, _ = pin_detector(load_overrides(options, "infer").extraction)
    cv2.setNumThreads(1)
    detectors = [build_detector(config) for _ in range(threads)]
    margin = getattr(config.detector, "margin", None)

    def find(detector: Detector, path: Path) -> tuple[np.ndarray, list[Face]]:
        bgr = to_bgr(decode_image(path.read_bytes()))
        return bgr, detector.detect(bgr)

    def cut(detector: Detector, path: Path) -> None:
        bgr, faces = find(detector, path)
        for face in faces:
            crop = crop_face(bgr, face, detector.margin if margin is None else margin)
            cv2.imencode(".png", crop[..., ::-1])

    seconds = {}
    for name, work in (("finding faces alone", find), ("finding, cutting out and encoding them alone", cut)):
        start = read_clocks()
        for _ in map_in_threads(iter(sorted(folder.iterdir())), [partial(work, detector) for detector in detectors]):
            pass
        seconds[name] = read_clocks() - start
    return seconds


def measure_classification(run_directory: Path, threads: int) -> np.ndarray:
    """Seconds (2,) in which faces are decoded and classified."""
    predictor = Predictor.load(PRETRAINED, runtime="onnx", threads=threads)
    paths = sorted((run_directory / "crops").glob("*/*.png"))
    start = read_clocks()
    for place in range(0, len(paths), BATCH):
        predictor.predict([decode_image(path.read_bytes()) for path in paths[place : place + BATCH]], BATCH)
    return read_clocks() - start


def draw_photographs(count: int, place: Path) -> dict[str, Path]:
    """The folders of all photographs and of a fifth of them."""
    folders = {"fifth": place / "fifth", "whole": place / "photographs"}
    for folder in folders.values():
        folder.mkdir()
    paths = [folders["whole"] / f"{seed:06d}.jpg" for seed in range(count)]
    with ProcessPoolExecutor(resolve_thread_count(None)) as pool:
        # Errors of the processes are raised here.
        list(pool.map(draw_photograph, paths, range(count), chunksize=50))
    for path in paths[::5]:
        shutil.copy(path, folders["fifth"])
    return folders


def measure_rates(folders: dict[str, Path], options: list[str], place: Path) -> None:
    """Measure and print rates and memory; the stages alone have a fifth of the photographs."""
    threads, counts = (
        resolve_thread_count(None),
        {name: len(list(folder.iterdir())) for name, folder in folders.items()},
    )
    for name, folder in folders.items():
        faces, labels = place / f"faces-{name}", place / f"labels-{name}"
        taken = {
            "extraction": run(extract_arguments(folder, faces, options)),
            "annotation": run(["-m", "fer.annotate", str(faces), f"hydra.run.dir={labels}"]),
        }
        memory = [read_json_object(out / PROVENANCE_JSON)["peak_memory_mib"] for out in (faces, labels)]
        face_count = len(list(faces.glob("crops/*/*.png")))
        print(f"{counts[name]} photographs, {face_count} faces, {threads} threads: memory of extraction and annotation")
        print(f"  {memory[0]} MiB, {memory[1]} MiB", flush=True)
    # Last, as the memory of this program would be taken for that of a program it starts.
    detection = measure_detection(folders["fifth"], options, threads)
    classification = {"decoding and classifying alone": measure_classification(place / "faces-fifth", threads)}
    print("pictures a second by clock, by processor:")
    for program, stages in (("extraction", detection), ("annotation", classification)):
        rate = counts["whole"] / taken[program]
        print(f"{program}: {rate[0]:.1f}, {rate[1]:.1f}")
        for stage, seconds in stages.items():
            alone = counts["fifth"] / seconds
            share = rate[1] / alone[1]
            print(f"  {stage}: {alone[0]:.1f}, {alone[1]:.1f}, of which {program} by processor {share:.2f}", flush=True)


def check_resumed(folder: Path, options: list[str], place: Path) -> None:
    """Kill each program in the middle, go on with it, and print whether it leaves the same bytes."""
    faces, killed = place / "faces-whole", place / "faces-killed"
    content = read_crops(faces)
    middle = sum(1 for _ in folder.iterdir()) // 2
    kill_and_resume(
        extract_arguments(folder, killed, options),
        ["infer.py", f"resume={killed}"],
        lambda: (killed / "parts" / f"{middle:05d}" / "video.json").is_file(),
    )
    same = read_crops(killed) == content
    print(f"extraction killed and resumed: {'the same' if same else 'OTHER'} bytes", flush=True)
    whole, labels = place / "labels-whole", place / "labels-killed"
    batches = len(list((whole / "parts" / "batches").glob("*.parquet")))
    kill_and_resume(
        ["-m", "fer.annotate", str(faces), f"hydra.run.dir={labels}"],
        ["-m", "fer.annotate", f"resume={labels}"],
        lambda: len(list((labels / "parts" / "batches").glob("*.parquet"))) > batches // 2,
    )
    same = all((labels / name).read_bytes() == (whole / name).read_bytes() for name in LABEL_FILES)
    print(f"annotation killed and resumed: {'the same' if same else 'OTHER'} bytes", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotate", description=__doc__)
    parser.add_argument("--pictures", type=int, default=5000, help="photographs that are drawn")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="such as extraction=haar")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = draw_photographs(arguments.pictures, Path(name))
        measure_rates(folders, arguments.options, Path(name))
        check_resumed(folders["whole"], arguments.options, Path(name))


if __name__ == "__main__":
    main()
