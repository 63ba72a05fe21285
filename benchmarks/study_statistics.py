"""`python -m benchmarks.study_statistics [--studies 1000]`: do a study's statistics hold?

By simulation: how often tests find a difference where there is none, how often intervals cover what they are of, and
how often a difference is found beside what the power predicts. People's values are normal, exponential (as rare
emotions are) or of a beta distribution, in panels of usual sizes; steps of a curve resemble their neighbours.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np

from fer.metrics.clusters import Cluster, find_clusters_between, find_clusters_paired
from fer.metrics.effect_sizes import (
    compute_cliffs_delta,
    compute_hedges_g_interval,
    compute_paired_delta,
    compute_paired_g_interval,
)
from fer.metrics.multiple_tests import correct_p_values
from fer.metrics.panel_reliability import compute_icc, compute_split_half
from fer.metrics.permutation import compute_permutation_p, compute_sign_flip_p
from fer.metrics.power import compute_power_between, compute_power_paired
from fer.metrics.small_samples import compute_difference_interval, compute_mean_interval

LEVEL = 0.05
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Row = tuple[str, str, float, str]
# Name: values of mean 0 and standard deviation 1.
POPULATIONS: dict[str, Draw] = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "exponential": lambda random, shape: random.exponential(size=shape) - 1,
    "beta(1/2, 3)": lambda random, shape: (random.beta(0.5, 3, shape) - 1 / 7) / np.sqrt(1.5 / (3.5**2 * 4.5)),
}
SIZES = ((5, 5), (8, 8), (6, 14), (12, 12), (24, 8))
COUNTS = (6, 8, 12, 24)
STEPS = 30
# What neighbouring steps share: the weight of the last one.
RESEMBLANCE = 0.6


def measure_false_alarms(studies: int) -> Iterator[Row]:
    """How often p is at most LEVEL where nothing differs."""
    for name, draw in POPULATIONS.items():
        random = np.random.default_rng(1)
        for sizes in SIZES:
            a, b = (draw(random, (size, studies)) for size in sizes)
            yield "false alarms: between", f"{name}, {sizes}", _share(_permute(a, b)), "0.05"
        for count in COUNTS:
            differences = draw(random, (count, studies)) - draw(random, (count, studies))
            yield "false alarms: within", f"{name}, {count}", _share(compute_sign_flip_p(differences, 0)), "0.05"
        # Ten segments and measures of one study, which depend on each other, as one family.
        fewer = max(studies // 3, 1)
        shared = [draw(random, (12, fewer, 1)) + draw(random, (12, fewer, 10)) for _ in range(2)]
        for label, p_values in (
            ("between", _permute(*(side.reshape(12, -1) for side in shared))),
            ("within", compute_sign_flip_p((shared[0] - shared[1]).reshape(12, -1), 0)),
        ):
            families = p_values.reshape(fewer, 10)
            found = np.mean([correct_p_values(family, "holm").min() <= LEVEL for family in families])
            yield f"false alarms: {label}, any of 10 by Holm", f"{name}, 12", float(found), "0.05"


def measure_clusters(studies: int) -> Iterator[Row]:
    """How often any cluster, and any moment, is found in curves of nothing.

    Panels are so small that all ways are tried, which is fast.
    """
    for name, draw in POPULATIONS.items():
        random = np.random.default_rng(2)
        for sizes in ((5, 5), (4, 6)):
            found = [
                _finds(
                    find_clusters_between(draw_curves(draw, random, sizes[0]), draw_curves(draw, random, sizes[1]), 0)
                )
                for _ in range(studies)
            ]
            yield "false alarms: clusters between", f"{name}, {sizes}", float(np.mean(found)), "0.05"
        for count in (7, 10):
            curves = [(draw_curves(draw, random, count), draw_curves(draw, random, count)) for _ in range(studies)]
            found = [_finds(find_clusters_paired(a - b, 0)) for a, b in curves]
            yield "false alarms: clusters within", f"{name}, {count}", float(np.mean(found)), "0.05"
            moments = [
                any(cluster.p <= LEVEL for cluster in find_clusters_paired(_center(a), 0, one_sided=True))
                for a, _ in curves
            ]
            yield "false alarms: moments of one curve", f"{name}, {count}", float(np.mean(moments)), "0.05"


def measure_coverage(studies: int) -> Iterator[Row]:
    """How often 95 % intervals cover what they are of."""
    for name, draw in POPULATIONS.items():
        random = np.random.default_rng(3)
        many = [draw(random, (400_000,)) for _ in range(2)]
        for count in COUNTS:
            ends = compute_mean_interval(draw(random, (count, studies)), 0)
            yield "coverage: band of a mean", f"{name}, {count}", _cover(ends, 0.0), "0.95"
        for sizes in SIZES:
            a, b = (draw(random, (size, studies)) for size in sizes)
            yield "coverage: difference", f"{name}, {sizes}", _cover(compute_difference_interval(a, b, 0), 0), "0.95"
            for effect in (0.0, 0.5, 1.2):
                delta = float(np.sign(many[0] + effect - many[1]).mean())
                label = f"{name}, {sizes}, g = {effect:g}"
                yield "coverage: Hedges' g", label, _cover(compute_hedges_g_interval(a + effect, b)[1:], effect), "0.95"
                yield "coverage: Cliff's delta", label, _cover(compute_cliffs_delta(a + effect, b)[1:], delta), "0.95"
        for count in COUNTS:
            for effect in (0.0, 0.5, 1.2):
                # Differences of two such values have a standard deviation of the root of 2.
                shift = effect * np.sqrt(2)
                differences = draw(random, (count, studies)) - draw(random, (count, studies)) + shift
                delta, label = float(np.sign(many[0] - many[1] + shift).mean()), f"{name}, {count}, g = {effect:g}"
                ends = compute_paired_g_interval(differences)[1:]
                yield "coverage: paired g", label, _cover(ends, effect), "0.95"
                yield "coverage: paired delta", label, _cover(compute_paired_delta(differences)[1:], delta), "0.95"


def measure_reliability(studies: int) -> Iterator[Row]:
    """How often the intervals of split-half reliability and ICC(2,k) cover the true one."""
    signal = np.exp(-(((np.arange(STEPS) - STEPS / 2) / 4) ** 2))
    for name, draw in POPULATIONS.items():
        random = np.random.default_rng(4)
        for count in (8, 16):
            found = []
            for _ in range(studies):
                values = signal + draw_curves(draw, random, count) + 0.7 * draw(random, (count, 1))
                found.append((*compute_split_half(values, 0)[1:], *compute_icc(values)[1][1:]))
            ends = np.array(found).T
            spread = signal.var(ddof=1)
            truth, truth_icc = spread / (spread + 1 / count), spread / (spread + 1.49 / count)
            yield "coverage: split half", f"{name}, {count}", _cover(ends[:2], truth), "0.95"
            yield "coverage: ICC(2,k)", f"{name}, {count}", _cover(ends[2:], truth_icc), "0.95"


def measure_power(studies: int) -> Iterator[Row]:
    """How often a difference is found, beside the predicted power."""
    for name, draw in POPULATIONS.items():
        random = np.random.default_rng(5)
        for sizes, effect in (((12, 12), 0.8), ((8, 24), 1.0), ((20, 20), 0.5)):
            a, b = (draw(random, (size, studies)) for size in sizes)
            predicted = compute_power_between(effect, *sizes)
            found = _share(_permute(a + effect, b))
            yield "power: between", f"{name}, {sizes}, g = {effect:g}", found, f"{predicted:.3f}"
        for count, effect in ((12, 0.8), (24, 0.5)):
            differences = (draw(random, (count, studies)) - draw(random, (count, studies))) / np.sqrt(2) + effect
            predicted = compute_power_paired(effect, count)
            found = _share(compute_sign_flip_p(differences, 0))
            yield "power: within", f"{name}, {count}, g = {effect:g}", found, f"{predicted:.3f}"


def draw_curves(draw: Draw, random: np.random.Generator, people: int) -> np.ndarray:
    """(people, STEPS) of variance 1, in which neighbouring steps resemble each other."""
    values = draw(random, (people, STEPS))
    for step in range(1, STEPS):
        values[:, step] = RESEMBLANCE * values[:, step - 1] + np.sqrt(1 - RESEMBLANCE**2) * values[:, step]
    return values


def _permute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What ``compute_permutation_p`` gives, of so many figures at a time that it takes little memory."""
    parts = range(0, a.shape[1], 100)
    return np.concatenate(
        [compute_permutation_p(a[:, part : part + 100], b[:, part : part + 100], 0) for part in parts]
    )


