"""Cut points of a stimulus: a scene from each cut in its video to the next."""

from pathlib import Path

from fer.config.study import Scene
from fer.video.reader import VideoInfo, open_video
from fer.video.sampling import find_cuts


def find_scenes(source: Path | VideoInfo) -> tuple[Scene, ...]:
    """Find the scenes of a video by PySceneDetect.

    Args:
        source: The video, which is read once.

    Returns:
        The scenes in their order, called `scene 1`, `scene 2`…, without a gap from the first frame to the end; one for
        a video without a cut, none where no frame can be decoded.

    Raises:
        VideoError: The video cannot be read.
    """
    info = source if isinstance(source, VideoInfo) else open_video(source)
    starts, times = find_cuts(info)
    if not times:
        return ()
    last = max(times)
    end_s = max(times[last] + 1 / (info.fps or 25.0), info.start_s + info.duration_s)
    # Times of the frames themselves: where their rate changes, a frame's number does not tell when it is shown.
    edges = sorted({round(times[start], 3) for start in (min(times), *starts) if start in times})
    return tuple(
        Scene(name=f"scene {number}", start_s=start, end_s=stop)
        for number, (start, stop) in enumerate(zip(edges, [*edges[1:], round(end_s, 3)], strict=True), 1)
    )
