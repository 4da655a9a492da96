"""Intervals hold the truth as often as they say."""

import numpy as np
import pytest

from autograder.report.numbers import Estimate, correlation, mean, percent, proportion, reliability, shown

TRIES = 150
DRAW = np.random.default_rng(5)


def covered(intervals, truth):
    return np.mean([one.low <= truth <= one.high for one in intervals])


def test_wilsons_interval_by_its_formula():
    n, z = 37, 1.959963984540054
    for k in (0, 3, 20, 37):
        p = k / n
        middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        found = proportion(k, n)
        assert found.low == pytest.approx((middle - half) / (1 + z**2 / n), abs=1e-12)
        assert found.high == pytest.approx((middle + half) / (1 + z**2 / n), abs=1e-12)


def test_the_interval_of_a_correlation_covers_it():
    rho = 0.4
    pairs = DRAW.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=(TRIES, 80))
    assert 0.88 <= covered([correlation(*pair.T) for pair in pairs], rho) <= 1


def test_the_interval_of_a_mean_covers_it():
    assert 0.88 <= covered([mean(row) for row in DRAW.exponential(size=(TRIES, 60))], 1.0) <= 1


def test_alpha_is_the_reliability_of_parallel_items():
    """k items, each ability plus noise of variance s: alpha = k / (k + s) (Spearman and Brown)."""
    items, noise = 8, 3.0
    scores = [a[:, None] + noise**0.5 * DRAW.normal(size=(60, items)) for a in DRAW.normal(size=(60, 60))]
    truth = items / (items + noise)
    found = [reliability(one) for one in scores]
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.03)
    assert 0.85 <= covered(found, truth) <= 1


def test_what_is_not_defined_has_no_number():
    assert proportion(0, 0) == correlation([1, 1, 1], [1, 2, 3]) == Estimate(None)
    assert mean([2.0, 4.0]) == Estimate(3.0)  # two students say nothing about others
    assert reliability(np.ones((30, 1))) == Estimate(None)


def test_numbers_in_words():
    assert shown(Estimate(-0.414, -0.5, 0.01)) == "−0.41 (−0.50 to 0.01)"
    assert (shown(Estimate(None)), shown(Estimate(2.0), 1)) == ("–", "2.0")
    assert percent(Estimate(0.744, 0.68, 0.8)) == "74% (68 to 80)"
