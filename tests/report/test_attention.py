"""Is an exercise accused only where a whole interval accuses it?"""

import pytest

from autograder.report.attention import FEWEST, POOR, remarks
from autograder.report.numbers import Estimate
from autograder.report.summary import Exercise

HALF = Estimate(0.5, 0.4, 0.6)


def told(discrimination, count=FEWEST, passed=HALF):
    exercise = Exercise("f", 1.0, False, count, passed, Estimate(0.5), discrimination, 0, 0, 0, (), ())
    return [remark.text for remark in remarks([exercise])]


@pytest.mark.parametrize("value", [-0.3, 0.0, POOR - 0.01])
def test_a_low_value_alone_accuses_nobody(value):
    assert told(Estimate(value, value - 0.3, POOR + 0.01)) == []
    assert told(Estimate(value)) == []


def test_a_whole_interval_below_the_bound_accuses():
    assert "does hardly better" in told(Estimate(0.05, -0.08, POOR - 0.01))[0]
    assert "fails here" in told(Estimate(-0.3, -0.5, -0.1))[0]


def test_little_to_go_by_is_said_of_nobody():
    bad = Estimate(-0.3, -0.5, -0.1)
    assert told(bad, count=FEWEST - 1) == []
    assert told(bad, passed=Estimate(0.97, 0.91, 0.99)) == []
