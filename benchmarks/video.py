"""`python -m benchmarks.video --model RUN --yunet FILE CLIP…`: how fast infer.py goes through videos.

Everything takes turns for some rounds; ratios are taken within a round, and their medians are printed. Beside the clock
stands the processor time, which other programs on the machine change less.

- pipeline: extraction and prediction of all frames, and of one a second, as infer.py does them
- decode, detect, cut, classify: its stages, each alone, on what the one before left in memory
- extract: sampled frames alone; bare: OpenCV's `grab` for every frame and `retrieve` for the sampled ones, no more
- plain loop: what people write; every frame decoded beforehand, YuNet on the whole frame, PyTorch in batches of 32
- fer: the package of that name on PyPI, once, in an environment of its own (see benchmarks/fer_package.py)
"""

import argparse
import gc
import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from benchmarks.speeds import Speed, compare_speeds, describe_speed_ratio
from fer.bundle.io import load_bundle
from fer.config import Config
from fer.config.compose import load_overrides
from fer.infer.analysis import split_threads
from fer.infer.classify import BatchClassifier, get_crops, write_chunks
from fer.infer.device import load_predictor
from fer.infer.extract import FaceExtractor, SampledFrame
from fer.infer.inputs import MediaFetcher
from fer.infer.sampled_frames import open_sampled_frames
from fer.infer.track_ids import TrackAssigner
from fer.train.reproducibility import set_threads
from fer.video.detectors import Face
from fer.video.media import Media
from fer.video.reader import Frame, FrameSampler, iter_frames
from fer.video.sampling import SAMPLING

PLAIN_BATCH = 32
STAGES = ("decode", "detect", "cut", "classify")


