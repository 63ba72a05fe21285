"""Section `extraction`: which frames of which videos, which faces in them, and what becomes of the results."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fer.config.base import BucketFolder, ExistingPath, NewPath, Section, StudyPath, expand_local_path

Stage = Literal["extract", "predict", "report"]
Export = Literal["csv", "excel", "spss", "bids", "elan", "webvtt", "highlights"]
MAX_SHARES = 1000
YuNetRuntime = Literal["auto", "onnx", "opencv"]
_RUNTIME = (
    "What computes YuNet: `onnx` (ONNX Runtime) takes less than half of the processor time of `opencv` and finds the "
    "same boxes to a thousandth of a pixel; `auto` takes it unless OpenCV alone can compute the file; run.yaml says "
    "which was taken"
)
_MAX_SIDE = (
    "Longer side of the reduced frame in which YuNet looks first, pixels; null looks in the whole frame alone. Where "
    "it finds nothing, and with extraction.faces=all, it looks in one in which a face of min_size has 20 pixels"
)


class HaarDetector(Section):
    """OpenCV's Haar cascade: comes with OpenCV, nothing to download."""

    kind: Literal["haar"] = Field(description="Haar cascade of OpenCV")
    min_score: float = Field(1.0, ge=0, description="Faces with a lower score are left out")
    min_size: int = Field(ge=8, description="Smallest face, pixels of the frame")
    margin: float | None = Field(
        ge=-0.5, le=1, description="Added to the box's side, as a fraction; null frames faces as FER2013's are"
    )


class AutoDetector(Section):
    """YuNet where its weights are at hand or can be downloaded, otherwise Haar; run.yaml says which was taken."""

    kind: Literal["auto"] = Field(description="YuNet where its weights can be had, otherwise Haar, with a warning")
    weights: ExistingPath | None = Field(
        description="The ONNX file; null downloads OpenCV zoo's once into extraction.cache_dir"
    )
    min_size: int = Field(ge=8, description="Smallest face, pixels of the frame")
    max_side: int | None = Field(ge=64, description=_MAX_SIDE)
    # The default is that of runs that were saved before there was a choice.
    runtime: YuNetRuntime = Field("opencv", description=_RUNTIME)
    margin: float | None = Field(
        ge=-0.5, le=1, description="Added to the box's side, as a fraction; null frames faces as FER2013's are"
    )
    align: bool = Field(description="Turn the crop so that the eyes are level")


class YuNetDetector(Section):
    """YuNet: finds turned and partly hidden faces, gives eye points."""

    kind: Literal["yunet"] = Field(description="YuNet, a small network")
    weights: ExistingPath | None = Field(
        description="The ONNX file; null downloads OpenCV zoo's once into extraction.cache_dir"
    )
    weights_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Refuse a file with another SHA-256; run.yaml has that of the file that was taken",
    )
    min_score: float = Field(0.7, ge=0, le=1, description="Faces with a lower score are left out")
    min_size: int = Field(ge=8, description="Smallest face, pixels of the frame")
    max_side: int | None = Field(320, ge=64, description=_MAX_SIDE)
    runtime: YuNetRuntime = Field("opencv", description=_RUNTIME)
    margin: float | None = Field(
        ge=-0.5, le=1, description="Added to the box's side, as a fraction; null frames faces as FER2013's are"
    )
    align: bool = Field(description="Turn the crop so that the eyes are level")


class WholeImage(Section):
    """The whole image is the face: for images that are cropped already."""

    kind: Literal["none"] = Field(description="The whole image is the face")


# What conf/extraction/auto.yaml has for YuNet.
_AUTO_VALUES = {"weights": None, "min_size": 30, "max_side": 320, "runtime": "auto", "margin": None, "align": True}
Detector = Annotated[HaarDetector | YuNetDetector | WholeImage | AutoDetector, Field(discriminator="kind")]


