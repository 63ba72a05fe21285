"""When the sides of a contrast differ: cluster-based permutation tests over the steps of a study's curves."""

import pandas as pd

from fer.config.study import Study
from fer.metrics.clusters import Cluster, find_clusters_between, find_clusters_paired
from fer.study.contrasts import Sides, list_sides, name_contrasts
from fer.study.panel import align_steps, list_step_measures, select_measures

CLUSTER_COLUMNS = ("contrast", "stimulus", "measure", "start_s", "end_s", "mass", "p")
# Clusters above it are chance as far as anybody can tell, and left out.
ALPHA = 0.05


def find_contrast_clusters(steps: pd.DataFrame, study: Study, seed: int = 0) -> pd.DataFrame:
    """Build ``StudyData.clusters``.

    Args:
        steps: ``StudyData.steps``.
        study: Whose contrasts with ``over_time`` are tested.
        seed: Of the permutations.

    Returns:
        CLUSTER_COLUMNS, a row for each cluster (``fer.metrics.clusters``) whose p is at most ALPHA. ``p`` holds over
        all steps, stimuli and measures of the contrast together: that of the test over time, times the number of such
        tests (Bonferroni). ``mass`` is negative where a is smaller. Where the sides are stimuli, ``stimulus`` is ""
        and the steps those that both have.
    """
    known = list_step_measures(steps)
    rows = []
    for name, contrast in zip(name_contrasts(study), study.contrasts, strict=True):
        if contrast.kind == "mixed" or not contrast.over_time:
            continue
        measures = select_measures(study.measures if contrast.measures is None else contrast.measures, known)
        tests = [
            (sides.stimulus, measure, second, clusters)
            for sides in list_sides(steps, contrast, study)
            for measure, second, clusters in _test_sides(sides, measures, contrast.kind == "within", study.step_s, seed)
        ]
        for stimulus, measure, start_s, clusters in tests:
            for cluster in clusters:
                p = min(1.0, cluster.p * len(tests))
                start, end = (start_s + place * study.step_s for place in (cluster.start, cluster.stop))
                if p <= ALPHA:
                    rows.append((name, stimulus, measure, start, end, cluster.mass, p))
    return pd.DataFrame(rows, columns=list(CLUSTER_COLUMNS))


def _test_sides(
    sides: Sides, measures: list[str], is_paired: bool, step_s: float, seed: int
) -> list[tuple[str, float, list[Cluster]]]:
    """Each measure with the beginning of the first step and the clusters."""
    a, b = (align_steps(side, measures, step_s) for side in (sides.a, sides.b))
    if not len(a.seconds) or not len(b.seconds):
        return []
    first, last = max(a.seconds[0], b.seconds[0]), min(a.seconds[-1], b.seconds[-1])
    values_a, values_b = (
        side.values[:, (side.seconds >= first - step_s / 2) & (side.seconds <= last + step_s / 2)] for side in (a, b)
    )
    if is_paired:
        people = [name for name in a.respondents if name in b.respondents]
        differences = (
            values_a[[a.respondents.index(name) for name in people]]
            - values_b[[b.respondents.index(name) for name in people]]
        )
        found = [find_clusters_paired(differences[..., place], seed) for place in range(len(measures))]
    else:
        found = [
            find_clusters_between(values_a[..., place], values_b[..., place], seed) for place in range(len(measures))
        ]
    return [(measure, float(first), clusters) for measure, clusters in zip(measures, found, strict=True)]
