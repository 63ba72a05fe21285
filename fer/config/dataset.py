"""Section `dataset`: where labelled faces come from, how they are split, balanced and augmented."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fer.config.base import InputPath, NewPath, Plugins, Probability, Section, check_plugin_names
from fer.config.class_map import ClassMap
from fer.config.clips import Clips, ClipsSource, SyntheticClipsSource

CLIP_KINDS = ("clips", "synthetic_clips")
LabelRule = Literal["majority", "probability", "argmax", "multi_target"]


class VotedSource(Section):
    """A source whose images were labelled by several annotators."""

    label_rule: LabelRule = Field(
        "majority",
        description="How votes become training targets: `majority` (single votes dropped, the winner has more "
        "than half), `probability` (the votes as a distribution), `argmax` (most votes), `multi_target` "
        "(every emotion with 30 % of the votes counts alike)",
    )
    eval_label_rule: LabelRule = Field(
        "majority", description="The rule for validation and test images; published results use `majority`"
    )
    contempt: Literal["drop", "renormalise"] = Field(
        "drop",
        description="With 7 classes: `drop` the images that contempt wins, or delete its votes beforehand and "
        "`renormalise` the others (a different set of images)",
    )


class FerplusSource(VotedSource):
    """FERPlus: FER2013's faces with the votes of ten annotators."""

    kind: Literal["ferplus"] = Field(description="FERPlus")
    root: InputPath = Field(
        description="Directory, .zip or .tar.gz (or s3://, gs://) with FER2013Train|Valid|Test/, or with fer2013.csv "
        "and fer2013new.csv"
    )
    votes: Literal["auto", "label.csv", "fer2013new.csv"] = Field(
        "auto",
        description="The file of votes; the two differ on about 4.5 % of rows. `auto`: label.csv where there is one",
    )


class RafdbSource(Section):
    """RAF-DB, basic emotions, in Kaggle's or the official layout."""

    kind: Literal["rafdb"] = Field(description="RAF-DB")
    root: InputPath = Field(
        description="Directory, .zip or .tar.gz with train/ and test/, or with Image/ and EmoLabel/"
    )


class Fer2013Source(Section):
    """FER2013 with its original single labels."""

    kind: Literal["fer2013"] = Field(description="FER2013")
    root: InputPath = Field(
        description="Directory, .zip or .tar.gz with train/ and test/, or with fer2013.csv; or that file itself"
    )


class FolderSource(Section):
    """Any data set with one folder a class."""

    kind: Literal["folder"] = Field(description="A folder a class")
    root: InputPath = Field(description="Directory, .zip or .tar.gz with <class>/, or with train|val|test/<class>/")
    class_map: ClassMap = Field(default_factory=dict, description="Folder name: emotion (null leaves the folder out)")


class TableSource(Section):
    """A table that names images and their labels, such as the one that `fer annotate` writes."""

    kind: Literal["table"] = Field(description="A table of images")
    table: InputPath = Field(
        description="CSV or Parquet with path (or image) and label, and if need be split, weight and subject; further "
        "columns are groups"
    )
    root: InputPath | None = Field(
        None, description="Directory, .zip or .tar.gz in which the paths begin; null is the table's directory"
    )
    class_map: ClassMap = Field(default_factory=dict, description="Label: emotion (null leaves its images out)")


class SyntheticSource(VotedSource):
    """Drawn faces, labelled by ten simulated annotators: no download, no licence."""

    kind: Literal["synthetic"] = Field(description="Drawn faces")
    count: int = Field(2800, ge=70, le=1_000_000, description="Number of faces over all splits")
    size: int = Field(64, ge=32, le=256, description="Width and height of a face, pixels")
    seed: int = Field(0, ge=0, description="Seed of the drawing, independent of the run's seed")


# Sources without a file.
DRAWN = (SyntheticSource, SyntheticClipsSource)
Source = Annotated[
    FerplusSource
    | RafdbSource
    | Fer2013Source
    | FolderSource
    | TableSource
    | SyntheticSource
    | ClipsSource
    | SyntheticClipsSource,
    Field(discriminator="kind"),
]


def list_source_paths(source: Source) -> dict[str, str]:
    """List the paths and s3:// URIs that a source is read from, by its keys; none of a drawn one."""
    if isinstance(source, DRAWN):
        return {}
    if isinstance(source, TableSource):
        return {"table": source.table, "root": source.root or source.table.rpartition("/")[0]}
    return {"root": source.root}


