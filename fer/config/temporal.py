"""Section `model.temporal`: what a model of clips looks at, and how it joins frames in time."""

from typing import Literal

from pydantic import Field

from fer.config.base import Fraction, Section

ModelKind = Literal["frame", "embedding_head", "temporal", "video3d"]
CLIP_MODEL_KINDS = ("temporal", "video3d")
# torchvision's networks whose convolutions go through space and time.
VIDEO_ARCHITECTURES = ("r3d_18", "mc3_18", "r2plus1d_18")
MAX_LENGTH, MAX_STEP_S = 64, 10.0


class Temporal(Section):
    """What models of clips look at: windows of frames on a regular grid of times, and what joins their frames."""

    head: Literal["mean", "gru", "lstm", "attention", "tcn"] = Field(
        "gru",
        description="What joins the features of a window's frames: their `mean`, a recurrent `gru` or `lstm`, "
        "`attention` (a transformer encoder over time) or `tcn` (dilated convolutions over time); video3d has none",
    )
    length: int = Field(16, ge=1, le=MAX_LENGTH, description="Frames of a window")
    step_s: float = Field(0.125, ge=0.001, le=MAX_STEP_S, description="Seconds between the frames of a window")
    hidden: int = Field(
        128, ge=8, le=2048, multiple_of=8, description="Width of the head: its state, or its features a frame"
    )
    layers: int = Field(1, ge=1, le=8, description="Layers of the head; the `mean` has none")
    drop_rate: Fraction = Field(0.1, description="Dropout within the head; before the classifier: `model.drop_rate`")
    freeze_encoder: bool = Field(
        True, description="The frame encoder keeps its weights, and its batch norm the statistics"
    )
    loss: Literal["clip", "frame"] = Field(
        "clip", description="One loss a clip, or one for each of its frames that is there"
    )
    position: Literal["causal", "centred"] = Field(
        "causal",
        description="Which frame of a window an answer is for: the last one, so that it looks back alone, or the "
        "middle one",
    )
