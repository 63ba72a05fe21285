"""Whole frames from interlaced ones, whose odd and even lines were filmed one after the other."""

import av
from av.filter import Graph
from av.video.frame import VideoFrame


def deinterlace(
    previous: VideoFrame | None, frame: VideoFrame, following: VideoFrame | None, threads: int = 0
) -> VideoFrame:
    """Keep the field of a frame that was filmed first, and fill the lines between, as players do (yadif).

    Args:
        previous: The frame shown before, if any.
        frame: The interlaced frame.
        following: The frame shown after, if any.
        threads: Threads of the filter; 0 for as many as there are cores.

    Returns:
        A progressive frame, or the frame as it is where no filter knows its format.
    """
    before = [previous] if previous is not None and _is_alike(previous, frame) else []
    after = following if following is not None and _is_alike(following, frame) else frame
    try:
        graph = _build_graph(frame, threads)
        for item in (*before, frame, after):
            graph.push(item)
        # The filter lags by one frame, so the last to come out is the middle one.
        for _ in before:
            graph.vpull()
        return graph.vpull()
    except av.FFmpegError:
        return frame


def _is_alike(one: VideoFrame, other: VideoFrame) -> bool:
    return (one.width, one.height, one.format.name) == (other.width, other.height, other.format.name)


def _build_graph(frame: VideoFrame, threads: int) -> Graph:
    graph = Graph()
    graph.threads = threads
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("yadif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph
