"""Embeddings on a plane, for the eye."""

import numpy as np

# More points take minutes, and lie on top of each other.
MAX_POINTS = 2000
# Below it there is no neighbourhood to keep.
MIN_POINTS = 8
_COMPONENTS = 50
_PERPLEXITY = 30.0


def choose_points(count: int, seed: int) -> np.ndarray:
    """Choose at most MAX_POINTS of so many points at random; returns their indices in order."""
    if count <= MAX_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MAX_POINTS, replace=False))


def project_embeddings(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """Project embeddings by t-SNE, after principal components.

    Args:
        embeddings: (N, D), at least MIN_POINTS.
        seed: Seed of both.

    Returns:
        (N, 2), each coordinate from 0 to 1; distances between groups mean nothing.
    """
    # Slow to import.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    # Equal embeddings give a plane of zero width, by which scikit-learn would divide.
    if not np.ptp(embeddings, axis=0).any():
        return np.full((len(embeddings), 2), 0.5)
    components = min(_COMPONENTS, *embeddings.shape)
    reduced = PCA(components, svd_solver="full", random_state=seed).fit_transform(embeddings.astype(np.float64))
    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced.astype(np.float32))
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / np.where(high > low, high - low, 1.0))