class Clip:
    """The pipeline over one clip and its stages apart, each a function that returns the sampled frames."""

    def __init__(self, path: Path, config: Config, yunet: Path, folder: Path) -> None:
        self.path, self.config, self.folder = path, config, folder
        self.bundle = load_bundle(str(config.model_uri))
        detector_threads, classifier_threads = split_threads(config)
        fetcher = MediaFetcher(None, keep=False)
        self.extractor = FaceExtractor(config.extraction, folder, detector_threads, False, fetcher)
        self.predictor, plan = load_predictor(str(config.model_uri), config.inference, classifier_threads)
        self.classifier = BatchClassifier(self.predictor, plan.batch_size, config.inference.flip)
        self.whole_frame = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), 0.7)
        self.runs = count()
        self.frames = [SampledFrame(0, path.name, 0, frame) for frame in self._decode_frames()]
        self.found = list(self.extractor.detect_faces(iter(self.frames)))
        self.crops = [crop for item in self.extractor.to_rows(iter(self.found)) for crop in get_crops(item)]

    def _decode_frames(self) -> Iterator[Frame]:
        with open_sampled_frames(self.config.extraction, self.path) as (_, frames):
            yield from frames

    def _detect_boxes(self) -> list[list[Face]]:
        return [faces for _, faces in self.extractor.detect_faces(iter(self.frames))]

    def _make_sampler(self) -> FrameSampler:
        cfg = self.config.extraction
        return SAMPLING[cfg.sampling].make(cfg, self.path)

    def pipeline(self) -> int:
        """All that infer.py does with a video but its report."""
        self.extractor.run_directory = self.folder / str(next(self.runs))
        assigner = TrackAssigner(self.extractor.run_directory, self.config.extraction.max_missed)
        items = self.extractor.extract([Media(self.path, self.path.name, "video")])
        classified = self.classifier.classify(items)
        write_chunks(assigner, classified, self.predictor.columns, self.config.extraction.smoothing)
        return len(self.frames)

    def decode(self) -> int:
        """Decoding as in the pipeline, where small frames leave the other cores to the detector."""
        return sum(1 for _ in self._decode_frames())

    def extract(self) -> int:
        """Frames alone, for who wants nothing else: FFmpeg has all cores."""
        return sum(1 for _ in iter_frames(self.path, self._make_sampler()))

    def detect(self) -> int:
        """Detection in the decoded frames."""
        return len(self._detect_boxes())

    def cut(self) -> int:
        """Crops, their quality, and rows."""
        return sum(1 for _ in self.extractor.to_rows(iter(self.found)))

    def classify(self) -> int:
        """Classification of the crops."""
        self.classifier.predict_probabilities(self.crops)
        return len(self.frames)

    def bare(self) -> int:
        """Sampling by the frame's time as infer.py does it, but no thread, no timestamps to check, no faces."""
        sampler, sampled = self._make_sampler(), 0
        capture = cv2.VideoCapture(str(self.path))
        for index in count():
            if not capture.grab():
                break
            if sampler.should_sample(index, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000):
                capture.retrieve()
                sampled += 1
        capture.release()
        return sampled

    def plain_loop(self) -> int:
        """The loop that people write."""
        # As OpenCV comes: all threads on one frame.
        cv2.setNumThreads(-1)
        capture = cv2.VideoCapture(str(self.path))
        frames = []
        while True:
            decoded, bgr = capture.read()
            if not decoded:
                break
            frames.append(bgr)
        capture.release()
        crops = []
        self.plain_boxes = []
        for bgr in frames:
            self.whole_frame.setInputSize(bgr.shape[1::-1])
            faces = self.whole_frame.detect(bgr)[1]
            self.plain_boxes.append([] if faces is None else [faces[0][:4]])
            if faces is not None:
                x, y, width, height = (max(int(value), 0) for value in faces[0][:4])
                crops.append(cv2.cvtColor(bgr[y : y + height, x : x + width], cv2.COLOR_BGR2RGB))
        network, native_format = self.bundle.network, self.bundle.description.faces
        native = [
            cv2.resize(
                crop if native_format.colour else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (native_format.side,) * 2
            )
            for crop in crops
        ]
        with torch.inference_mode():
            for start in range(0, len(native), PLAIN_BATCH):
                batch = np.stack(native[start : start + PLAIN_BATCH])
                network(
                    torch.from_numpy(batch.reshape(len(batch), native_format.side, native_format.side, -1))
                ).softmax(1)
        cv2.setNumThreads(1)
        return len(frames)

    def describe_agreement(self) -> str:
        """In how many frames either way finds a face, and in how many the boxes share half of their union."""
        ours, theirs = self._detect_boxes(), self.plain_boxes
        same = sum(
            compute_iou((face.x, face.y, face.width, face.height), box) >= 0.5
            for faces, boxes in zip(ours, theirs, strict=True)
            for face, box in zip(faces[:1], boxes, strict=False)
        )
        return f"{sum(map(bool, ours))}, plain loop {sum(map(bool, theirs))}, the same face in {same}"


def compute_iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    intersection = max(across, 0.0) * max(down, 0.0)
    return intersection / (one[2] * one[3] + other[2] * other[3] - intersection)


def repeat_clip(clip: Path, times: int, folder: Path) -> Path:
    """Write a video of the clip so many times one after the other, without encoding it again."""
    path = folder / clip.name
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        stamps = [packet.dts for packet in source.demux(stream) if packet.dts is not None]
        length = stamps[-1] + stamps[1] - 2 * stamps[0]
        for number in range(times):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue  # the empty packet at the end
                packet.pts, packet.dts = packet.pts + number * length, packet.dts + number * length
                packet.stream = copy
                target.mux(packet)
    return path


