"""An oracle that remembers answers as it would have answered, and only where that can be known."""

import pytest
import torch

from autograder.memory import KEPT, remembering

X = torch.arange(3.0)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def double(asked):
    def double(x, factor=2, **named):
        asked.append(x)
        return [factor * x, {"named": named}] if named else factor * x

    return remembering(double)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (X, X.double()),
        (X, X[:, None]),
        (X, X.flip(0)),
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ([1], (1,)),
        ("a", "b"),
    ],
)
def test_what_differs_in_any_bit_is_asked_again(double, asked, first, second):
    for value in (first, second, first, second):
        assert type(double(value)) is type(2 * value)
    assert len(asked) == 2


def test_equal_values_are_asked_once_however_they_lie_in_memory(double, asked):
    columns = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(double(columns), double(columns.clone(memory_format=torch.contiguous_format)))
    assert len(asked) == 1
    double(columns, 3)
    double(columns, factor=3)
    assert len(asked) == 3


def test_nobody_can_spoil_what_others_get(double, asked):
    for _ in range(3):
        answer = double(X)
        assert torch.equal(answer, 2 * X)
        answer.zero_()
    assert len(asked) == 1


@pytest.mark.parametrize("odd", [X.clone().requires_grad_(), torch.nn.Parameter(X), X.to_sparse(), torch.zeros(20_001)])
def test_what_is_no_plain_value_is_passed_on(double, asked, odd):
    for _ in range(2):
        double(odd)
    assert len(asked) == 2 and asked[0] is odd


def test_what_cannot_be_copied_is_not_kept_and_an_error_is_no_answer(double, asked):
    assert double(X, named=1)[1] is not double(X, named=1)[1] and len(asked) == 2
    calls = []

    def fails(x):
        calls.append(x)
        raise ValueError(x)

    for _ in range(2):
        with pytest.raises(ValueError):
            remembering(fails)(1)
    assert len(calls) == 2


def test_gradients_recorded_or_not_make_two_calls(double, asked):
    double(X)
    with torch.no_grad():
        double(X)
    assert len(asked) == 2


def test_the_oldest_is_forgotten(double, asked):
    for n in range(KEPT + 1):
        double(n)
    double(KEPT)
    assert len(asked) == KEPT + 1
    double(0)
    assert len(asked) == KEPT + 2
