"""`python -m benchmarks.video --model RUN --yunet FILE CLIP…`: how fast infer.py goes through videos.

Everything takes turns for some rounds; ratios are taken within a round, and their medians are printed.

- pipeline: extraction and prediction of all frames, and of one a second, as infer.py does them
- decode, detect, judge: its stages, each alone, on what the one before left in memory
- extract: sampled frames alone; bare: OpenCV's `grab` for every frame and `retrieve` for the sampled ones, no more
- plain loop: what people write; every frame decoded beforehand, YuNet on the whole frame, PyTorch in batches of 32
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from fer.bundle.io import load_bundle
from fer.config import Config
from fer.config.compose import load_overrides
from fer.infer.classify import BatchClassifier, get_crops, write_chunks
from fer.infer.extract import FaceExtractor, SampledFrame, build_sampler
from fer.infer.inputs import MediaFetcher
from fer.infer.stages import split_threads
from fer.infer.track_ids import TrackAssigner
from fer.serving import Predictor
from fer.train.reproducibility import set_threads
from fer.video.detectors import Face
from fer.video.media import Media
from fer.video.reader import Frame, iter_frames, open_video

PLAIN_BATCH = 32


def timed(work: Callable[[], int]) -> float:
    """Items a second of ``work``, which returns how many it did."""
    start = time.perf_counter()
    items = work()
    return items / (time.perf_counter() - start)


class Clip:
    """The pipeline over one clip and its stages apart, each a function that returns the sampled frames."""

    def __init__(self, path: Path, config: Config, yunet: Path, folder: Path) -> None:
        self.path, self.config, self.folder = path, config, folder
        self.bundle = load_bundle(str(config.model_uri))
        detecting, judging = split_threads(config)
        self.faces = FaceExtractor(config.extraction, folder, detecting, False, MediaFetcher(None, False))
        self.predictor = Predictor.load(str(config.model_uri), runtime=config.inference.runtime, threads=judging)
        self.judging = BatchClassifier(self.predictor, config.inference.batch_size, config.inference.flip)
        self.whole_frame = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), 0.7)
        self.runs = count()
        self.taken = [SampledFrame(0, path.name, 0, frame) for frame in self.sampled()]
        seen = self.faces.to_rows(self.faces.detect_faces(iter(self.taken)))
        self.crops = [crop for item in seen for crop in get_crops(item)]

    def sampled(self) -> Iterator[Frame]:
        return self.faces.decode_frames(open_video(self.path))

    def boxes(self) -> list[list[Face]]:
        return [faces for _, faces in self.faces.detect_faces(iter(self.taken))]

    def pipeline(self) -> int:
        """All that infer.py does with a video but its report."""
        self.faces.run_directory = self.folder / str(next(self.runs))
        following = TrackAssigner(self.faces.run_directory, self.config.extraction.max_missed)
        seen = self.faces.extract([Media(self.path, self.path.name, "video")])
        write_chunks(following, self.judging.classify(seen), self.predictor.classes)
        return len(self.taken)

    def decode(self) -> int:
        """As in the pipeline, where small frames leave the other cores to the detector."""
        return sum(1 for _ in self.sampled())

    def extract(self) -> int:
        """Frames alone, for who wants nothing else: FFmpeg has all cores."""
        return sum(1 for _ in iter_frames(self.path, build_sampler(self.config.extraction, self.path)))

    def detect(self) -> int:
        return len(self.boxes())

    def judge(self) -> int:
        self.judging.predict_probabilities(self.crops)
        return len(self.taken)

    def bare(self) -> int:
        """Sampling by the frame's time as infer.py does it, but no thread, no timestamps to check, no faces."""
        sampling, done = build_sampler(self.config.extraction, self.path), 0
        capture = cv2.VideoCapture(str(self.path))
        for index in count():
            if not capture.grab():
                break
            if sampling.should_sample(index, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000):
                capture.retrieve()
                done += 1
        capture.release()
        return done

    def plain_loop(self) -> int:
        # As OpenCV comes: all threads on one frame.
        cv2.setNumThreads(-1)
        capture = cv2.VideoCapture(str(self.path))
        frames = []
        while True:
            read, bgr = capture.read()
            if not read:
                break
            frames.append(bgr)
        capture.release()
        crops = []
        self.plain_boxes = []
        for bgr in frames:
            self.whole_frame.setInputSize(bgr.shape[1::-1])
            found = self.whole_frame.detect(bgr)[1]
            self.plain_boxes.append([] if found is None else [found[0][:4]])
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
        cv2.setNumThreads(1)
        return len(frames)

    def same_faces(self) -> str:
        """In how many frames either way finds a face, and in how many the boxes share half of their union."""
        ours, theirs = self.boxes(), self.plain_boxes
        shared = sum(
            overlap((face.x, face.y, face.width, face.height), box) >= 0.5
            for faces, boxes in zip(ours, theirs, strict=True)
            for face, box in zip(faces[:1], boxes, strict=False)
        )
        return f"{sum(map(bool, ours))}, plain loop {sum(map(bool, theirs))}, the same face in {shared}"


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def compared(rounds: int, works: dict[str, Callable[[], int]]) -> dict[str, list[float]]:
    """Speeds of works that take turns; the first round warms up and is not counted."""
    speeds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            speed = timed(work)
            if turn:
                speeds[name].append(speed)
    return speeds


