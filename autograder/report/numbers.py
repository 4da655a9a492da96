"""Numbers of a class with their uncertainty: 95% intervals, by Wilson's formula or by resampling students.

Resampling starts from a fixed seed, so that a report made twice is the same. A class is seen as a sample of those who
might take the course: an interval says how far a number hangs on who happened to be in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

RESAMPLES, LEVEL = 2000, 0.95
FEWEST = 8  # students from whom an interval is drawn by resampling

Array = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. All are None where it is not defined, `low` and `high` where the class is too small
    for an interval, or where resampling says nothing.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def shown(estimate: Estimate, places: int = 2) -> str:
    """A number as people read it: 0.41 (0.30 to 0.52)."""
    parts = [None if part is None else f"{part:.{places}f}".replace("-", "−") for part in vars(estimate).values()]
    if parts[0] is None:
        return "–"
    return parts[0] if None in parts else f"{parts[0]} ({parts[1]} to {parts[2]})"


def percent(estimate: Estimate) -> str:
    """A share as people read it: 74% (68 to 80)."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "–" if estimate.value is None else f"{100 * estimate.value:.0f}%"
    return f"{100 * estimate.value:.0f}% ({100 * estimate.low:.0f} to {100 * estimate.high:.0f})"


def proportion(successes: int, count: int) -> Estimate:
    """A share, with Wilson's interval (Wilson 1927): it stays within 0 and 1 and has a width at 0 of n, too."""
    if count == 0:
        return Estimate(None)
    interval = binomtest(successes, count).proportion_ci(LEVEL, method="wilson")
    return Estimate(successes / count, float(interval.low), float(interval.high))


def mean(values: Sequence[float]) -> Estimate:
    """A mean of independent students."""
    return _resampled(np.asarray(values, float)[:, None], lambda drawn: drawn[..., 0].mean(-1))


def correlation(one: Sequence[float], other: Sequence[float]) -> Estimate:
    """Pearson's correlation of two numbers of each student; not defined where one of them is the same for all.

    Of an exercise's points with the points of all others it is the item-rest correlation: how well the exercise tells
    those who do well elsewhere from those who do not.
    """
    return _resampled(np.stack([one, other], -1).astype(float), _pearson)


def reliability(scores: Array) -> Estimate:
    """Cronbach's alpha of scores (students, exercises): about the squared correlation of sums with what they would be
    on average over many such sets of exercises (Cronbach 1951).
    """
    return _resampled(np.asarray(scores, float), _alpha)


def _pearson(drawn: Array) -> Array:
    centred = drawn - drawn.mean(-2, keepdims=True)
    one, other = centred[..., 0], centred[..., 1]
    return np.asarray((one * other).sum(-1) / np.sqrt((one**2).sum(-1) * (other**2).sum(-1)))


def _alpha(drawn: Array) -> Array:
    items = drawn.shape[-1]
    if items < 2:
        return np.full(drawn.shape[:-2], np.nan)
    return np.asarray(items / (items - 1) * (1 - drawn.var(-2, ddof=1).sum(-1) / drawn.sum(-1).var(-1, ddof=1)))


def _resampled(rows: Array, statistic: Callable[[Array], Array]) -> Estimate:
    """`statistic` of (…, students, columns), and the middle 95% of what it is for students drawn with replacement."""
    if len(rows) < 2:
        return Estimate(float(rows[0, 0]) if rows.shape == (1, 1) else None)
    draws = np.random.default_rng(0).integers(len(rows), size=(RESAMPLES, len(rows)))
    with np.errstate(all="ignore"):
        value = float(statistic(rows))
        found = np.concatenate([statistic(rows[some]) for some in np.array_split(draws, 20)])
    found = found[np.isfinite(found)]
    if not np.isfinite(value):
        return Estimate(None)
    if len(rows) < FEWEST or len(found) < RESAMPLES / 2:
        return Estimate(value)
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
