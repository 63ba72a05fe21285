"""The sampled frames of one video or image, opened once where that suffices."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fer.config import Extraction
from fer.core.image import to_bgr
from fer.video.reader import Frame, VideoInfo, iter_frames, open_for_reading
from fer.video.sampling import SAMPLING
from fer.video.small_still import decode_small_still

SMALL_FRAME_PIXELS = 640 * 480


@contextmanager
def open_sampled_frames(
    config: Extraction, path: Path, is_image: bool = False, last: int = -1
) -> Iterator[tuple[VideoInfo, Iterable[Frame]]]:
    """Open a file for as long as the block lasts.

    Args:
        config: Section `extraction`.
        path: The file.
        is_image: Whether it is most likely a small image.
        last: Frames up to this one are known already.

    Yields:
        What the file declares, and its sampled frames behind ``last``, decoded ahead.

    Raises:
        VideoError: No frame will come out of it.
    """
    if is_image and (still := decode_small_still(path)) is not None:
        info, pixels = still
        # The one frame of an image is sampled in any way.
        yield info, [Frame(0, 0.0, to_bgr(pixels))]
        return
    with open_for_reading(path, _choose_decoder_threads) as video:
        sampler = SAMPLING[config.sampling].make(config, video.info)
        yield video.info, iter_frames(video, sampler, after=last)


def _choose_decoder_threads(pixels: int) -> int | None:
    """Small frames decode faster than their faces are found, and each thread more would cost the detector time."""
    return 1 if pixels <= SMALL_FRAME_PIXELS else None