def repeated(clip: Path, times: int, folder: Path) -> Path:
    """A video as long as the clip so many times one after the other, nothing decoded anew."""
    path = folder / clip.name
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        stamps = [packet.dts for packet in source.demux(stream) if packet.dts is not None]
        length = stamps[-1] + stamps[1] - 2 * stamps[0]
        for turn in range(times):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue  # the empty packet at the end
                packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                packet.stream = copy
                target.mux(packet)
    return path


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
    parser.add_argument("--repeat", type=int, default=1, help="for one frame a second, clips so many times in a row")
    parser.add_argument("clips", nargs="+", type=Path)
    chosen = parser.parse_args()
    base = ["extraction=yunet", f"extraction.detector.weights={chosen.yunet}", f"model_uri={chosen.model}"]
    with tempfile.TemporaryDirectory() as temporary:
        for original in chosen.clips:
            for sampling in (["extraction.sampling=all"], ["extraction.sampling=interval", "extraction.fps=1"]):
                config = load_overrides([*base, *sampling], "infer")
                every_frame = config.extraction.sampling == "all"
                path = original if every_frame else repeated(original, chosen.repeat, Path(temporary))
                set_threads(config.trainer.threads)
                clip = Clip(path, config, chosen.yunet, Path(temporary) / original.stem / sampling[0][-3:])
                works = {
                    name: getattr(clip, name) for name in ("pipeline", "decode", "detect", "judge", "extract", "bare")
                }
                if every_frame:
                    works["plain_loop"] = clip.plain_loop
                speeds = compared(chosen.rounds, works)
                print(f"{path.name}, {config.extraction.sampling}: {len(clip.taken)} frames, {len(clip.crops)} faces")
                for name, values in speeds.items():
                    print(f"  {name}: median {statistics.median(values):.1f} frames/s")
                slowest = min(("decode", "detect", "judge"), key=lambda name: statistics.median(speeds[name]))
                shown = ratio(speeds["pipeline"], speeds[slowest])
                print(f"  pipeline over {slowest}, the slowest stage: {shown}, aim at least 0.85")
                print(f"  extract over bare: {ratio(speeds['extract'], speeds['bare'])}, aim at least 0.95")
                if every_frame:
                    print(
                        f"  pipeline over plain loop: {ratio(speeds['pipeline'], speeds['plain_loop'])}, aim at least 2"
                    )
                    print(f"  frames with a face: {clip.same_faces()}")
        if clip.crops:
            runtimes(chosen.model, clip.crops, chosen.rounds)


if __name__ == "__main__":
    main()
