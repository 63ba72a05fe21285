"""Classical classifiers on features as PyTorch modules of plain arrays: the same answers, and nothing pickled."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from typing_extensions import override

from fer.models.head_format import HeadFormat

NO_GRADIENTS = "maps follow gradients, and the trees of model.head.kind=gradient_boosting have none"


class FittedHead(nn.Module):
    """From features (N, D) to logits (N, classes), of which the softmax is what scikit-learn's ``predict_proba`` gives.

    Args:
        format: Kind and sizes.
    """

    def __init__(self, format: HeadFormat) -> None:
        super().__init__()
        self.format = format

    def check_arrays(self) -> None:
        """Check that arrays, which may come from anybody, name what is there and hold numbers. Raises ValueError."""


class VectorHead(FittedHead):
    """A linear classifier, or one of a hidden layer, on standardised features: logistic, svm, mlp.

    Args:
        format: Kind and sizes.
        classes: Number of logits.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, format: HeadFormat, classes: int) -> None:
        super().__init__(format)
        self.register_buffer("mean", torch.zeros(format.features))
        self.register_buffer("scale", torch.ones(format.features))
        self.hidden = nn.Linear(format.features, format.hidden) if format.kind == "mlp" else None
        self.classifier = nn.Linear(format.hidden or format.features, classes)

    @override
    def forward(self, features: Tensor) -> Tensor:
        features = (features - self.mean) / self.scale
        if self.hidden is not None:
            features = self.hidden(features).relu()
        scores: Tensor = self.classifier(features)
        # Each class has a sigmoid of its own, and their sum is brought to 1: the softmax of the sigmoids' logarithms.
        return -softplus(-scores) if self.format.kind == "svm" else scores


class TreeHead(FittedHead):
    """Boosted trees as arrays: from the root, each decision names the next node.

    The nodes of all trees lie one after the other, those of a round together, a tree a class. A leaf names itself, so
    that ways may be of any length up to the depth. Half precision spares arrays of one dimension.

    Args:
        format: Kind and sizes.
        classes: Number of logits.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    value: Tensor
    baseline: Tensor
    roots: Tensor

    def __init__(self, format: HeadFormat, classes: int) -> None:
        super().__init__(format)
        trees = format.rounds * classes
        self.classes = classes
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(trees * format.nodes, dtype=torch.int64))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(trees * format.nodes))
        self.register_buffer("baseline", torch.zeros(classes))
        self.register_buffer("roots", torch.arange(trees) * format.nodes, persistent=False)

    @override
    def forward(self, features: Tensor) -> Tensor:
        features = features.float()
        seen = features.index_select(1, self.feature[self.roots])
        node = torch.where(seen <= self.threshold[self.roots], self.left[self.roots], self.right[self.roots])
        for _ in range(self.format.depth - 1):
            seen = features.gather(1, self.feature[node])
            node = torch.where(seen <= self.threshold[node], self.left[node], self.right[node])
        return self.value[node].view(-1, self.format.rounds, self.classes).sum(1) + self.baseline

    @override
    def check_arrays(self) -> None:
        for name, array, count in (
            ("feature", self.feature, self.format.features),
            ("left", self.left, len(self.left)),
            ("right", self.right, len(self.right)),
        ):
            if array.min() < 0 or array.max() >= count:
                raise ValueError(f"head.{name} names what is not there")
        if self.threshold.isnan().any():
            raise ValueError("head.threshold holds what is no number")


def create_head(format: HeadFormat, classes: int) -> FittedHead:
    """Create a head whose arrays are still to be filled.

    Args:
        format: Kind and sizes.
        classes: Number of logits.
    """
    return (VectorHead if format.has_gradients else TreeHead)(format, classes)


def has_gradients(network: nn.Module) -> bool:
    """Whether a network's answers change smoothly with its inputs; those of trees do in steps."""
    head = get_fitted_head(cast(nn.Module, network.body))
    return head is None or head.format.has_gradients


def get_fitted_head(body: nn.Module) -> FittedHead | None:
    """Return the fitted head of a network's body; None where it has none."""
    return body.head if isinstance(body, HeadBody) and isinstance(body.head, FittedHead) else None


class HeadBody(nn.Module):
    """All weights of a network with a fitted head, which offers what timm's bodies do.

    Args:
        encoder: From pixels (N, 3, h, w) to features (N, D), without a classifier.
        head: From features to outputs.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        encoder.requires_grad_(False)

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """What timm says about the encoder's architecture."""
        return dict(cast(Any, self.encoder).pretrained_cfg)

    @property
    def num_features(self) -> int:
        """Number of channels of the encoder's last feature map."""
        return int(cast(Any, self.encoder).num_features)

    @override
    def forward(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.encoder(pixels)))

    def forward_features(self, pixels: Tensor) -> Tensor:
        """Compute the last feature map, or the last tokens."""
        return cast(Tensor, cast(Any, self.encoder).forward_features(pixels))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Compute outputs of what ``forward_features`` gives, or the features (N, D) before the head."""
        pooled = cast(Any, self.encoder).forward_head(features)
        return cast(Tensor, pooled if pre_logits else self.head(pooled))
