"""A study's file: what was shown to whom, which recordings there are, and which questions they are to answer."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fer.config.base import Section
from fer.emotions import CONTEMPT, EMOTIONS

# A day: what is longer is a mistake.
MAX_SECONDS = 86_400.0
NonEmpty = Annotated[str, Field(min_length=1)]
Correction = Literal["holm", "fdr_bh"]
# Columns of the analysis; the eighth emotion is of models with eight classes.
MEASURES: tuple[str, ...] = (
    *EMOTIONS,
    CONTEMPT,
    *("valence", "arousal", "expressiveness", "positive", "negative"),
    *("engagement", "attention", "yaw", "pitch", "roll", "people"),
)


# How people say yes and no in a table.
_YES = ("true", "yes", "y", "1", "x", "✓", "ja", "j", "oui", "si", "sí", "on", "ok", "t")
_NO = ("false", "no", "n", "0", "-", "–", "", "nein", "non", "off", "f")


def parse_flag(value: object) -> object:
    """Return true or false for a word that means it. Raises ValueError for a text that means neither."""
    if not isinstance(value, str):
        return False if value is None else value
    word = value.strip().casefold()
    if word not in (*_YES, *_NO):
        raise ValueError(f"{value.strip()[:40]!r} is neither yes nor no; write yes or no")
    return word in _YES


Flag = Annotated[bool, BeforeValidator(parse_flag)]


class Event(Section):
    """Something that happens in a stimulus: at a time, or from one to another."""

    name: NonEmpty = Field(description="What happens")
    time_s: float = Field(ge=0, le=MAX_SECONDS, description="When, or from when on, seconds of the stimulus")
    end_s: float | None = Field(None, gt=0, le=MAX_SECONDS, description="Until when; null is two seconds later")

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Check that it does not end before it begins."""
        if self.end_s is not None and self.end_s <= self.time_s:
            raise ValueError("end_s must be behind time_s")
        return self


class Scene(Section):
    """A part of a stimulus."""

    name: NonEmpty = Field(description="What is shown")
    start_s: float = Field(ge=0, le=MAX_SECONDS, description="Its beginning, seconds of the stimulus")
    end_s: float = Field(gt=0, le=MAX_SECONDS, description="Its end, seconds of the stimulus")

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Check that it does not end before it begins."""
        if self.end_s <= self.start_s:
            raise ValueError("end_s must be behind start_s")
        return self


class Stimulus(Section):
    """What respondents see: an advertisement, a page, a film."""

    file: str | None = Field(None, description="Its video; null where there is none. Relative to the study's file")
    duration_s: float | None = Field(None, gt=0, le=MAX_SECONDS, description="Its length, seconds; null is the video's")
    events: tuple[Event, ...] = Field((), description="What happens in it")
    scenes: tuple[Scene, ...] = Field((), description="Its parts")
    cuts: Flag = Field(False, description="Add a scene from each cut in the video to the next, found by PySceneDetect")


class Respondent(Section):
    """A person of the panel."""

    consent: Flag = Field(False, description="Agreed to be analysed; without it no recording of them is opened")
    groups: dict[NonEmpty, str] = Field({}, description="Any columns: `gender: f`, `age: 18-29`")


class Recording(Section):
    """A video of a respondent's face while something was shown."""

    file: NonEmpty = Field(description="The video; relative to the study's file, or s3:// or gs://BUCKET/KEY")
    respondent: NonEmpty = Field(description="Whose face")
    stimulus: NonEmpty = Field(description="What was shown")
    onset_s: float = Field(0.0, ge=0, le=MAX_SECONDS, description="When the stimulus begins, seconds of the recording")
    offset_s: float | None = Field(
        None, gt=0, le=MAX_SECONDS, description="When it ends, seconds of the recording; null is after its duration"
    )
    condition: str = Field("", description="How it was shown, where that differs: `sound`, `first`")

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Check that it does not end before it begins."""
        if self.offset_s is not None and self.offset_s <= self.onset_s:
            raise ValueError("offset_s must be behind onset_s")
        return self


class Window(Section):
    """A stretch of time around the onset of the stimulus."""

    start_s: float = Field(
        ge=-MAX_SECONDS, le=MAX_SECONDS, description="Seconds from the onset; before it they are negative"
    )
    end_s: float = Field(ge=-MAX_SECONDS, le=MAX_SECONDS, description="Seconds from the onset")

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Check that it does not end before it begins."""
        if self.end_s <= self.start_s:
            raise ValueError("end_s must be behind start_s")
        return self


class _Contrast(Section):
    measures: tuple[str, ...] | None = Field(None, description="Measures that are tested; null is `study.measures`")
    over_time: Flag = Field(True, description="Also when they differ: a cluster-based permutation test")


class BetweenContrast(_Contrast):
    """Two groups of respondents, for each stimulus."""

    kind: Literal["between"] = Field(description="Different people: two groups")
    factor: NonEmpty = Field(description="The group column, or `condition`")
    a: NonEmpty = Field(description="One of its values")
    b: NonEmpty = Field(description="The other")
    stimuli: tuple[str, ...] | None = Field(None, description="Stimuli to compare in; null is all")


class WithinContrast(_Contrast):
    """The same respondents twice."""

    kind: Literal["within"] = Field(description="The same people: two stimuli or two conditions")
    factor: Literal["stimulus", "condition"] = Field("stimulus", description="What differs")
    a: NonEmpty = Field(description="One of its values")
    b: NonEmpty = Field(description="The other")


class MixedContrast(_Contrast):
    """Several factors at once."""

    kind: Literal["mixed"] = Field(description="Several factors: a mixed model with an intercept for each respondent")
    factors: tuple[str, ...] = Field(min_length=1, description="Group columns, `stimulus`, `condition`")


Contrast = Annotated[BetweenContrast | WithinContrast | MixedContrast, Field(discriminator="kind")]


class Study(Section):
    """A whole study."""

    name: str = Field("", description="Its title")
    stimuli: dict[str, Stimulus] = Field({}, description="What was shown, by name")
    respondents: dict[str, Respondent] = Field({}, description="Who saw it, by an id")
    recordings: tuple[Recording, ...] = Field(min_length=1, description="The videos of their faces")
    baseline: Window | None = Field(
        None, description="Every measure is a change from the mean of this window; null leaves it as it is"
    )
    contrasts: tuple[Contrast, ...] = Field((), description="What is to be compared")
    measures: tuple[str, ...] = Field(
        ("happiness", "valence", "expressiveness"), description="Measures that are tested and ranked"
    )
    step_s: float = Field(1.0, ge=0.05, le=60, description="Length of a step of the curves, seconds")
    correction: Correction = Field("holm", description="Correction for several tests: Holm, or Benjamini and Hochberg")
    effect: float = Field(0.5, gt=0, description="Effect (Hedges' g) for which the panel's power is told")
    min_usable: float = Field(0.5, ge=0, le=1, description="A recording with a smaller usable share is left out")
    norms: tuple[str, ...] = Field((), description="Directories of earlier studies that this one is compared with")
