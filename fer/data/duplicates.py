"""Duplicate detection: equal pixels, or perceptual hashes that hardly differ."""

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_BITS = 64


def find_near_pairs(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Find all pairs (P, 2) of distinct positions of ``hashes`` (uint64) that differ in at most ``bits`` bits.

    Cut into bits+1 bands, two such hashes agree in at least one band whole; only those are compared.
    """
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for low, high in pairwise(np.linspace(0, HASH_BITS, bits + 2).astype(int)):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, starts):
            for position, row in enumerate(bucket[:-1]):
                rest = bucket[position + 1 :]
                near = rest[np.bitwise_count(hashes[rest] ^ hashes[row]) <= bits]
                if len(near):
                    pairs.append(np.column_stack([np.full(len(near), row), near]))
    return np.concatenate(pairs)


def group_duplicates(index: pd.DataFrame, bits: int) -> np.ndarray:
    """Group images that show the same thing, also by way of a third image.

    Args:
        index: A row an image, with ``content_hash`` ("" where unreadable) and ``perceptual_hash`` (hexadecimal).
        bits: Largest difference of perceptual hashes that still counts as a duplicate; -1 to compare pixels only.

    Returns:
        Group number (N,) of each image; unreadable images are alone.
    """
    count = len(index)
    readable = (index["content_hash"] != "").to_numpy()
    content = pd.factorize(index["content_hash"])[0]
    content[~readable] = content.max(initial=0) + 1 + np.arange(int((~readable).sum()))
    links = [np.column_stack([np.arange(count), _find_first_occurrences(content)])]
    if bits >= 0 and readable.any():
        rows = np.flatnonzero(readable)
        hashes = np.array([int(text, 16) for text in index["perceptual_hash"].to_numpy()[rows]], dtype=np.uint64)
        unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        links.append(np.column_stack([rows, rows[first[inverse]]]))
        links.append(rows[first[find_near_pairs(unique, bits)]])
    edges = np.concatenate(links)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _find_first_occurrences(values: np.ndarray) -> np.ndarray:
    """Return for each entry the position at which its value stands first."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse]
