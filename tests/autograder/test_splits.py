"""Quantities taken apart by their values alone."""

import pytest
import torch

from autograder.diagnosis.quantities import Quantity
from autograder.diagnosis.splits import AtHand, Splits

A, B, Z = torch.tensor([[0.3, 1.7], [2.5, -0.6], [1.2, 0.8]], dtype=torch.float64)
NAMES = ("a", "b", "z", "another")
X = torch.stack([A, B, Z, torch.tensor([0.9, 0.4], dtype=torch.float64)])
QUANTITIES = [(Quantity(None, name),) for name in NAMES]


def parts_that_give(value, wrong):
    """(kind, what it is made of) of the replacements of `value` that are `wrong`, each made anew."""
    found = Splits(value, X, QUANTITIES, AtHand(X, torch.arange(len(X))[:, None].expand(-1, 2)))
    rows = [row for row, made in enumerate(found.rows) if torch.allclose(made, wrong, rtol=1e-9, atol=0.0)]
    told = []
    for part in (found.part(row, 0, 0) for row in rows):
        given = [X[NAMES.index(quantity.key)] for quantity in part.quantities]
        torch.testing.assert_close(part.change(value, *given), wrong)
        told.append((part.finding.kind, {quantity.key for quantity in part.quantities}))
    return told


@pytest.mark.parametrize(
    ("value", "wrong", "kind"),
    [
        (A / Z + B / Z, (A % B) / Z, "operation"),
        (Z + A * B, Z + A**B, "operation"),
        (Z - A / B, Z - A * B, "inverse"),
        (A / Z - B / Z, (A + B) / Z, "sign"),
        ((A + B).exp(), (A * B).exp(), "operation"),
        (1 / (A * B), 1 / (A // B), "operation"),
        ((B / Z) ** 2, B / Z - 2, "operation"),
        ((B / Z) ** 2, (B / Z) ** 3, "constant"),
    ],
)
def test_another_operation_is_found_within_a_product_or_sum(value, wrong, kind):
    assert kind in [kind for kind, _ in parts_that_give(value, wrong)]


def test_what_is_left_has_to_be_at_hand():
    """Beside a third quantity: else that would explain anything."""
    strange = torch.tensor([0.123, 4.567], dtype=torch.float64)
    assert parts_that_give(A + strange, A % strange)
    assert not parts_that_give(Z * (A + strange), Z * (A % strange))


def test_the_right_operation_has_no_kind():
    assert "" in [kind for kind, _ in parts_that_give(A + B, A + B)]
