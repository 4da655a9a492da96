"""Joint tables against sums over states written out, and against what is known in closed form."""

import itertools
import math

import pytest
import torch

from course_lib import tables


def entropy(joint):
    return float(torch.special.entr(joint).sum())


def pixel(joint, height, width, row, column):
    """The distribution of one pixel."""
    own = row * width + column
    return joint.sum([axis for axis in range(height * width) if axis != own])


def test_all_states_run_through_a_table_in_its_own_order():
    states = tables.all_states([2, 3, 4])
    joint = torch.arange(24).reshape(2, 3, 4)
    assert states.dtype == torch.long and states.shape == (24, 3)
    assert torch.equal(joint[tuple(states.T)], torch.arange(24))
    assert tables.all_states([5]).tolist() == [[0], [1], [2], [3], [4]]


def test_an_ising_model_of_two_pixels_in_closed_form():
    joint = tables.ising(1, 2, 0.7, 0.3)
    same, other = math.exp(0.7), math.exp(-0.7)
    weights = torch.tensor([[same * math.exp(-0.6), other], [other, same * math.exp(0.6)]], dtype=torch.float64)
    assert joint.dtype == torch.float64
    torch.testing.assert_close(joint, weights / weights.sum())


def test_the_ising_model_by_a_loop_over_bonds():
    height, width, coupling, field = 2, 3, 0.4, -0.2
    weights = {}
    for x in itertools.product((0, 1), repeat=6):
        spin = {(r, c): 2 * x[r * width + c] - 1 for r in range(height) for c in range(width)}
        bonds = sum(spin[a] * spin[b] for a in spin for b in spin if a < b and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1)
        weights[x] = math.exp(coupling * bonds + field * sum(spin.values()))
    joint, total = tables.ising(height, width, coupling, field), sum(weights.values())
    assert all(math.isclose(joint[x], weight / total, rel_tol=1e-12) for x, weight in weights.items())
    assert entropy(tables.ising(2, 2, 0.0)) == pytest.approx(4 * math.log(2))


@pytest.mark.parametrize(("height", "width", "shift"), [(3, 4, 2), (2, 3, 1), (3, 3, 0), (2, 2, 5)])
def test_the_copy_process_copies_and_has_the_entropy_of_its_coins(height, width, shift):
    flip = 0.1
    joint = tables.copy_process(height, width, shift, flip)
    assert joint.dtype == torch.float64 and float(joint.sum()) == pytest.approx(1)
    copies = (height - 1) * max(0, width - shift)
    coin = -flip * math.log(flip) - (1 - flip) * math.log(1 - flip)
    assert entropy(joint) == pytest.approx((height * width - copies) * math.log(2) + copies * coin)
    if shift < width:
        states = tables.all_states(joint.shape).reshape(-1, height, width)
        agree = states[:, 1, 0] == states[:, 0, shift]
        assert float(joint.flatten()[agree].sum()) == pytest.approx(1 - flip)
    assert torch.allclose(pixel(joint, height, width, height - 1, 0), torch.full((2,), 0.5, dtype=torch.float64))


def reached(height, width, taps, layers):
    """What each pixel sees through a first layer of `taps` and `layers` more that look at their own place too."""
    sees = {place: {place} for place in itertools.product(range(height), range(width))}
    for layer in range(layers):
        offsets = taps if layer == 0 else [*taps, (0, 0)]
        sees = {(r, c): set().union(*(sees.get((r + i, c + j), set()) for i, j in offsets)) for r, c in sees}
    return [sorted(r * width + c for r, c in sees[place]) for place in sorted(sees)]


@pytest.mark.parametrize("reach", [1, 2])
def test_plain_contexts_are_what_many_masked_layers_reach(reach):
    taps = [(-i, j) for i in range(1, reach + 1) for j in range(-reach, reach + 1)] + [
        (0, -j) for j in range(1, reach + 1)
    ]
    assert tables.seen(5, 6, "plain", reach) == reached(5, 6, taps, 9)


def test_quadrant_contexts_are_what_a_recurrence_from_left_and_above_reaches():
    assert tables.seen(4, 5, "quadrant") == reached(4, 5, [(0, -1), (-1, 0)], 9)


def test_the_other_contexts():
    assert tables.seen(2, 3, "full") == [list(range(n)) for n in range(6)]
    assert tables.seen(2, 3, "none") == [[]] * 6
    assert tables.seen(2, 3, "row") == [[], [0], [0, 1], [], [3], [3, 4]]
    with pytest.raises(ValueError, match="'diagonal'; expected one of full"):
        tables.seen(2, 3, "diagonal")


def test_what_cannot_be_listed_is_refused():
    with pytest.raises(ValueError, match="at most 20 pixels"):
        tables.ising(5, 5, 0.4)
    with pytest.raises(ValueError, match="expected at least one axis"):
        tables.all_states([])


def test_tables_are_float64_whatever_the_default_is():
    torch.set_default_dtype(torch.float16)
    try:
        made = [tables.ising(2, 2, 0.3), tables.copy_process(2, 2, 1)]
    finally:
        torch.set_default_dtype(torch.float32)
    assert [table.dtype for table in made] == [torch.float64] * 2
