"""`python -m benchmarks.inputs`: how far decoded videos are from what an independent decoder, ffmpeg, makes of them.

A short video of each kind is drawn and encoded, and read as infer.py reads it. The program `ffmpeg` decodes the same
file, deinterlaced, upright and with square pixels, and `ffprobe` tells the times. Prints the table of
docs/reference/inputs.md: frames, largest difference of a pixel and largest mean of a frame in grey levels of 255, and
largest difference of times. Where the installed ffmpeg cannot decode a kind, the comparison is with the drawing itself.
Frames that damage has cost are not compared.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.filter import Graph
from av.video.stream import VideoStream
from PIL import Image

from fer.errors import UserError
from fer.video.reader import Frame, iter_frames
from fer.video.sampling import AllFramesSampler

COUNT, RATE, SIZE = 25, 25, (320, 240)
UNIT = 1 << 16
# a, b, c, d of x' = a x + c y, y' = b x + d y.
ORIENTATIONS = {
    "upright": (1, 0, 0, 1),
    "turned 90°": (0, 1, -1, 0),
    "turned 180°": (-1, 0, 0, -1),
    "turned 270°": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "mirrored, upside down": (1, 0, 0, -1),
    "mirrored, turned 90°": (0, -1, -1, 0),
    "mirrored, turned 270°": (0, 1, 1, 0),
}
X264 = {"preset": "ultrafast", "crf": "18"}
FIELDS = {"flags": "+ildct+ilme"}
VP9 = {"cpu-used": "8", "deadline": "realtime"}
SHOWN = "scale=trunc(iw*sar+0.5):ih,setsar=1"


def draw(number: float, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) uint8 BGR: smooth waves of colour that move, with no symmetry."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]] / np.array(size[::-1]).reshape(2, 1, 1)
    waves = [x + number / 25, y - number / 40, x * y + 0.3 * x + number / 30]
    return np.stack([128 + 90 * np.sin(2 * np.pi * wave) for wave in waves], -1).astype(np.uint8)


def draw_interlaced(number: int, size: tuple[int, int], order: str) -> np.ndarray:
    """Two moments in one picture, line by line."""
    picture, later = draw(number, size), draw(number + 0.5, size)
    second = 1 if order == "tff" else 0
    picture[second::2] = later[second::2]
    return picture


def encode(
    path: Path,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    order: str = "",
    aspect: Fraction | None = None,
    orientation: str = "",
    stamps: Sequence[int] | None = None,
    sound: bool = False,
    extra_size: tuple[int, int] | None = None,
    muxing: dict[str, str] | None = None,
) -> None:
    """Write a video; ``order`` is that of its fields, ``extra_size`` the size of a stream before the default one."""
    container_format = "mpegts" if path.suffix in (".mts", ".ts") else None
    with av.open(str(path), "w", format=container_format, container_options=muxing or {}) as container:
        streams: list[VideoStream] = []
        for width, height in filter(None, [extra_size, size]):
            coding = options or (X264 if codec == "libx264" else {})
            stream = cast(VideoStream, container.add_stream(codec, rate=RATE, options=coding))
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            streams.append(stream)
        if extra_size:
            streams[0].disposition, streams[1].disposition = av.stream.Disposition(0), av.stream.Disposition.default
        if aspect:
            streams[-1].codec_context.sample_aspect_ratio = aspect
        if orientation:
            a, b, c, d = (UNIT * value for value in ORIENTATIONS[orientation])
            streams[-1].set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if sound:
            _encode_silence(container)
        for number, stamp in enumerate(stamps or range(COUNT)):
            for stream in streams:
                shape = stream.width, stream.height
                picture = draw_interlaced(number, shape, order) if order else draw(number, shape)
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=pix_fmt)
                frame.pts, frame.time_base = stamp, Fraction(1, RATE)
                container.mux(stream.encode(_flag_fields(frame, order) if order else frame))
        for stream in streams:
            container.mux(stream.encode(None))


def _encode_silence(container: Any) -> None:
    stream = container.add_stream("mp2", rate=48_000)
    for number in range(40):
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), format="s16", layout="stereo")
        silence.sample_rate, silence.pts, silence.time_base = 48_000, number * 1152, Fraction(1, 48_000)
        container.mux(stream.encode(silence))


def _flag_fields(frame: av.VideoFrame, order: str) -> av.VideoFrame:
    graph = Graph()
    width, height, time_base = frame.width, frame.height, frame.time_base
    source = graph.add_buffer(width=width, height=height, format=frame.format, time_base=time_base)
    graph.link_nodes(source, graph.add("setfield", order), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def animate(path: Path, **options: Any) -> None:
    """Write an animated picture with Pillow."""
    first, *others = [Image.fromarray(draw(number, SIZE)[..., ::-1]) for number in range(COUNT)]
    first.save(path, save_all=True, append_images=others, duration=1000 // RATE, **options)


def change_size(path: Path) -> None:
    """Write a transport stream whose pictures get larger."""
    parts = []
    for number, size in enumerate([SIZE, (480, 240)]):
        part = path.with_name(f"part{number}.ts")
        encode(part, size=size, stamps=range(number * COUNT, (number + 1) * COUNT))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))


def truncate(path: Path) -> None:
    """Write a video and cut a third of it off."""
    encode(path, options={**X264, "g": "5"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@dataclass(frozen=True)
class Kind:
    """A kind of video: the name of a file of it, what writes that, and what the other decoder must know."""

    file: str
    write: Callable[[Path], None]
    is_interlaced: bool = False
    stream: int = 0


UNEVEN = np.cumsum([0, *np.random.default_rng(7).integers(1, 9, COUNT - 1)]).tolist()
AS_IT_IS = {"avoid_negative_ts": "disabled"}
KINDS = {
    "H.264, progressive": Kind("a.mp4", encode),
    "H.264, interlaced": Kind("a.mp4", partial(encode, options={**X264, **FIELDS}, order="tff"), True),
    "MPEG-2, interlaced": Kind(
        "a.mpg", partial(encode, codec="mpeg2video", options={**FIELDS, "qmax": "4"}, order="tff"), True
    ),
    "DV, PAL": Kind(
        "a.dv", partial(encode, codec="dvvideo", size=(720, 576), order="bff", aspect=Fraction(16, 15)), True
    ),
    "1080i MTS": Kind("a.mts", partial(encode, options={**X264, **FIELDS}, size=(1920, 1080), order="tff"), True),
    "HEVC": Kind("a.mp4", partial(encode, codec="libx265", options={"x265-params": "log-level=none"})),
    "HEVC, 10 bit": Kind(
        "a.mp4",
        partial(encode, codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": "log-level=none"}),
    ),
    "VP9 with alpha": Kind("a.webm", partial(encode, codec="libvpx-vp9", pix_fmt="yuva420p", options=VP9)),
    "AV1": Kind("a.mp4", partial(encode, codec="libsvtav1", options={"preset": "12"})),
    "MJPEG": Kind("a.avi", partial(encode, codec="mjpeg", pix_fmt="yuvj420p")),
    "ProRes 4444 with alpha": Kind("a.mov", partial(encode, codec="prores_ks", pix_fmt="yuva444p10le")),
    "GIF": Kind("a.gif", animate),
    "WebP, animated": Kind("a.webp", partial(animate, lossless=True)),
    "APNG": Kind("a.png", animate),
    **{f"H.264, {way}": Kind("a.mov", partial(encode, orientation=way)) for way in ORIENTATIONS},
    "pixels 4:3 (HDV)": Kind("a.mp4", partial(encode, size=(1440, 1080), aspect=Fraction(4, 3))),
    "pixels 64:45 (DV, 16:9)": Kind("a.mp4", partial(encode, size=(720, 576), aspect=Fraction(64, 45))),
    "pixels 8:9 (NTSC)": Kind("a.mp4", partial(encode, size=(720, 480), aspect=Fraction(8, 9))),
    "variable rate": Kind("a.mkv", partial(encode, stamps=UNEVEN)),
    "late start": Kind("a.mp4", partial(encode, stamps=range(15, 15 + COUNT), sound=True)),
    "negative start, MP4": Kind("a.mp4", partial(encode, stamps=range(-10, COUNT - 10), sound=True, muxing=AS_IT_IS)),
    "negative start, Matroska": Kind(
        "a.mkv", partial(encode, stamps=range(-10, COUNT - 10), sound=True, muxing=AS_IT_IS)
    ),
    "negative start, MPEG-TS": Kind(
        "a.ts", partial(encode, stamps=range(-10, COUNT - 10), sound=True, muxing=AS_IT_IS)
    ),
    "clock that wraps, MPEG-TS": Kind(
        "a.ts", partial(encode, stamps=range(2**33 // 3600 - 10, 2**33 // 3600 - 10 + COUNT))
    ),
    "two streams, the second default": Kind("a.mkv", partial(encode, extra_size=(640, 480)), stream=1),
    "size changes": Kind("a.ts", change_size),
    "truncated": Kind("a.mkv", truncate),
}


@dataclass(frozen=True)
class Difference:
    """What one kind gave: pixels in grey levels, times in milliseconds (None where nothing else tells them)."""

    frames: int
    largest: int
    mean: float
    time_ms: float | None
    truth: str


def decode_with_ffmpeg(path: Path, frames: Sequence[Frame], is_interlaced: bool) -> Iterator[np.ndarray]:
    """Pictures as ffmpeg shows them, each of the size of the frame of the same number."""
    filters = f"yadif=deint=interlaced,{SHOWN}" if is_interlaced else SHOWN
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", filters, "-an", "-fps_mode", "passthrough"]
    raw = subprocess.run([*command, "-autoscale", "0", "-pix_fmt", "bgr24", "-f", "rawvideo", "-"], capture_output=True)
    data, position = np.frombuffer(raw.stdout, np.uint8), 0
    shapes = {frame.index: frame.bgr.shape for frame in frames if frame.bgr is not None}
    for index in range(max(shapes) + 1):
        shape = shapes.get(index, shapes[min(shapes)])
        size = int(np.prod(shape))
        if position + size > len(data):
            return
        yield data[position : position + size].reshape(shape)
        position += size


def read_times(path: Path, stream: int) -> list[float | None]:
    """Seconds on the player's clock of each frame, as ffprobe has them."""
    command = ["ffprobe", "-v", "error", "-of", "json", "-select_streams", str(stream), "-show_entries"]
    entries = "frame=best_effort_timestamp_time:format=start_time"
    told = json.loads(subprocess.run([*command, entries, str(path)], capture_output=True).stdout)
    zero = float(told["format"].get("start_time", 0))
    stamps = [frame.get("best_effort_timestamp_time") for frame in told["frames"]]
    return [None if stamp is None else float(stamp) - zero for stamp in stamps]


