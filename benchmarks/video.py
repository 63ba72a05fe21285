"""`python -m benchmarks.video --model RUN --yunet FILE CLIP…`: how fast infer.py goes through videos.

Everything takes turns for some rounds; ratios are taken within a round, and their medians are printed.

- pipeline: extraction and prediction of all frames (and of one a second), as infer.py does them
- stages: decoding, detection and judging, each alone on what the one before left in memory
- bare: OpenCV's `grab` for every frame and `retrieve` for the sampled ones, nothing else
- plain loop: what people write; every frame decoded beforehand, YuNet on the whole frame, PyTorch in batches of 32
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch

from fer.config import Config
from fer.config.load import load_overrides
from fer.determinism import set_threads
from fer.extraction import VideoFaces, sampling_of
from fer.inference import Judging
from fer.model.bundle import load_bundle
from fer.parts import Parts
from fer.serving import Predictor
from fer.video.ahead import ahead
from fer.video.crop import crop_face
from fer.video.decode import Frame, sampled_frames
from fer.video.media import Media

PLAIN_BATCH = 32


def timed(work: Callable[[], int]) -> float:
    """Items a second of ``work``, which returns how many it did."""
    start = time.perf_counter()
    items = work()
    return items / (time.perf_counter() - start)


class Clip:
    """The pipeline over one clip and its stages apart, each a function that returns the sampled frames."""

    def __init__(self, path: Path, config: Config, predictor: Predictor, yunet: Path, folder: Path) -> None:
        self.path, self.config, self.folder = path, config, folder
        self.bundle = load_bundle(str(config.model_uri))
        self.faces = VideoFaces(config.extraction, folder)
        self.whole_frame = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), 0.7)
        self.runs = count()
        self.frames = [frame.bgr for frame in self.sampled() if frame.bgr is not None]
        self.found = [self.faces.detector.detect(bgr)[:1] for bgr in self.frames]
        self.crops = [
            crop_face(bgr, face, self.faces.margin, self.faces.align)
            for bgr, faces in zip(self.frames, self.found, strict=True)
            for face in faces
        ]
        self.judging = Judging(predictor, config.inference.batch_size, config.inference.flip, folder)

    def sampled(self) -> Iterator[Frame]:
        return sampled_frames(self.path, sampling_of(self.config.extraction, self.path))

    def pipeline(self) -> int:
        number = next(self.runs)
        pieces = ahead(self.faces.pieces_of(number, Media(self.path, self.path.name, "video")), 2)
        self.judging.judge(pieces)
        return int(Parts.of(self.folder, number).read()["frame"].nunique())

    def decode(self) -> int:
        return sum(1 for _ in self.sampled())

    def detect(self) -> int:
        for bgr in self.frames:
            self.faces.detector.detect(bgr)
        return len(self.frames)

    def judge(self) -> int:
        self.judging.probabilities(self.crops)
        return len(self.frames)

    def bare(self) -> int:
        """Sampling by the frame's time as infer.py does it, but no thread, no timestamps to check, no faces."""
        sampling, done = sampling_of(self.config.extraction, self.path), 0
        capture = cv2.VideoCapture(str(self.path))
        for index in count():
            if not capture.grab():
                break
            if sampling.wanted(index, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000):
                capture.retrieve()
                done += 1
        capture.release()
        return done

    def plain_loop(self) -> int:
        capture = cv2.VideoCapture(str(self.path))
        frames = []
        while True:
            read, bgr = capture.read()
            if not read:
                break
            frames.append(bgr)
        capture.release()
        crops = []
        for bgr in frames:
            self.whole_frame.setInputSize(bgr.shape[1::-1])
            found = self.whole_frame.detect(bgr)[1]
            if found is not None:
                x, y, width, height = (max(int(value), 0) for value in found[0][:4])
                crops.append(cv2.cvtColor(bgr[y : y + height, x : x + width], cv2.COLOR_BGR2RGB))
        network, faces = self.bundle.network, self.bundle.description.faces
        native = [
            cv2.resize(crop if faces.colour else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (faces.side,) * 2)
            for crop in crops
        ]
        with torch.inference_mode():
            for start in range(0, len(native), PLAIN_BATCH):
                batch = np.stack(native[start : start + PLAIN_BATCH])
                network(torch.from_numpy(batch.reshape(len(batch), faces.side, faces.side, -1))).softmax(1)
        self.plain_faces = len(crops)
        return len(frames)


