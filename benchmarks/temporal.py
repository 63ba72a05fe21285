"""`python -m benchmarks.temporal`: how fast infer.py is with a temporal model, compared with its frame encoder alone.

A drawn clip, every frame of it, by the model of single faces and by temporal models whose frame encoder has the same
architecture. Both take turns for some rounds; ratios are taken within a round, and their medians are printed.

- pipeline: extraction and prediction, as infer.py does them
- classify: crops that are ready in memory, in tracks and to answers

All weights are random: the speed does not depend on them.
"""

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.speeds import compare_rates, describe_ratio
from fer.bundle.io import FaceFormat, build_description, save_bundle
from fer.bundle.predictor import Predictor
from fer.config import Config
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.infer.analysis import build_classifier, split_threads
from fer.infer.classify import write_chunks
from fer.infer.device import load_predictor
from fer.infer.extract import FaceExtractor, FrameFaces, VideoEnd
from fer.infer.inputs import MediaFetcher
from fer.infer.track_ids import TrackAssigner
from fer.models.clip_format import HEAD_KINDS, TemporalFormat
from fer.models.network import FaceNetwork
from fer.models.temporal_network import TemporalNetwork
from fer.synthetic.video import write_clip
from fer.train.reproducibility import set_threads
from fer.video.media import Media

FACTS = {"metrics": {}, "data_fingerprint": "0", "config_sha256": "0"}
FRAME = "frame"


def write_model(folder: Path, network: FaceNetwork | TemporalNetwork) -> Path:
    """Write a bundle with a network that nobody trained."""
    content = build_description(network, EMOTIONS, FaceFormat(48, False), 1.0, FACTS)
    save_bundle(folder, network.eval(), content)
    return folder


class Inference:
    """infer.py on one clip with one model, and its classification alone."""

    def __init__(self, clip: Path, config: Config, folder: Path) -> None:
        self.media = [Media(clip, clip.name, "video")]
        self.config, self.folder, self.runs = config, folder, count()
        detector_threads, classifier_threads = split_threads(config)
        self.extractor = FaceExtractor(
            config.extraction, folder, detector_threads, False, MediaFetcher(None, keep=False)
        )
        self.predictor: Predictor
        self.predictor, plan = load_predictor(str(config.model_uri), config.inference, classifier_threads)
        self.batch_size = plan.batch_size
        self.items = list(self.extractor.extract(self.media))

    def _write(self, items: Iterator[FrameFaces | VideoEnd]) -> int:
        assigner = TrackAssigner(self.folder / str(next(self.runs)), self.config.extraction.max_missed)
        classifier = build_classifier(self.predictor, self.batch_size, self.config, assigner)
        write_chunks(assigner, classifier.classify(items), self.predictor.columns)
        return len(self.items)

    def pipeline(self) -> int:
        """All that infer.py does with a video but its report; returns the frames."""
        self.extractor.run_directory = self.folder / str(next(self.runs))
        return self._write(self.extractor.extract(self.media))

    def classify(self) -> int:
        """Classification of faces that are found already; returns the frames."""
        fresh = (
            FrameFaces(item.video, item.chunk_index, [dict(row) for row in item.rows], item.crops)
            if isinstance(item, FrameFaces)
            else item
            for item in self.items
        )
        return self._write(fresh)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.temporal", description=__doc__)
    parser.add_argument("--architecture", default="mobilenetv2_100", help="of the frame model, and of the encoder")
    parser.add_argument("--image-size", type=int, default=96, help="side of its input, pixels")
    parser.add_argument("--heads", nargs="+", default=["gru"], choices=HEAD_KINDS)
    parser.add_argument("--position", default="causal", choices=["causal", "centred"])
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the drawn clip")
    parser.add_argument("--rounds", type=int, default=5, help="how often the models take turns")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = write_clip(folder / "drawn", seconds=args.seconds)
        shape = (args.architecture, len(EMOTIONS), args.image_size, 0.0)
        models = {FRAME: write_model(folder / FRAME, FaceNetwork(*shape))}
        for head in args.heads:
            window = TemporalFormat("temporal", 16, 0.125, args.position, head, hidden=128, layers=1)
            models[head] = write_model(folder / head, TemporalNetwork(*shape, window))
        runs = {}
        for name, model in models.items():
            overrides = ["extraction=haar", "extraction.sampling=all", "extraction.faces=all", f"model_uri={model}"]
            config = load_overrides(overrides, "infer")
            set_threads(config.trainer.threads)
            runs[name] = Inference(clip, config, folder / f"{name}-runs")
        for work in ("pipeline", "classify"):
            speeds = compare_rates(args.rounds, {name: partial(getattr(run, work)) for name, run in runs.items()})
            for name in args.heads:
                ratio = describe_ratio(speeds[name], speeds[FRAME])
                print(f"{work}: {name}, {args.position}, over the frame model: {ratio}, aim at least 0.8")


if __name__ == "__main__":
    main()