def _share(p_values: np.ndarray) -> float:
    return float((p_values <= LEVEL).mean())


def _finds(clusters: list[Cluster]) -> bool:
    return any(cluster.p <= LEVEL for cluster in clusters)


def _center(curves: np.ndarray) -> np.ndarray:
    return np.asarray(curves - curves.mean(axis=1, keepdims=True))


def _cover(ends: tuple[np.ndarray, ...] | np.ndarray, truth: float) -> float:
    return float(((ends[0] <= truth) & (truth <= ends[1])).mean())


def main() -> None:
    """Measure, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies of each kind")
    parser.add_argument("--only", default="", help="kinds that contain this")
    studies = parser.parse_args().studies
    only = parser.parse_args().only
    parts = {
        "false alarms": measure_false_alarms,
        "false alarms: clusters": measure_clusters,
        "coverage": measure_coverage,
        "coverage: reliability": measure_reliability,
        "power": measure_power,
    }
    print(f"{studies} studies each: a share of 0.95 or 0.05 has a standard error of {np.sqrt(0.0475 / studies):.4f}")
    print(f"{'what':44} {'of':34} {'found':>7} {'expected':>9}")
    for title, measure in parts.items():
        if only not in title:
            continue
        begin = time.process_time()
        for kind, label, found, expected in measure(
            max(studies // 5, 1) if measure is measure_reliability else studies
        ):
            print(f"{kind:44} {label:34} {found:7.3f} {expected:>9}", flush=True)
        print(f"{title}: {time.process_time() - begin:.1f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