class Quality(Section):
    """Faces beyond these limits get the status low_quality, and no probabilities."""

    min_size: float = Field(ge=0, description="Smallest side of a face's box, pixels")
    min_sharpness: float = Field(ge=0, description="Least variance of the Laplacian of the crop")
    min_brightness: float = Field(ge=0, le=1, description="Darkest mean of the crop, 0 to 1")
    max_brightness: float = Field(ge=0, le=1, description="Brightest mean of the crop, 0 to 1")
    max_yaw: float = Field(ge=0, le=180, description="Largest turn of the head, degrees, where eye points tell it")


class Smoothing(Section):
    """Curves over time, for each track by itself, never across gaps."""

    kind: Literal["none", "exponential", "median", "gaussian"] = Field(description="How probabilities are smoothed")
    window_s: float = Field(gt=0, description="Time constant, window or standard deviation, seconds")
    max_gap_s: float = Field(gt=0, description="A longer stretch without the face starts the smoothing anew, seconds")


class Extraction(Section):
    """From videos to faces, and from faces to tables and pages."""

    input: str | tuple[str, ...] | None = Field(
        description="A video, an image, a directory, a glob, or a list of them; null draws a clip of 20 seconds"
    )
    stages: tuple[Stage, ...] = Field(
        description="`extract` finds faces, `predict` classifies them, `report` writes tables and page"
    )
    sampling: Literal["interval", "every_n", "all", "scene"] = Field(
        description="Frames at `fps` a second, every `every_n`th, all of them, or one a scene"
    )
    fps: float | None = Field(
        gt=0,
        le=1000,
        description="sampling=interval: frames a second; null takes 1, and for a temporal model as many as it looks at",
    )
    every_n: int = Field(ge=1, description="sampling=every_n: one frame of so many")
    detector: Detector = Field(description="What finds the faces")
    faces: Literal["largest", "all"] = Field(description="The largest face of a frame, or all of them")
    max_missed: int | None = Field(
        ge=0,
        description="A person keeps the id over so many sampled frames without the face; null over 2 seconds, and at "
        "least 2 frames",
    )
    quality: Quality = Field(description="Limits beyond which a face is not classified")
    save: Literal["none", "crops", "frames", "dataset"] = Field(
        description="Images to keep: face `crops`, or sampled `frames`; `dataset` keeps the crops with a table of them "
        "(crops/faces.parquet), which `fer annotate` labels; stages=[extract] keeps the crops in any case"
    )
    smoothing: Smoothing = Field(description="Smoothing over time")
    groups: ExistingPath | None = Field(
        description="CSV with video, respondent, stimulus, group: curves and comparison over respondents"
    )
    study: StudyPath | None = Field(
        None,
        description="A study (YAML, CSV or Excel): its recordings with consent are the input, and what it asks is "
        "answered in study.html; without extraction.input and extraction.groups",
    )
    baseline_seconds: float = Field(
        ge=0, description="Subtract each respondent's own mean of the first seconds from group curves; 0 is off"
    )
    labels: ExistingPath | None = Field(
        description="CSV with video, emotion, and if need be start_s, end_s: what was to be seen; evaluates the batch"
    )
    explain: bool = Field(
        False,
        description="Show in the report where the model looked at the strongest moments (Grad-CAM); needs captum",
    )
    annotate: bool = Field(description="Also write each video as MP4 with boxes and emotions drawn in")
    cache_dir: NewPath = Field(description="Directory of downloaded detectors")
    exports: tuple[Export, ...] = Field(
        ("csv", "webvtt"),
        description="Of a study, beside its tables: `csv` (also long and wide, for statistics programs), `excel`, "
        "`spss`, `bids`, `elan`, `webvtt`, `highlights` (a clip of the strongest moments)",
    )
    blur: Literal["none", "others", "all"] = Field(
        "none",
        description="Faces that are covered in whatever the run keeps or shows: none, all but the analysed one, or "
        "all; covered copies and frames take a look at every frame of a video",
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        description="The run is to be deleted so many days after its start, which `fer privacy expired` does "
        "on request; null sets no date",
    )
    upload: BucketFolder | None = Field(
        None,
        description="Folder in a private bucket, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER, which gets the tables and "
        "pages of the run, no pictures or clips; a new run takes one that is empty",
    )
    share: int | None = Field(
        None, ge=0, description="Do one share of the videos alone, counted from 0, and no report; `-m` does all of them"
    )
    shares: int = Field(1, ge=1, le=MAX_SHARES, description="How many shares there are; one has every so manieth video")

    @field_validator("input", mode="before")
    @classmethod
    def expand_input(cls, value: object) -> object:
        """Expand `~` and environment variables in what is named."""
        if value is None:
            return None
        if isinstance(value, str):
            return expand_local_path(value)
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
            raise ValueError("must be a text or a list of texts; a file of YAML has them in quotes")
        return [expand_local_path(text) for text in value]

    @field_validator("detector", mode="before")
    @classmethod
    def leave_default_kind(cls, value: object) -> object:
        """Let `extraction.detector.kind=haar` alone leave the default kind: keys that only the latter has are gone."""
        kinds: dict[object, type[Section]] = {"haar": HaarDetector, "none": WholeImage}
        if not isinstance(value, dict) or value.get("kind") not in kinds:
            return value
        known = kinds[value["kind"]].model_fields
        return {
            key: item
            for key, item in value.items()
            if key in known or key not in _AUTO_VALUES or item != _AUTO_VALUES[key]
        }

    @field_validator("stages")
    @classmethod
    def check_stages(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Check that the stages follow each other."""
        order = ("extract", "predict", "report")
        if value not in {order[start:stop] for start in range(3) for stop in range(start + 1, 4)}:
            raise ValueError(
                "stages follow each other: extract, predict, report; none twice, none left out between, one at least"
            )
        return value

    @model_validator(mode="after")
    def check_study_alone(self) -> Self:
        """Check that nothing else says what the input is, and who is in it."""
        if self.study is not None:
            for key in ("input", "groups"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"{key} cannot be named beside extraction.study, whose file has its own; leave out "
                        f"extraction.{key} (extraction.{key}=null)"
                    )
            if self.baseline_seconds:
                raise ValueError(
                    "baseline_seconds has no effect on extraction.study; name the window in the study's file: baseline"
                )
            if self.save == "dataset":
                raise ValueError(
                    "save=dataset makes training data of faces, for which a study's respondents gave no consent; use "
                    "save=crops"
                )
        return self

    @model_validator(mode="after")
    def check_blur(self) -> Self:
        """Check that nothing is to be kept that would have to be covered whole."""
        if self.blur == "all" and self.save in ("crops", "dataset"):
            raise ValueError(
                f"save={self.save} keeps faces and nothing else; blur=all keeps none, so leave one of them out"
            )
        if self.blur == "all" and self.stages == ("extract",):
            raise ValueError(
                "stages=[extract] keeps crops of faces, and blur=all keeps none; extract and predict in one run"
            )
        if self.blur == "others" and self.faces == "all":
            raise ValueError(
                "blur=others covers all faces but the analysed one, and faces=all analyses all; use faces=largest or "
                "blur=all"
            )
        return self

    @model_validator(mode="after")
    def check_share(self) -> Self:
        """Check that there is such a share, and that none is meant where there are several."""
        if self.share is None and self.shares > 1:
            raise ValueError(
                f"shares={self.shares}: of which this would do none; add -m, which does each of them in a job of its "
                "own and joins them, or name one: extraction.share=0"
            )
        if self.share is not None and self.share >= self.shares:
            raise ValueError(
                f"share={self.share}: shares are counted from 0, and there are {self.shares} (extraction.shares)"
            )
        if self.share is not None and self.stages[0] != "extract":
            raise ValueError("share: what is extracted already is not shared out; begin with stage extract")
        return self

    @model_validator(mode="after")
    def check_brightness_range(self) -> Self:
        """Check that some brightness is allowed."""
        if self.quality.min_brightness >= self.quality.max_brightness:
            raise ValueError("quality.min_brightness must be below quality.max_brightness")
        return self
