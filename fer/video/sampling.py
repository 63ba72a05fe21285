"""Which frames of a video are taken."""

import math


class Interval:
    """``fps`` frames a second: the first frame at or after k/fps for k = 0, 1, 2…, and no frame twice."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.due = 0

    def wanted(self, index: int, time_s: float) -> bool:
        # Matroska and FLV round timestamps to milliseconds: there, 0.033 s is the frame at 1/30 s. Timestamps of
        # finer clocks hit whole milliseconds only where they mean them; a microsecond covers floating-point noise.
        milliseconds = time_s * 1000
        slack_s = 0.0005 if abs(milliseconds - round(milliseconds)) < 0.001 else 0.000001
        if time_s + slack_s < self.due / self.fps:
            return False
        self.due = max(self.due, math.floor((time_s + slack_s) * self.fps)) + 1
        return True


class EveryN:
    """Every ``n``-th frame, the first included."""

    def __init__(self, n: int) -> None:
        self.n = n

    def wanted(self, index: int, time_s: float) -> bool:
        return index % self.n == 0


class All:
    """Every frame."""

    def wanted(self, index: int, time_s: float) -> bool:
        return True
