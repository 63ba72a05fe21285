"""Functional ANOVA (Hutter et al., ICML 2014): how much of a score's variance each parameter alone accounts for.

A random forest learns the score; each of its trees divides the space of the parameters into boxes of one value, over
which means and variances are exact sums. The forest, and what becomes of categories, are those of Optuna's
`FanovaImportanceEvaluator`, whose figures these are; its walk through each tree for each interval of each category is
not: it doubles with each category.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree

TREES, MAX_DEPTH = 64, 64


@dataclass(frozen=True)
class _Boxes:
    """The leaves of a tree: their bounds (leaves, columns), values and volumes (leaves,)."""

    low: np.ndarray
    high: np.ndarray
    value: np.ndarray
    volume: np.ndarray


def compute_main_effects(features: Sequence[np.ndarray], scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Compute the fraction of the forest's variance that each feature alone explains.

    Args:
        features: For each its values in the runs: (N,) numbers, or (N, K) ones and zeros for K categories, of which a
            dozen are too many: time and memory double with each.
        scores: (N,), not all the same.
        seed: Of the forest; the same gives the same figures.

    Returns:
        (features,), the mean over the trees.
    """
    # Slow to import, and comparisons of few runs do without.
    from sklearn.ensemble import RandomForestRegressor

    columns = [feature.reshape(len(scores), -1).astype(np.float64) for feature in features]
    bounds = np.concatenate([_compute_bounds(feature) for feature in features])
    ends = np.cumsum([column.shape[1] for column in columns])
    forest = RandomForestRegressor(n_estimators=TREES, max_depth=MAX_DEPTH, random_state=seed)
    forest.fit(np.hstack(columns), scores)
    fractions = []
    for estimator in forest.estimators_:
        boxes = _find_boxes(estimator.tree_, bounds)
        if (total := _compute_variance(boxes.value, boxes.volume)) > 0:
            groups = np.split(np.arange(ends[-1]), ends[:-1])
            fractions.append([_compute_marginal_variance(boxes, group, bounds) / total for group in groups])
    return np.mean(fractions, axis=0)


def _compute_bounds(feature: np.ndarray) -> np.ndarray:
    """Lowest and highest value of each column, (columns, 2)."""
    return (
        np.array([[feature.min(), feature.max()]]) if feature.ndim == 1 else np.tile([0.0, 1.0], (feature.shape[1], 1))
    )


def _find_boxes(tree: "Tree", bounds: np.ndarray) -> _Boxes:
    low, high = (np.tile(bounds[:, side], (tree.node_count, 1)) for side in (0, 1))
    # A child stands behind its parent.
    for node in np.flatnonzero(tree.feature >= 0):
        left, right, feature = tree.children_left[node], tree.children_right[node], tree.feature[node]
        for child in (left, right):
            low[child], high[child] = low[node], high[node]
        high[left, feature] = low[right, feature] = tree.threshold[node]
    leaves = tree.feature < 0
    low, high = low[leaves], high[leaves]
    return _Boxes(low, high, tree.value[leaves, 0, 0], np.prod(high - low, axis=1))


def _compute_variance(values: np.ndarray, weights: np.ndarray) -> float:
    mean = np.average(values, weights=weights)
    return float(np.average((values - mean) ** 2, weights=weights))


def _compute_marginal_variance(boxes: _Boxes, columns: np.ndarray, bounds: np.ndarray) -> float:
    """The variance of the mean over all other columns, from interval to interval of these."""
    edges = [np.unique([*bounds[column], *boxes.low[:, column]]) for column in columns]
    sizes = np.array([np.prod(size) for size in product(*(np.diff(edge) for edge in edges))])
    middles = np.array(list(product(*((edge[1:] + edge[:-1]) / 2 for edge in edges))))
    low, high = boxes.low[:, columns], boxes.high[:, columns]
    inside = np.ones((len(middles), len(low)), bool)
    for number, middle in enumerate(middles.T):
        inside &= (low[:, number] < middle[:, None]) & (middle[:, None] <= high[:, number])
    others = boxes.volume / np.prod(high - low, axis=1)
    weights = inside @ others
    return _compute_variance((inside @ (others * boxes.value)) / weights, weights * sizes)
