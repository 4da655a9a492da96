"""What a check draws, how an answer is compared, and that no message gives a hidden value away."""

import math

import pytest
import torch

from autograder.case import Case, total
from autograder.difference import difference, failure_in, form
from autograder.student import Failure, local

X = torch.tensor([1.0, 2.0, -4.0], dtype=torch.float64)


def test_draws_depend_on_the_seed_alone():
    first, second, other = Case(1), Case(1), Case(2)
    for one, two in [(first, second)]:
        assert torch.equal(one.normal(3, 2), two.normal(3, 2)) and one.number(0, 1) == two.number(0, 1)
        assert one.sizes(3) == two.sizes(3) and one.integer(0, 9) == two.integer(0, 9)
    assert not torch.equal(Case(1).normal(4), other.normal(4))


def test_sizes_differ_and_stay_in_range():
    for seed in range(50):
        sizes = Case(seed).sizes(4, low=3, high=6)
        assert sorted(sizes) == [3, 4, 5, 6]
    with pytest.raises(ValueError, match="do not fit"):
        Case(0).sizes(3, low=1, high=2)


def test_draws_cover_what_they_promise():
    case = Case(0)
    assert case.normal(dtype=torch.float32).shape == () and case.normal(2).dtype == torch.float64
    drawn = case.uniform(1000, low=2, high=3)
    assert drawn.min() >= 2 and drawn.max() < 3
    assert {case.integer(1, 3) for _ in range(100)} == {1, 2, 3}
    assert 0.5 <= case.number(0.5, 0.6) < 0.6


@pytest.mark.parametrize(
    ("got", "truth"),
    [
        (X, X * (1 + 1e-9)),
        (X.float(), X),
        (X.to(torch.complex128), X),
        (torch.tensor([math.inf, -math.inf, math.nan]), torch.tensor([math.inf, -math.inf, math.nan])),
        (1.0, 1),
        (3, 3.0),
        ([X, (1.0, None)], (X, [1.0, None])),
        ({"a": X}, {"a": X}),
        (torch.tensor([1.0, 1e-12]), torch.tensor([1.0, 0.0])),
        (torch.empty(0, 2), torch.empty(0, 2)),
        (True, True),
        ("beta", "beta"),
    ],
)
def test_right_answers(got, truth):
    assert difference(got, truth) == ""


@pytest.mark.parametrize(
    ("got", "truth", "words"),
    [
        (X + 1e-5, X, "3 of 3 values are wrong"),
        (torch.tensor([1.0, 2.0, 3.0]), X, "1 of 3 values are wrong"),
        (torch.tensor(2.0), torch.tensor(1.0), "the value is wrong"),
        (2.0, 1.0, "the value is wrong"),
        (X[:2], X, "expected shape (3,), got (2,)"),
        (X[None], X, "got (1, 3)"),
        (X * math.nan, X, "NaN"),
        (X * math.inf, X, "infinite"),
        (-torch.tensor([math.inf, -1.0]), torch.tensor([math.inf, 1.0]), "1 of 2 values are wrong"),
        (X[0].item(), X, "a tensor of shape (3,), got a float"),
        (X[0], 1.0, "expected a float, got a tensor of shape ()"),
        (True, 1.0, "got a bool"),
        (1.0, True, "expected a bool"),
        pytest.param(-(10**400), 1.0, "infinite", id="an integer beyond every float"),
        (None, X, "return statement"),
        ("1.0", 1.0, "got a str"),
        ([X], X, "got a list of 1"),
        ([X, X], [X, X, X], "expected 3 values, got a list of 2"),
        ([X, X + 1], [X, X], "value 2: 3 of 3"),
        ({"b": X}, {"a": X}, "expected a dict with a"),
        ({"a": X + 1}, {"a": X}, "a: 3 of 3"),
        (1, None, "expected None, got an int"),
        ("alpha", "beta", "expected 'beta'"),
        (local("f", {}), X, "got a function or an object"),
    ],
)
def test_wrong_answers(got, truth, words):
    assert words in difference(got, truth)