def measure(path: Path, kind: Kind) -> Difference:
    """Compare what the reader gives with what ffmpeg gives, or with the drawing."""
    frames = [frame for frame in iter_frames(path, AllFramesSampler()) if frame.bgr is not None]
    pictures, truth = list(decode_with_ffmpeg(path, frames, kind.is_interlaced)), "ffmpeg"
    times = read_times(path, kind.stream)
    if not pictures:
        pictures, truth = [draw(number, SIZE) for number in range(COUNT)], "drawing"
        times = [number / RATE for number in range(COUNT)]
    differences = [
        np.abs(frame.bgr.astype(int) - pictures[frame.index])
        for frame in frames
        if frame.bgr is not None and frame.index < len(pictures)
    ]
    if len(differences) != len(frames):
        raise UserError(f"{path}: {len(frames)} frames, ffmpeg has {len(pictures)} pictures")
    known = [(frame.time_s, times[frame.index]) for frame in frames if frame.index < len(times)]
    off = [abs(ours - theirs) * 1000 for ours, theirs in known if theirs is not None]
    largest, mean = max(int(item.max()) for item in differences), max(float(item.mean()) for item in differences)
    return Difference(len(frames), largest, mean, max(off) if off else None, truth)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inputs", description=__doc__)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    args = parser.parse_args()
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        raise SystemExit("the programs ffmpeg and ffprobe are needed to compare with: install FFmpeg")
    print("| kind | file | frames | largest | mean | time, ms | compared with |")
    print("| --- " * 7 + "|")
    for name, kind in KINDS.items():
        if args.only in name:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / kind.file
                kind.write(path)
                found = measure(path, kind)
            time_ms = "–" if found.time_ms is None else f"{found.time_ms:.3f}"
            cells = (name, path.suffix, found.frames, found.largest, f"{found.mean:.3f}", time_ms, found.truth)
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
