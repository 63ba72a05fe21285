"""How many sampled frames a run has, for what is shown of its progress."""

import math
from collections.abc import Sequence

from fer.config import Extraction
from fer.infer.extract import FrameFaces, VideoEnd
from fer.video.media import Media
from fer.video.reader import VideoError, open_video
from fer.video.sampling import SAMPLING


def estimate_frames(config: Extraction, media: Sequence[Media]) -> int:
    """About how many frames will be sampled, for the time that is left; unreadable videos count as none."""
    total = 0.0
    for item in media:
        if item.kind == "image":
            total += 1
            continue
        try:
            total += SAMPLING[config.sampling].estimate(config, open_video(item.path))
        except VideoError:
            continue
    return math.ceil(total)


def count_frames(item: FrameFaces | VideoEnd) -> int:
    """Sampled frames of an item."""
    if not isinstance(item, FrameFaces) or item.is_context:
        return 0
    return len({row["frame"] for row in item.rows})
