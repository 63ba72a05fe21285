"""`python -m benchmarks.image_folder`: infer.py on a folder of face images, against decoding and classifying alone.

Processor seconds of an image, user and system together: of infer.py the difference between a folder of many and one of
few, so that its start does not count; alone, of reading, decoding and classifying the same files in this process. Both
take turns with one thread each, and ratios are taken within a round.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.speeds import describe_ratio
from benchmarks.starts import measure_cpu_seconds
from benchmarks.transform import write_crops
from fer.bundle.locate import PRETRAINED
from fer.bundle.verification import load_verified_predictor
from fer.core.image_decoding import decode_image
from fer.core.installation import PROJECT_ROOT
from fer.infer.device import CPU_BATCH

FEW, SIDE = 100, 96


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.image_folder", description=__doc__)
    parser.add_argument("--model", default=PRETRAINED, help="a run, a bundle, or the shipped model")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    predictor = load_verified_predictor(args.model, 1)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for count in (FEW, args.images):
            (root / str(count)).mkdir()
        write_crops(FEW, SIDE, root / str(FEW))
        files = [path for _, path in write_crops(args.images, SIDE, root / str(args.images))]

        def measure_program(count: int) -> float:
            folder = root / str(count)
            options = (f"extraction.input={folder}", "extraction=none", f"model_uri={args.model}", "trainer.threads=1")
            return measure_cpu_seconds(PROJECT_ROOT, root, str(PROJECT_ROOT / "infer.py"), *options)

        def measure_alone() -> float:
            start = time.process_time()
            for first in range(0, len(files), CPU_BATCH):
                predictor.predict([decode_image(file.read_bytes()) for file in files[first : first + CPU_BATCH]])
            return time.process_time() - start

        program, alone = list[float](), list[float]()
        for _ in range(args.rounds):
            program.append((args.images - FEW) / (measure_program(args.images) - measure_program(FEW)))
            alone.append(args.images / measure_alone())
            print(f"images a processor second: infer.py {program[-1]:.0f}, alone {alone[-1]:.0f}", flush=True)
    print(f"infer.py over decoding and classifying alone: {describe_ratio(program, alone)}, aim 0.9")


if __name__ == "__main__":
    main()