def print_package(python: Path, clip: Clip, pipeline: list[Speed]) -> None:
    """Let the package fer go over the clip once, and print its speeds beside the pipeline's."""
    script = Path(__file__).with_name("fer_package.py")
    done = subprocess.run([python, script, clip.path], stdout=subprocess.PIPE, text=True, check=True)
    for facts in map(json.loads, done.stdout.splitlines()):
        rate = statistics.median(speed.rate for speed in pipeline) / facts["frames_per_second"]
        processor = facts["processor_ms"] / statistics.median(speed.processor_ms for speed in pipeline)
        print(
            f"  pipeline over {facts['package']}, {facts['detector']}: {rate:.1f}, by processor time {processor:.1f}, "
            f"aim at least 8 ({facts['frames_per_second']:.1f} frames/s, {facts['processor_ms']:.1f} ms a frame)"
        )


def print_clip(clip: Clip, rounds: int, fer_python: Path | None) -> None:
    """Let the works on one clip take turns, and print their rates and ratios."""
    # As the programs do it after their imports.
    gc.collect()
    gc.freeze()
    every_frame = clip.config.extraction.sampling == "all"
    names = ["pipeline", *STAGES, "extract", "bare", *(["plain_loop"] if every_frame else [])]
    speeds = compare_speeds(rounds, {name: getattr(clip, name) for name in names})
    print(f"{clip.path.name}, {clip.config.extraction.sampling}: {len(clip.frames)} frames, {len(clip.crops)} faces")
    for name, values in speeds.items():
        rate, processor_ms = (
            statistics.median(getattr(value, key) for value in values) for key in Speed.__annotations__
        )
        print(f"  {name}: median {rate:.1f} frames/s, {processor_ms:.2f} ms of processor time a frame")
    slowest = min(STAGES, key=lambda name: statistics.median(value.rate for value in speeds[name]))
    over_slowest = describe_speed_ratio(speeds["pipeline"], speeds[slowest])
    print(f"  pipeline over {slowest}, the slowest stage: {over_slowest}, aim at least 0.9 by the clock")
    shares = [
        speed.processor_ms / sum(speeds[stage][index].processor_ms for stage in STAGES)
        for index, speed in enumerate(speeds["pipeline"])
    ]
    print(f"  processor time of the pipeline over that of its stages alone: median {statistics.median(shares):.3f}")
    print(f"  extract over bare: {describe_speed_ratio(speeds['extract'], speeds['bare'])}, aim at least 0.97")
    if every_frame:
        over_plain_loop = describe_speed_ratio(speeds["pipeline"], speeds["plain_loop"])
        print(f"  pipeline over plain loop: {over_plain_loop}, aim at least 4")
        print(f"  frames with a face: {clip.describe_agreement()}")
        if fer_python is not None:
            print_package(fer_python, clip, speeds["pipeline"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.video", description=__doc__)
    parser.add_argument("--model", required=True, help="run directory of a trained model")
    parser.add_argument("--yunet", type=Path, required=True, help="YuNet's ONNX file")
    parser.add_argument("--rounds", type=int, default=5, help="how often the works take turns")
    parser.add_argument("--repeat", type=int, default=1, help="for one frame a second, clips so many times in a row")
    parser.add_argument("--runtime", default="auto", help="extraction.detector.runtime of the pipeline")
    parser.add_argument("--fer-python", type=Path, help="Python of an environment with PyPI's package fer")
    parser.add_argument("clips", nargs="+", type=Path)
    args = parser.parse_args()
    base = ["extraction=yunet", f"extraction.detector.weights={args.yunet}", f"model_uri={args.model}"]
    base.append(f"extraction.detector.runtime={args.runtime}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for original in args.clips:
            for sampling in (["extraction.sampling=all"], ["extraction.sampling=interval", "extraction.fps=1"]):
                config = load_overrides([*base, *sampling], "infer")
                set_threads(config.trainer.threads)
                kind = config.extraction.sampling
                path = original if kind == "all" else repeat_clip(original, args.repeat, folder)
                clip = Clip(path, config, args.yunet, folder / original.stem / kind)
                print_clip(clip, args.rounds, args.fer_python)


if __name__ == "__main__":
    main()