def test_tolerance_is_relative_to_the_largest_entry_and_that_of_the_coarser_dtype():
    large = torch.tensor([1e6, 1.0], dtype=torch.float64)
    assert difference(large + 0.05, large) == "" and difference(large + 0.2, large) != ""
    assert difference((large + 100).float(), large) == ""
    assert difference(large + 100, large) != ""
    assert difference(large + 100, large, rtol=1e-3) == "" and difference(X + 1e-3, X, rtol=0, atol=1e-2) == ""


def test_the_dtype_counts_where_it_is_asked_for():
    assert difference(X, X.float()) == "" and "float32" in difference(X, X.float(), dtype=True)


@pytest.mark.parametrize("value", [X, [X], None, 1, 1.0, "text", local("f", {}), Failure("stub", "…")])
def test_a_form_never_shows_a_value(value):
    assert not any(number in form(value) for number in ("4.", "2.", "text"))


def test_every_outcome_is_reported_with_its_points():
    case = Case(0)
    assert case.expect(X, X, "right", points=1)
    assert not case.expect(X + 1, X, "wrong", points=0.5, hint="Look at the sign")
    assert not case.check(False, "no property", points=0.5, hint="it must be so")
    assert case.check(torch.tensor(True), "a property", points=0.25)
    assert [(o.points, o.max_points, o.passed) for o in case.outcomes] == [
        (1, 1, True),
        (0, 0.5, False),
        (0, 0.5, False),
        (0.25, 0.25, True),
    ]
    assert case.outcomes[1].message == "3 of 3 values are wrong. Look at the sign"
    assert case.outcomes[2].message == "it must be so" and case.outcomes[0].message == ""
    assert total(case.outcomes) == 1.25


def test_a_failure_anywhere_in_an_answer_or_a_truth_is_the_message():
    failure = Failure("raised", "f raised ZeroDivisionError")
    for got, truth in ((failure, X), (X, failure), ([X, failure], [X, X]), ({"a": (failure,)}, {"a": (X,)})):
        case = Case(0)
        assert not case.expect(got, truth, "value", points=1)
        assert case.outcomes[0].message == failure.message and case.outcomes[0].got is failure
    case = Case(0)
    assert not case.check(failure, "property") and case.outcomes[0].message == failure.message
    assert failure_in([X, {"a": [failure]}]) is failure and failure_in([X, {"a": 1}]) is None


def test_a_suspect_is_named_when_the_answer_equals_what_its_mistake_gives():
    case, asked = Case(0), []
    suspects = {"double": 2 * X, "triple": lambda: asked.append("triple") or 3 * X, "raised": Failure("raised", "…")}
    case.expect(3 * X, X, "value", suspects=suspects)
    case.expect(4 * X, X, "value", suspects=suspects)
    case.expect(2 * X, X, "value", suspects=suspects)
    case.expect(X, X, "value", suspects=suspects)
    assert [outcome.suspect for outcome in case.outcomes] == ["triple", None, "double", None]
    assert asked == ["triple", "triple"]


def test_unpack_names_the_parts_that_were_expected():
    case = Case(0)
    assert case.unpack((1, 2), "mu", "logvar") == [1, 2]
    failures = case.unpack(X, "mu", "logvar")
    assert len(failures) == 2 and "(mu, logvar)" in failures[0].message
    stub = Failure("stub", "not written yet")
    assert case.unpack(stub, "mu", "logvar") == [stub, stub]


def test_an_upstream_that_was_not_declared_is_an_error_of_the_check():
    with pytest.raises(KeyError, match="after="):
        Case(0).upstream("gaussian_kl")


def conventions(function, *args) -> str:
    case = Case(0)
    case.conventions(local("f", {"f": function}), args or (X, 2.0), lambda x, a: a * x, points=1)
    (outcome,) = case.outcomes
    assert outcome.passed == (not outcome.message) and outcome.points == float(outcome.passed)
    return outcome.message


def test_conventions_want_the_dtype_the_value_and_the_inputs_as_they_were():
    assert conventions(lambda x, a: a * x) == ""
    assert "expected dtype torch.float32" in conventions(lambda x, a: a * x.double())
    assert "expected dtype torch.float64" in conventions(lambda x, a: (a * x).float())
    assert "wrong" in conventions(lambda x, a: x)
    assert "an input was modified" in conventions(lambda x, a: x.mul_(a))
    assert "ZeroDivisionError" in conventions(lambda x, a: 1 / 0)