class Augment(Section):
    """Random changes of training images; each image draws its own, anew in every epoch."""

    flip: Probability = Field(description="Probability of a left-right flip")
    rotate: float = Field(ge=0, le=180, description="Largest rotation, degrees either way")
    scale: float = Field(ge=0, lt=1, description="Largest change of scale, as a fraction either way")
    translate: float = Field(ge=0, lt=1, description="Largest shift, as a fraction of the image either way")
    brightness: float = Field(ge=0, le=1, description="Largest change of brightness, as a fraction either way")
    contrast: float = Field(ge=0, le=1, description="Largest change of contrast, as a fraction either way")
    saturation: float = Field(ge=0, le=1, description="Largest change of saturation (colour sources)")
    erase: Probability = Field(description="Probability that a random rectangle is blanked")
    mixup: float = Field(ge=0, description="Alpha of MixUp's Beta distribution; 0 is off")
    cutmix: float = Field(ge=0, description="Alpha of CutMix's Beta distribution; 0 is off")
    mix_probability: Probability = Field(description="Fraction of images that MixUp or CutMix changes")
    plugins: Plugins = Field(
        default_factory=dict, description="Augmentations of plugins, after those above but before mixing: name: options"
    )

    @field_validator("plugins")
    @classmethod
    def check_plugins(cls, value: Plugins) -> Plugins:
        """Check the names."""
        return check_plugin_names(value, cls.model_fields)


class Dataset(Section):
    """Labelled faces and how they reach the network."""

    sources: dict[str, Source] = Field(min_length=1, description="Name: source; several combine in one run")
    split: Literal["official", "stratified", "subject"] = Field(
        description="`official` splits of each source, `stratified` by class and source over all its images, or by "
        "`subject`, so that nobody is in two of them"
    )
    fractions: tuple[float, float, float] = Field(
        description="Training, validation and test fraction of a split that is not official; sums to 1"
    )
    classes: Literal[7, 8] = Field(description="7 emotions, or 8 with contempt")
    on_leak: Literal["drop", "error", "ignore"] = Field(
        description="Official split: what to do about evaluation images that are also in an earlier split"
    )
    near_duplicate_bits: int = Field(
        ge=-1,
        le=8,
        description="Perceptual hashes (64 bits) that differ in at most so many bits are the same image; "
        "-1 compares pixels only",
    )
    on_corrupt: Literal["error", "skip"] = Field(
        description="Unreadable images, malformed rows, labels without an image and images without a label: refuse, or "
        "list and skip"
    )
    on_empty_class: Literal["error", "ignore"] = Field(description="What to do about a class without training images")
    balance: Literal["none", "weighted_sampling", "class_weights"] = Field(
        description="Against unequal classes: nothing, rare classes drawn more often, or weighted in the loss"
    )
    batch_size: int = Field(ge=2, le=65536, description="Images a training step")
    limit: int | None = Field(ge=1, description="Use at most so many images of each split; null uses all")
    exclude: InputPath | None = Field(
        None,
        description="CSV of images to leave out: a column sample_id, as manifest.parquet has it, and perhaps reason, "
        "such as label_issues.csv; null leaves out none",
    )
    cache_dir: NewPath = Field(min_length=1, description="Directory of decoded images, shared between runs")
    clips: Clips = Field(Clips(), description="Extraction of the faces of video clips")
    augment: Augment = Field(description="Random changes of training images")

    @field_validator("sources")
    @classmethod
    def check_source_names(cls, value: dict[str, Source]) -> dict[str, Source]:
        """Check that overrides and columns can name every source."""
        for name in value:
            if not name.replace("-", "_").isidentifier():
                raise ValueError(f"the source name {name!r} must be letters, digits, '_' and '-', no digit first")
        return value

    @field_validator("fractions", mode="before")
    @classmethod
    def count_fractions(cls, value: object) -> object:
        """Check that there are three."""
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise ValueError(
                "three fractions are needed, of training, validation and test, that sum to 1, such as "
                "dataset.fractions=[0.8,0.1,0.1]"
            )
        return value

    @field_validator("fractions")
    @classmethod
    def check_fractions(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        """Check that the fractions sum to 1, and that images are left for training and validation."""
        if min(value) < 0 or abs(sum(value) - 1) > 1e-6:
            raise ValueError("the three fractions must be 0 or more and sum to 1")
        if value[0] == 0 or value[1] == 0:
            raise ValueError("the training and the validation fraction must be above 0")
        return value

    @model_validator(mode="after")
    def check_contempt_source(self) -> Self:
        """Check that a source has the eighth class where there are eight."""
        if self.classes == 8 and not any(
            s.kind in ("ferplus", "fer2013", "folder", "table", "clips") for s in self.sources.values()
        ):
            raise ValueError(
                "classes=8 needs a source with contempt (kind ferplus, fer2013, folder, table or clips), or set "
                "dataset.classes=7"
            )
        return self

    @model_validator(mode="after")
    def check_one_kind(self) -> Self:
        """Check that there are clips alone, or images alone."""
        clips = [name for name, source in self.sources.items() if source.kind in CLIP_KINDS]
        if clips and len(clips) < len(self.sources):
            images = next(name for name in self.sources if name not in clips)
            raise ValueError(
                f"sources: {clips[0]} has clips and {images} has images, and no network takes both; train on "
                "one of them"
            )
        return self

    @property
    def has_clips(self) -> bool:
        """Whether the samples are clips."""
        return all(source.kind in CLIP_KINDS for source in self.sources.values())
