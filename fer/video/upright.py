"""From a decoded frame to the picture that a player shows: square pixels, upright, not mirrored, BGR."""

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from fer.core.transparency import lay_on_white
from fer.video.tone_mapping import is_hdr, map_tones

_UNSPECIFIED_COLORSPACE = 2


@dataclass(frozen=True)
class Orientation:
    """How a stored picture becomes upright: rows and columns swapped first, then mirrored.

    Attributes:
        transposed: Rows become columns.
        flip_x: Left and right change places.
        flip_y: Top and bottom change places.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees (0, 90, 180 or 270), clockwise; of a mirrored picture after left and right were changed."""
        if self.transposed:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The upright image of a stored one."""
        if self.transposed:
            image = cv2.transpose(image)
        if self.flip_x or self.flip_y:
            image = cv2.flip(image, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return image


def read_orientation(frame: VideoFrame) -> Orientation:
    """The orientation that the display matrix of a frame asks for, to the nearest quarter turn."""
    try:
        data = cast("SideDataContainer", frame.side_data)["DISPLAYMATRIX"]
    except KeyError:
        return Orientation()
    except ValueError:
        # PyAV refuses all side data where it does not know one of them; a mirror is lost, a turn is not.
        return _TURNS[round(-frame.rotation / 90) % 4]
    # Nine 32-bit numbers by rows, a point being a row: x' = a x + c y, y' = b x + d y.
    a, b, _, c, d = (int(number) for number in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


_TURNS = (Orientation(), Orientation(True, True, False), Orientation(False, True, True), Orientation(True, False, True))


def compute_square_width(frame: VideoFrame, aspect: Fraction) -> int:
    """Width of a stored frame once its pixels, ``aspect`` times as wide as high, are square."""
    return max(1, round(frame.width * aspect))


def compute_shown_size(frame: VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """(width, height) of the picture that a player shows."""
    size = compute_square_width(frame, aspect), frame.height
    return size[::-1] if read_orientation(frame).transposed else size


class FrameConverter:
    """Converts the frames of one video.

    Args:
        threads: Threads for one frame; 0 for as many as there are cores.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._reformatter = VideoReformatter()

    def convert(self, frame: VideoFrame, aspect: Fraction, orientation: Orientation) -> np.ndarray:
        """Convert a progressive frame to what a player shows.

        Args:
            frame: As it was decoded or deinterlaced.
            aspect: Width of its pixels over their height.
            orientation: How it becomes upright.

        Returns:
            (height, width, 3) uint8 BGR, on white where it is transparent; HDR in the range of an ordinary screen.

        Raises:
            av.FFmpegError: There is no way to convert the frame.
        """
        width = compute_square_width(frame, aspect)
        try:
            bgr = self._to_bgr(frame, width)
        except av.FFmpegError:
            # A matrix of colours that FFmpeg knows by name only, or that no standard has.
            frame.colorspace = _UNSPECIFIED_COLORSPACE
            bgr = self._to_bgr(frame, width)
        return orientation.apply(bgr)

    def _to_bgr(self, frame: VideoFrame, width: int) -> np.ndarray:
        is_wide = is_hdr(frame)
        if is_wide or _has_alpha(frame.format):
            layers = self._reformat(frame, frame.width, "rgba64le" if is_wide else "bgra")
            layers = map_tones(layers, frame.color_trc) if is_wide else layers
            bgr = lay_on_white(layers[..., :3], layers[..., 3])
            if width == frame.width:
                return bgr
            frame = VideoFrame.from_ndarray(bgr, "bgr24")
        return self._reformat(frame, width, "bgr24")

    def _reformat(self, frame: VideoFrame, width: int, pixels: str) -> np.ndarray:
        converted = self._reformatter.reformat(
            frame, width=width, format=pixels, interpolation=Interpolation.BICUBIC, threads=self.threads
        )
        return converted.to_ndarray()


def _has_alpha(pixels: VideoFormat) -> bool:
    """Whether pixels can be transparent; those of a palette can."""
    return pixels.has_palette or any(component.is_alpha for component in pixels.components)
