"""What a step must have been, and the one operation or number that makes it so."""

from itertools import product

import pytest
import torch

from autograder.diagnosis.explaining import Table
from autograder.diagnosis.quantities import Quantity
from autograder.diagnosis.solving import solved

GENERATOR = torch.Generator().manual_seed(1)
A, B, Y, Z = 0.2 + 2 * torch.rand(4, 6, generator=GENERATOR, dtype=torch.float64)
X = torch.stack([A, Y, Z])  # B is not at hand
QUANTITIES = [(Quantity(None, name),) for name in "ayz"]
ALL = torch.ones(6, dtype=torch.bool)


def kinds(value, wrong):
    """The kinds of the ways in which one becomes the other, each made anew."""
    found = Table(QUANTITIES, X).explained(value, wrong, ALL)
    for way in found:
        torch.testing.assert_close(way.change(value, *(X[i] for i in way.quantities)), wrong, rtol=1e-6, atol=1e-6)
    return {way.kind for way in found}


OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
}
AROUND = {
    "nothing": lambda v: v,
    "a sum": lambda v: Y - v,
    "a product and a sum": lambda v: Y + v / Z,
    "an exponential": lambda v: Y * (-v).exp(),
}


ROUNDED = ("//", "%", "**")  # these are looked for beside one right operation at most
CASES = [
    (right, wrong, around)
    for right, wrong, around in product("+-*/", OPERATIONS, AROUND)
    if right != wrong and not (wrong in ROUNDED and around in ("an exponential", "a product and a sum"))
]


@pytest.mark.parametrize(("right", "wrong", "around"), CASES)
def test_an_operation_is_found_where_one_of_its_sides_is_at_hand(right, wrong, around):
    for one, other in ((A, B), (B, A)):
        value, became = (AROUND[around](OPERATIONS[sign](one, other)) for sign in (right, wrong))
        assert kinds(value, became), (right, wrong, around)


@pytest.mark.parametrize(
    ("value", "wrong", "kind"),
    [
        (Y + B / 2, Y + B / 3, "constant"),
        (Y * (B + 1), Y * (B + 2), "constant"),
        (Z + 2 * A * Y + B, Z + 3 * A * Y + B, "operation"),
        (Z + 2 * A + B, Z + 3 * A + B, "operation"),
        (Y + B**2, Y + B**3, "constant"),
        (Y + B**2, Y + B + 2, "operation"),
        (B + A, B - A, "operation"),
        (B + A, B, "operation"),
        (B * A, B, "operation"),
    ],
)
def test_another_number_a_sign_and_a_missing_part_are_found(value, wrong, kind):
    assert kind in kinds(value, wrong)


def test_what_has_nothing_to_do_with_what_is_at_hand_is_not_explained():
    other = 0.2 + 2 * torch.rand(6, generator=GENERATOR, dtype=torch.float64)
    assert not kinds(B, other)
    assert not kinds(A * B, other * B)


@pytest.mark.parametrize(
    "rest",
    [lambda v: 3 * v - Y, lambda v: Y / v.exp(), lambda v: (Y, v[:, None] * torch.ones(6, 2)), lambda v: v * v - Y],
)
def test_a_step_is_told_from_what_came_back(rest):
    found = solved(rest, A, rest(B))
    assert found is not None
    torch.testing.assert_close(found[0], B, rtol=1e-9, atol=1e-9)
    assert found[1].all()


def test_a_step_is_not_told_where_several_of_its_entries_meet():
    assert solved(lambda v: v.sum(), A, B.sum()) is None
    assert solved(lambda v: v.softmax(0), A, B.softmax(0)) is None
    assert solved(lambda v: 2 * v, A, torch.full_like(A, torch.nan)) is None
