"""Section `model.head`: classical classifiers on the features of a frozen encoder."""

from typing import Annotated, Literal

from pydantic import Field

from fer.config.base import Section

HeadKind = Literal["logistic", "svm", "mlp", "gradient_boosting"]
Inverse = Annotated[float, Field(ge=1e-6, le=1e6)]


class Logistic(Section):
    """Logistic regression, on standardised features."""

    c: Inverse = Field(0.01, description="Inverse strength of the L2 penalty: smaller is simpler")
    max_iter: int = Field(1000, ge=1, le=100_000, description="Steps of the solver at most")


class Svm(Section):
    """A linear support vector machine a class, on standardised features."""

    c: Inverse = Field(1e-4, description="Inverse strength of the L2 penalty: smaller is simpler")
    max_iter: int = Field(1000, ge=1, le=100_000, description="Steps of the solver at most")


class Mlp(Section):
    """A network of one hidden layer, on standardised features."""

    hidden: int = Field(128, ge=1, le=2048, description="Width of the hidden layer")
    alpha: float = Field(1.0, ge=0, le=1000, description="Strength of the L2 penalty")
    lr: float = Field(1e-3, gt=0, le=1, description="Learning rate of Adam")
    max_iter: int = Field(50, ge=1, le=10_000, description="Passes over the images at most")


class GradientBoosting(Section):
    """Boosted trees on binned features."""

    rounds: int = Field(100, ge=1, le=500, description="Rounds of boosting, each of a tree a class")
    lr: float = Field(0.1, gt=0, le=1, description="What each tree counts")
    max_leaf_nodes: int = Field(15, ge=2, le=63, description="Leaves of a tree at most")
    max_depth: int = Field(6, ge=1, le=12, description="Decisions on the way to a leaf at most")
    min_samples_leaf: int = Field(20, ge=1, le=100_000, description="Images of a leaf at least")
    l2: float = Field(1.0, ge=0, le=1e6, description="L2 penalty of the leaves")


class Head(Section):
    """What is fitted on the features of a frozen encoder, by scikit-learn, with `model.kind=embedding_head`."""

    kind: HeadKind = Field(
        "logistic",
        description="`logistic` regression, a linear `svm` with calibrated answers, `mlp` (one hidden layer), or "
        "`gradient_boosting` (trees)",
    )
    copies: int = Field(
        0,
        ge=0,
        le=20,
        description="Further copies of each training image, each changed as `dataset.augment` says, less mixing; each "
        "costs the encoder another pass",
    )
    logistic: Logistic = Field(Logistic(), description="With kind=logistic")
    svm: Svm = Field(Svm(), description="With kind=svm")
    mlp: Mlp = Field(Mlp(), description="With kind=mlp")
    gradient_boosting: GradientBoosting = Field(GradientBoosting(), description="With kind=gradient_boosting")
