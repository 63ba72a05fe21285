"""What classical classifiers on a network's features are; no PyTorch."""

from dataclasses import dataclass
from typing import Literal

HeadKind = Literal["logistic", "svm", "mlp", "gradient_boosting"]
HEAD_KINDS: tuple[HeadKind, ...] = ("logistic", "svm", "mlp", "gradient_boosting")


@dataclass(frozen=True)
class HeadFormat:
    """The kind and the sizes of a fitted head, from which its arrays follow.

    Args:
        kind: What was fitted.
        features: Length of the features that it takes.
        hidden: Width of the hidden layer of an ``mlp``.
        rounds: Rounds of ``gradient_boosting``, each of a tree a class.
        nodes: Nodes of a tree, smaller ones are filled up.
        depth: Decisions on the longest way to a leaf.
    """

    kind: HeadKind
    features: int
    hidden: int = 0
    rounds: int = 0
    nodes: int = 0
    depth: int = 0

    @property
    def has_gradients(self) -> bool:
        """Whether answers change smoothly with the features."""
        return self.kind != "gradient_boosting"
