"""The small worlds against drawn routes, against another way to say the same, and against lists of all paths."""

import itertools
import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from course_lib import worlds
from course_lib.worlds import ROUNDABOUT


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_places_have_the_mean_and_the_variance_that_are_said():
    places, actions, way = ROUNDABOUT.sample(40000, generator())
    assert torch.allclose(places[:, :-1] + actions, places[:, 1:])
    for i, m in itertools.product((0, 3, 16), (0, 1)):
        off = places[way == m, i] - ROUNDABOUT.ways[m, i]
        n, variance = len(off), ROUNDABOUT.variance(i)
        assert (off.mean(0).abs() < 4.5 * math.sqrt(variance / n)).all()
        assert off.var(0).tolist() == pytest.approx([variance] * 2, rel=4.5 * math.sqrt(2 / n))
    assert (way == 0).double().mean().item() == pytest.approx(0.7, abs=0.01)
    assert ROUNDABOUT.crash(places).double().mean() < 1e-3


@pytest.mark.parametrize("i", [0, 5])
def test_a_chunk_given_the_place_is_that_of_the_joint_gaussian(i):
    """Place and actions of one way are affine in the draws: their joint covariance, conditioned by blocks."""
    horizon, place = 4, torch.tensor([[-0.6, 0.25], [-0.9, -0.1]], dtype=torch.float64)
    draws = torch.eye(1 + horizon, dtype=torch.float64)  # p_i's own deviation, and one noise for each action
    off, actions = math.sqrt(ROUNDABOUT.variance(i)) * draws[0], []
    seen = off
    for j in range(horizon):
        actions.append(-ROUNDABOUT.pull * off + ROUNDABOUT.noise * draws[1 + j])
        off = off + actions[-1]
    rows = torch.stack([seen, *actions])
    joint = rows @ rows.T
    gain, left = joint[1:, 0] / joint[0, 0], joint[1:, 1:] - joint[1:, :1] @ joint[:1, 1:] / joint[0, 0]
    weights, means, root = ROUNDABOUT.chunk(place, i, horizon)
    torch.testing.assert_close(root @ root.T, left, rtol=1e-12, atol=1e-14)
    for m in (0, 1):
        planned = ROUNDABOUT.ways[m].diff(dim=0)[i : i + horizon]
        away = place - ROUNDABOUT.ways[m, i]
        torch.testing.assert_close(means[:, m], planned + gain[:, None] * away[:, None], rtol=1e-12, atol=1e-14)
    cov = ROUNDABOUT.variance(i) * torch.eye(2, dtype=torch.float64)
    density = torch.stack([MultivariateNormal(ROUNDABOUT.ways[m, i], cov).log_prob(place).exp() for m in (0, 1)], 1)
    joint_weights = density * torch.tensor([0.7, 0.3])
    assert torch.allclose(weights, joint_weights / joint_weights.sum(1, keepdim=True))


def test_a_chunk_beyond_the_end_is_refused():
    with pytest.raises(ValueError, match="expected 1 to 2"):
        ROUNDABOUT.chunk(torch.zeros(1, 2, dtype=torch.float64), 14, 3)


def test_a_crash_is_seen_between_two_points():
    over = torch.tensor([[-1.0, 0.3], [1.0, 0.3]], dtype=torch.float64)
    past = torch.tensor([[-1.0, 0.36], [1.0, 0.36]], dtype=torch.float64)
    short = torch.tensor([[-1.0, 0.0], [-0.4, 0.0]], dtype=torch.float64)  # stops before the disc
    resting = torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    assert ROUNDABOUT.crash(torch.stack([over, past, short, resting])).tolist() == [True, False, False, False]


def test_a_push_moves_the_cart_as_physics_says():
    A, B = worlds.double_integrator(0.3)
    place, speed, push = 0.5, -1.0, 2.0
    moved = A @ torch.tensor([place, speed], dtype=torch.float64) + B[:, 0] * push
    fine = 100_000
    for _ in range(fine):  # by small steps, the middle of each
        place += (speed + push * 0.15 / fine) * 0.3 / fine
        speed += push * 0.3 / fine
    assert moved.tolist() == pytest.approx([place, speed], abs=1e-9)


def test_the_gains_are_those_of_least_squares():
    """The cheapest drive as one quadratic problem in all pushes."""
    A, B = worlds.double_integrator()
    eye = torch.eye(2, dtype=torch.float64)
    Q, Q_final, R, H = 0.3 * eye, torch.diag(torch.tensor([50.0, 20.0]).double()), 2 * eye[:1, :1], 7
    start = torch.tensor([1.0, -0.5], dtype=torch.float64)

    def cost(pushes):
        s, total = start, 0.0
        for u in pushes:
            total = total + (s @ Q @ s + R[0, 0] * u * u) / 2
            s = A @ s + B[:, 0] * u
        return total + s @ Q_final @ s / 2

    zero = torch.zeros(H, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(cost, zero)
    best = -torch.linalg.solve(hessian, torch.autograd.functional.jacobian(cost, zero))
    s, driven = start, []
    for K in worlds.lqr_gains(A, B, Q, R, Q_final, H):
        driven.append(-(K @ s)[0])
        s = A @ s - B @ (K @ s)
    assert torch.allclose(torch.stack(driven), best, atol=1e-10)


@pytest.mark.parametrize("slip", [0.0, 0.3])
def test_the_icy_bridge(slip):
    dynamics, start, goal = worlds.icy_bridge(slip)
    cells = worlds.bridge_cells()
    water = len(cells)
    assert dynamics.shape == (14, 4, 14) and (cells[start], cells[goal]) == ((0, 0), (0, 4))
    assert torch.allclose(dynamics.sum(-1), torch.ones(14, 4).double())
    assert (dynamics[water, :, water] == 1).all() and (dynamics[goal, :, goal] == 1).all()
    right, ice = 3, cells.index((0, 2))
    assert dynamics[ice, right, cells.index((0, 3))] == pytest.approx(1 - slip)
    assert dynamics[ice, right, water] == pytest.approx(slip)
    assert dynamics[start, right, cells.index((0, 1))] == 1  # the fall comes with the move from the ice
    assert dynamics[start, 0, start] == 1  # a wall
    on_foot = torch.zeros(14, dtype=torch.float64)
    on_foot[start] = 1
    for move in (1, 1, 3, 3, 3, 3, 0, 0):  # down, down, right four times, up, up
        on_foot = on_foot @ dynamics[:, move]
    assert on_foot[goal] == 1
