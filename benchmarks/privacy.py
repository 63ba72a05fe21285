"""`python -m benchmarks.privacy CLIP…`: in how many frames detectors find a face before and after `fer.privacy blur`.

Beside it: how long covering takes, and how much the picture changes where no face was.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from fer.privacy.blur import blur
from fer.video.detectors import Detector, make_detector
from fer.video.reader import iter_frames, open_video
from fer.video.sampling import AllFramesSampler


def count_found(path: Path, detectors: dict[str, Detector], step: int) -> tuple[int, dict[str, int]]:
    """How many frames were looked at, and in how many of them each detector finds something."""
    frames, found = 0, dict.fromkeys(detectors, 0)
    for frame in iter_frames(path, AllFramesSampler()):
        if frame.bgr is None or frame.index % step:
            continue
        frames += 1
        for name, detector in detectors.items():
            found[name] += bool(detector.detect(frame.bgr))
    return frames, found


def compute_unchanged_psnr(before: Path, after: Path) -> float:
    """Median over frames of the PSNR of the pixels that are not covered, dB."""
    ratios = []
    pairs = zip(*(iter_frames(path, AllFramesSampler()) for path in (before, after)), strict=True)
    for first, second in pairs:
        if first.bgr is None or second.bgr is None:
            continue
        away = np.abs(second.bgr.astype(float) - 127).max(2) > 12
        error = np.square(first.bgr.astype(float) - second.bgr)[away].mean()
        ratios.append(10 * np.log10(255**2 / max(error, 1e-9)))
    return float(np.median(ratios))


def main() -> None:
    """Print a row a clip."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.privacy", description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, required=True, help="YuNet's file")
    parser.add_argument("--step", type=int, default=1, help="look at every STEPth frame alone")
    args = parser.parse_args()
    detectors = {
        "YuNet": make_detector("yunet", weights=args.weights),
        "YuNet, sensitive": make_detector("yunet", weights=args.weights, min_score=0.5, min_size=16, every_face=True),
        "Haar": make_detector("haar"),
    }
    print(f"| clip | frames | {' | '.join(detectors)} | seconds of covering per second of video | PSNR elsewhere, dB |")
    for clip in args.clips:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            copy = blur(clip, Path(folder) / "copy.mp4", weights=args.weights)
            seconds = (time.monotonic() - start) / open_video(clip).duration_s
            frames, before = count_found(clip, detectors, args.step)
            after = count_found(copy, detectors, args.step)[1]
            counts = " | ".join(f"{before[name]} -> {after[name]}" for name in detectors)
            psnr = compute_unchanged_psnr(clip, copy)
            print(f"| {clip.name} | {frames} | {counts} | {seconds:.1f} | {psnr:.1f} |", flush=True)


if __name__ == "__main__":
    main()
