"""Sources of clips, and section `dataset.clips`: how their faces are extracted."""

from typing import Literal

from pydantic import Field

from fer.config.base import InputPath, Section
from fer.config.class_map import ClassMap


class ClipsSource(Section):
    """Video clips, labelled by their folders, by their names, or by a table."""

    kind: Literal["clips"] = Field(description="Video clips")
    root: InputPath = Field(
        description="Directory, .zip or .tar.gz with <class>/ or train|val|test/<class>/ of videos, with videos whose "
        "names tell the label, or with a table"
    )
    naming: Literal["auto", "folder", "table", "afew", "crema-d", "ravdess"] = Field(
        "auto",
        description="What tells label and subject: `folder`, the `table`, or the names of `afew`, `crema-d` and "
        "`ravdess`; `auto`: the table where one is named, otherwise what most names look like",
    )
    table: str | None = Field(
        None,
        min_length=1,
        description="Name of a CSV below root with path (from its own folder) and label, and if need be start_s, "
        "end_s, subject, part; further columns are groups",
    )
    class_map: ClassMap = Field(
        default_factory=dict, description="Name of a folder or label: emotion (null leaves its clips out)"
    )


class SyntheticClipsSource(Section):
    """Drawn clips: no download, no licence, no face to find."""

    kind: Literal["synthetic_clips"] = Field(description="Drawn clips")
    count: int = Field(840, ge=14, le=1_000_000, description="Number of clips over all splits")
    size: int = Field(48, ge=32, le=256, description="Width and height of a face, pixels")
    subjects: int = Field(60, ge=5, le=100_000, description="Number of people; each shows every emotion in turn")
    fps: float = Field(8, gt=0, le=120, description="Frames a second")
    seconds: float = Field(2, gt=0, le=60, description="Length of a clip")
    motion: Literal["plain", "direction"] = Field(
        "plain",
        description="`plain`: an expression rises and fades; `direction`: a smile that comes slowly and goes at once "
        "(happiness) against the same frames in reverse order (sadness), which single frames cannot tell apart",
    )
    seed: int = Field(0, ge=0, description="Seed of the drawing, independent of the run's seed")


class Clips(Section):
    """How faces of video clips are extracted, once; `extraction.detector` finds them, as in infer.py."""

    fps: float = Field(8, gt=0, le=1000, description="Frames a second that are looked at")
    min_frames: int = Field(4, ge=1, description="Clips whose face is seen in fewer frames are left out")
    max_side: int = Field(224, ge=32, le=256, description="Largest width and height of the faces that are kept, pixels")
    max_missed: int = Field(4, ge=0, description="A person keeps the id over so many frames without the face")