def compared(rounds: int, works: dict[str, Callable[[], int]]) -> dict[str, list[float]]:
    """Speeds of works that take turns; the first round warms up and is not counted."""
    speeds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            speed = timed(work)
            if turn:
                speeds[name].append(speed)
    return speeds


def ratio(one: list[float], other: list[float]) -> str:
    values = [a / b for a, b in zip(one, other, strict=True)]
    return f"median {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def runtimes(model: str, crops: list[np.ndarray], rounds: int) -> None:
    """Images a second of both runtimes, one at a time and 32 at a time."""
    images = (crops * (128 // len(crops) + 1))[:128]
    works: dict[str, Callable[[], int]] = {}
    for runtime in ("torch", "onnx"):
        predictor = Predictor.load(model, runtime=runtime)
        for batch in (1, 32):

            def work(predictor: Predictor = predictor, batch: int = batch) -> int:
                return len(predictor.predict(images, batch_size=batch))

            works[f"{runtime}, batch {batch}"] = work
    speeds = compared(rounds, works)
    for name, values in speeds.items():
        print(f"  {name}: median {statistics.median(values):.0f} images/s")
    for batch in (1, 32):
        onnx, eager = speeds[f"onnx, batch {batch}"], speeds[f"torch, batch {batch}"]
        print(f"  onnx over torch, batch {batch}: {ratio(onnx, eager)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.video", description=__doc__)
    parser.add_argument("--model", required=True, help="run directory of a trained model")
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--rounds", type=int, default=5, help="how often the works take turns")
    parser.add_argument("clips", nargs="+", type=Path)
    chosen = parser.parse_args()
    base = ["extraction=yunet", f"extraction.detector.weights={chosen.yunet}", f"model_uri={chosen.model}"]
    predictor = Predictor.load(chosen.model, runtime="onnx")
    with tempfile.TemporaryDirectory() as temporary:
        for path in chosen.clips:
            for sampling in (["extraction.sampling=all"], ["extraction.sampling=interval", "extraction.fps=1"]):
                config = load_overrides([*base, *sampling], "infer")
                set_threads(config.trainer.threads)
                clip = Clip(path, config, predictor, chosen.yunet, Path(temporary) / path.stem / sampling[0][-3:])
                works = {name: getattr(clip, name) for name in ("pipeline", "decode", "detect", "judge", "bare")}
                every_frame = config.extraction.sampling == "all"
                if every_frame:
                    works["plain_loop"] = clip.plain_loop
                speeds = compared(chosen.rounds, works)
                print(f"{path.name}, {config.extraction.sampling}: {len(clip.frames)} frames, {len(clip.crops)} faces")
                for name, values in speeds.items():
                    print(f"  {name}: median {statistics.median(values):.1f} frames/s")
                slowest = min(("decode", "detect", "judge"), key=lambda name: statistics.median(speeds[name]))
                shown = ratio(speeds["pipeline"], speeds[slowest])
                print(f"  pipeline over {slowest}, the slowest stage: {shown}, aim at least 0.85")
                print(f"  decode over bare: {ratio(speeds['decode'], speeds['bare'])}, aim at least 0.95")
                if every_frame:
                    print(
                        f"  pipeline over plain loop: {ratio(speeds['pipeline'], speeds['plain_loop'])}, aim at least 2"
                    )
                    print(f"  faces: {len(clip.crops)}, plain loop {clip.plain_faces}")
        if clip.crops:
            runtimes(chosen.model, clip.crops, chosen.rounds)


if __name__ == "__main__":
    main()
