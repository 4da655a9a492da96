"""Lesson 06 beside diffusers: what is recorded follows from its reasons, and is what the library gives."""

import contextlib
import io
import math

import pytest
from lesson_answers import lesson_source, solution

FIRST = "# Experiment: your steps beside diffusers'"


@pytest.fixture(scope="module")
def cell():
    """The names of that cell, after a run."""
    names = dict(solution("06-sampling"))
    with contextlib.redirect_stdout(io.StringIO()):
        for source in (c.source for c in lesson_source("06-sampling").cells if c.is_code):
            if source.startswith(("my_mean = ", FIRST)):
                exec(source, names)
    return names


def ends(table, times, back):
    """Mean and deviation for N(1, 1) when each step assumes it goes back by `back`, whatever comes next (eta = 0)."""
    mean, variance = 0.0, 1.0
    for t in times:
        now, then = table[t], table[max(t - back, 0)]
        # x_0 = sqrt(now) x + (1 - now), the regression of data on x_t; both have unit variance.
        gain = math.sqrt(then * now) + math.sqrt((1 - then) * (1 - now))
        rest = math.sqrt(then) * (1 - now) - math.sqrt((1 - then) * (1 - now) * now)
        mean, variance = gain * mean + rest, gain**2 * variance
    return mean, math.sqrt(variance)


@pytest.mark.parametrize(
    ("spacing", "steps", "times", "back"),
    [
        ("trailing", 50, range(1000, 0, -20), 20),
        ("leading", 50, range(981, 0, -20), 20),
        ("trailing", 501, [round(1000 - 1000 / 501 * i) for i in range(501)], 1),
        ("leading", 501, range(501, 0, -1), 1),
    ],
)
def test_what_is_recorded_follows_from_where_each_step_goes(cell, spacing, steps, times, back):
    assert cell["RECORDED"][spacing, steps] == pytest.approx(ends(cell["THOUSAND"].tolist(), times, back), abs=2e-5)


def test_ones_own_steps_reach_mean_and_deviation(cell):
    assert cell["your_ending"](1000) == pytest.approx((1, 1), abs=0.01)


def test_what_is_recorded_is_what_the_library_gives(cell):
    pytest.importorskip("diffusers")
    live = cell["theirs"]
    assert live.keys() == cell["RECORDED"].keys()
    for name in live.keys() - {"one step"}:
        assert live[name] == pytest.approx(cell["RECORDED"][name], abs=0.01)
    assert max(live["one step"]) < 1e-3
