"""What a model of clips looks at, as its bundle states it; read without PyTorch."""

from dataclasses import dataclass
from typing import Literal

ClipKind = Literal["temporal", "video3d"]
HeadKind = Literal["mean", "gru", "lstm", "attention", "tcn"]
Position = Literal["causal", "centred"]
CLIP_KINDS: tuple[ClipKind, ...] = ("temporal", "video3d")
HEAD_KINDS: tuple[HeadKind, ...] = ("mean", "gru", "lstm", "attention", "tcn")
POSITIONS: tuple[Position, ...] = ("causal", "centred")
# torchvision's networks whose convolutions go through space and time.
VIDEO_ARCHITECTURES = ("r3d_18", "mc3_18", "r2plus1d_18")


@dataclass(frozen=True)
class TemporalFormat:
    """The windows of a model of clips, and what joins their frames.

    Args:
        kind: ``temporal``: features of frames and a head; ``video3d``: convolutions through space and time.
        length: Frames of a window, T.
        step_s: Seconds between them.
        position: Which frame of a window an answer is for: the last one (``causal``), or number T // 2 (``centred``).
        head: What joins the features of frames; None with ``video3d``, which has no further parts.
        hidden: Width of the head.
        layers: Layers of the head.
        gray: Whether the frame encoder sees colour pictures in gray, as those that it was trained on.
    """

    kind: ClipKind
    length: int
    step_s: float
    position: Position
    head: HeadKind | None = None
    hidden: int = 0
    layers: int = 0
    gray: bool = False

    @property
    def place(self) -> int:
        """Number of the frame that an answer is for, from 0."""
        return self.length - 1 if self.position == "causal" else self.length // 2
