"""`python -m fer.privacy.blur CLIP`: a copy of a video or image in which nobody is recognised.

Every frame is looked at, not some of them. A face that is not found for up to two seconds is covered where it was
before and after, and half a second before it is found first and after it is found last. What covers it is one gray,
grown beyond the face, so that nothing of it is left to be computed back; then each frame is looked at again by two
detectors, and what they still take for a face is covered as well. In doubt a face is covered: look at the copy before
you pass it on.

The copy has the picture alone, upright, as H.264, with the times of the source. Left out are the sound (voices
identify people; --audio keep copies it as it is), and whatever else the source tells: place, device, date, subtitles,
chapters.
"""

import argparse
import logging
import sys
from collections.abc import Collection
from pathlib import Path

import cv2

from fer.config.compose import load_overrides
from fer.core.installation import format_documentation, get_program_name
from fer.core.io import atomic_write
from fer.core.system import resolve_thread_count
from fer.errors import DataError, ModelError, UserError
from fer.privacy.kept_faces import find_run_faces
from fer.runs.program import user_errors_to_exit_code
from fer.video.detectors.yunet import find_weights
from fer.video.encoding import CONTAINERS, Pacing, write_video
from fer.video.face_cover import CoverPlan, KnownFaces, iter_covered_frames, plan_cover
from fer.video.face_finder import FaceFinder
from fer.video.probe import VideoInfo, is_image, open_video

# Without a network nobody is to be kept waiting; the file has 233 kB.
_MAX_FETCH_SECONDS = 5.0
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
log = logging.getLogger(__name__)


def blur(
    clip: Path,
    out: Path | None = None,
    keep: Collection[int] = (),
    run: Path | None = None,
    keep_audio: bool = False,
    weights: Path | None = None,
) -> Path:
    """Write a copy of a video or image whose faces are covered.

    Args:
        clip: The video or image, which is not touched.
        out: The copy; None is CLIP-blurred beside it.
        keep: Persons whose faces stay: track ids of the run, or without one the numbers of persons, who are counted
            from 0 in the order in which they appear.
        run: A run of infer.py that has analysed ``clip``; without ``keep``, its most frequent face stays.
        keep_audio: Copy the sound.
        weights: YuNet's file; None takes the downloaded one, and Haar where there is none.

    Returns:
        The copy.

    Raises:
        UserError: Something that a user can correct.

    Examples:
        >>> blur(Path("session.mp4"), keep=[0])
        PosixPath('session-blurred.mp4')
    """
    info = open_video(clip)
    still = is_image(clip)
    out = _choose_output(clip, out, still)
    if keep_audio and still:
        raise DataError(f"{clip}: an image has no sound to be kept; leave --audio keep out")
    known: Collection[int] | KnownFaces = keep if run is None else find_run_faces(run, clip, keep)
    weights = _find_weights(weights)
    finders = [FaceFinder(weights) for _ in range(resolve_thread_count(None))]
    plan = plan_cover(clip, finders, known)
    if not plan.times:
        raise DataError(f"{clip}: no frame of it can be decoded, so nothing was written")
    if run is None and (missing := sorted(set(keep) - set(plan.tracks))):
        persons = ", ".join(f"person {track}" for track in plan.tracks) or "nobody"
        raise UserError(f"--keep {missing[0]}: there is no such person in {clip}; found: {persons}")
    frames = iter_covered_frames(clip, plan, finders, "Writing")
    with atomic_write(out) as temporary:
        if still:
            for frame in frames:
                assert frame.bgr is not None
                temporary.write_bytes(cv2.imencode(out.suffix.lower(), frame.bgr)[1].tobytes())
        else:
            write_video(frames, temporary, out.suffix.lower(), _find_pacing(info, plan), clip if keep_audio else None)
    _tell(clip, out, plan, info)
    return out


def _choose_output(clip: Path, out: Path | None, still: bool) -> Path:
    """Where the copy goes. Raises UserError for a place where something is already, and for a suffix of no use."""
    suffixes = _IMAGE_SUFFIXES if still else tuple(CONTAINERS)
    if out is None:
        suffix = clip.suffix if still and clip.suffix.lower() in suffixes else suffixes[0]
        out = clip.with_name(f"{clip.stem}-blurred{suffix}")
    if out.suffix.lower() not in suffixes:
        raise UserError(f"{out}: {'an image' if still else 'a video'} is written as {', '.join(suffixes)}; name one")
    if out.exists():
        raise UserError(f"{out}: is there already, and nothing is overwritten; name another file with -o")
    return out


def _find_weights(weights: Path | None) -> Path | None:
    if weights is not None:
        return find_weights(weights, weights.parent)
    try:
        cache = Path(load_overrides([], "infer").extraction.cache_dir)
        return find_weights(None, cache, max_seconds=_MAX_FETCH_SECONDS)
    except ModelError as error:
        log.warning(
            "Faces are found by Haar, which overlooks those that are turned or partly hidden, because %s. Name YuNet's "
            "file with --weights, or look at every second of the copy",
            str(error).partition(";")[0],
        )
        return None


def _find_pacing(info: VideoInfo, plan: CoverPlan) -> Pacing:
    last, end_s = plan.times[-1], info.start_s + info.duration_s
    # A file that is cut off, or silent about it, is taken to show the last frame as long as others.
    return Pacing(tuple(plan.times), end_s if last < end_s else last + (1 / info.fps if info.fps else 0.04))


def _tell(clip: Path, out: Path, plan: CoverPlan, info: VideoInfo) -> None:
    print(f"{out}: faces are covered in {len(plan.hidden)} of {len(plan.times)} frames; {clip} is as it was")
    for track, frames in plan.tracks.items():
        print(f"person {track}: in {_count(frames)}")
    if not plan.tracks:
        print("Nobody was found")
    if plan.lost:
        print(f"Left out, because they cannot be decoded: {_count(plan.lost)}")


def _count(frames: int) -> str:
    return f"{frames} frame{'s' * (frames != 1)}"


def main() -> int:
    """Cover the faces of the clip that the command line names."""
    parser = argparse.ArgumentParser(
        prog=get_program_name("python -m fer.privacy.blur"),
        description=format_documentation(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a video or an image; it is not touched")
    parser.add_argument("-o", "--out", type=Path, help="the copy, .mp4, .mov or .mkv (default: CLIP-blurred.mp4)")
    parser.add_argument(
        "--keep",
        type=int,
        action="append",
        default=[],
        metavar="TRACK",
        help="this person's face stays; may be given again",
    )
    parser.add_argument(
        "--run",
        type=Path,
        help="a run of infer.py on CLIP: TRACK is a track_id of it; without --keep its most frequent face stays",
    )
    parser.add_argument(
        "--audio", choices=("drop", "keep"), default="drop", help="voices identify people (default: drop)"
    )
    parser.add_argument("--weights", type=Path, help="YuNet's file (default: the downloaded one)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with user_errors_to_exit_code():
        blur(args.clip, args.out, args.keep, args.run, args.audio == "keep", args.weights)
    return 0


if __name__ == "__main__":
    sys.exit(main())
