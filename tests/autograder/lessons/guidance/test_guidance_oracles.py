"""The oracles of 08-guidance against closed forms, integrals and walks that are known exactly."""

import math

import pytest
import torch
from torch.distributions import Normal

from autograder.exercise import find_exercise
from course_lib.exact import MIXTURE_1D, GaussianData

TABLE = torch.cat([torch.ones(1), torch.cumprod(1 - torch.linspace(0.05, 0.5, 7), 0)]).double()
WEIGHTS, MEANS = torch.tensor([0.3, 0.7]).double(), torch.tensor([[-1.0], [1.0]]).double()
VARIANCES = torch.tensor([[1.0], [0.6]]).double()
GRID = torch.linspace(-14, 14, 8001, dtype=torch.float64)


def oracle(name):
    return find_exercise(name).oracle


def linear(steps, first, last):
    return torch.cat([torch.ones(1), torch.cumprod(1 - torch.linspace(first, last, steps), 0)]).double()


@pytest.mark.parametrize("time", [1, 4, 7])
def test_the_classifier_is_an_average_of_clean_ones(time):
    level, at = TABLE[time], torch.tensor([[0.4]], dtype=torch.float64)
    each = WEIGHTS[:, None] * Normal(MEANS, VARIANCES.sqrt()).log_prob(GRID).exp()  # (2, N)
    seen = each.sum(0) * Normal(level.sqrt() * GRID, (1 - level).sqrt()).log_prob(at[0]).exp()
    average = (seen * each[1] / each.sum(0)).sum() / seen.sum()
    got = oracle("class_log_probs")(at, torch.tensor([time]), WEIGHTS, MEANS, VARIANCES, TABLE)
    assert torch.allclose(got.exp()[0, 1], average, rtol=1e-7)


def test_without_a_label_the_mixture_has_its_own_noise():
    x, t = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None], torch.tensor([1, 2, 3, 4, 5, 6, 7])
    given = MIXTURE_1D.weights, MIXTURE_1D.means, MIXTURE_1D.covs[:, 0]
    got = oracle("mixture_eps")(x, t, torch.full((7,), 2), *given, TABLE)
    score = MIXTURE_1D.score(x, TABLE[t])
    assert torch.allclose(got, -(1 - TABLE[t]).sqrt()[:, None] * score)


def test_scale_1_is_the_class_and_both_guidances_agree():
    x, t, y = torch.tensor([[0.3], [-1.2], [2.0]]).double(), torch.tensor([2, 5, 7]), torch.tensor([1, 0, 1])
    given = WEIGHTS, MEANS, VARIANCES, TABLE

    def logs(x, t):
        level = TABLE[t][:, None, None]
        at = Normal(level.sqrt() * MEANS, (level * VARIANCES + 1 - level).sqrt())
        return (WEIGHTS.log() + at.log_prob(x[:, None]).sum(-1)).log_softmax(1)

    def model(x, t, y):
        return oracle("mixture_eps")(x, t, y, *given)

    free, told = model(x, t, torch.full((3,), 2)), model(x, t, y)
    assert torch.allclose(oracle("classifier_guided_eps")(free, logs, x, t, y, 1.0, TABLE), told)
    by_classifier = oracle("classifier_guided_eps")(free, logs, x, t, y, 2.7, TABLE)
    assert torch.allclose(oracle("cfg_eps")(model, x, t, y, 1.7, 2), by_classifier)


@pytest.mark.parametrize(("eta", "limit"), [(0.0, 0.25), (1.0, 0.3875)])
def test_the_guided_law_tends_to_its_limit_like_one_over_the_steps(eta, limit):
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    errors = []
    for steps in (200, 400):
        table = linear(steps, 0.1 / steps, 20.0 / steps)
        variance = oracle("guided_gaussian")(zero, one, zero, 2 * one, 2.0, table, eta)[1]
        errors.append(abs(variance.item() - limit))
    assert errors[1] < 0.02 and 1.6 < errors[0] / errors[1] < 2.5


def test_equal_variances_are_tilted():
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    mean, variance = oracle("guided_gaussian")(one, one, zero, one, 2.0, linear(400, 2.5e-4, 0.05))
    assert abs(mean.item() - 3) < 0.05 and abs(variance.item() - 1) < 0.02


def test_points_on_a_fine_grid_are_a_density():
    points, gaussian = GRID[:, None], GaussianData([0.4], torch.tensor([[0.7]]).double())
    x, t = torch.tensor([[0.9], [-1.5]]).double(), torch.tensor([3, 7])
    got = oracle("points_eps")(x, t, points, gaussian.log_prob(points) - 250.0, TABLE)
    assert torch.allclose(got, gaussian.best_eps(x, TABLE[t]), rtol=1e-6)


def test_thresholds_attention_and_layouts_by_hand():
    x = torch.tensor([[-4.0, 0.5, 1.0, 2.0, -1.0], [-0.9, 0.5, 0.1, 0.2, -0.3]]).double()
    right = torch.stack([torch.tensor([-1.0, 0.25, 0.5, 1.0, -0.5]).double(), x[1]])
    assert torch.allclose(oracle("dynamic_threshold")(x, 0.75), right)
    query, key = torch.tensor([[[2.0]]]).double(), torch.tensor([[[1.0], [0.0], [9.0]]]).double()
    value, mask = torch.tensor([[[1.0], [3.0], [99.0]]]).double(), torch.tensor([[True, True, False]])
    share = 1 / (1 + math.exp(-2))
    assert torch.allclose(
        oracle("cross_attention")(query, key, value, mask), torch.tensor([[[share + 3 * (1 - share)]]]).double()
    )
    layout = torch.tensor([[[-1, 1], [0, -1]]])
    planes = oracle("concat_layout")(torch.full((1, 1, 2, 2), 7.0), layout, 2)
    assert planes[0].tolist() == [[[7, 7], [7, 7]], [[0, 0], [1, 0]], [[0, 1], [0, 0]]]


def test_labels_are_dropped_as_often_as_was_said():
    u = (torch.arange(1000).double() + 0.5) / 1000
    dropped = oracle("drop_labels")(torch.zeros(1000).long(), u, 0.25, 9)
    assert int((dropped == 9).sum()) == 250 and set(dropped.tolist()) == {0, 9}


def test_an_inpainting_walk_ends_in_the_law_of_its_recursion():
    """One round on a correlated Gaussian: the walk is linear in its noises, so each of them is sent down alone."""
    step, cov = oracle("inpaint_step"), torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double()
    data, known, mask = GaussianData([0.0, 0.0], cov), torch.tensor([1.5, 0.0]).double(), torch.tensor([True, False])
    T = len(TABLE) - 1
    noises = torch.eye(2 * (1 + 2 * T), dtype=torch.float64).reshape(-1, 1 + 2 * T, 2)
    noises = torch.cat([torch.zeros(1, 1 + 2 * T, 2).double(), noises])  # nothing, then each noise alone
    x = noises[:, 0]
    mean, C = torch.zeros(2).double(), torch.eye(2).double()
    for t in range(T, 0, -1):
        times = torch.full((len(x),), t)
        x = step(
            x,
            data.best_eps(x, TABLE[t]),
            known.expand_as(x),
            mask,
            times,
            TABLE,
            noises[:, 2 * t - 1],
            noises[:, 2 * t],
        )
        now, then = TABLE[t], TABLE[t - 1]
        alpha, beta = now / then, 1 - now / then
        A = (torch.eye(2) - beta * torch.linalg.inv(now * cov + (1 - now) * torch.eye(2))) / alpha.sqrt()
        C = A @ C @ A.T + beta * (1 - then) / (1 - now) * torch.eye(2)
        mean = torch.stack([then.sqrt() * 1.5, (A @ mean)[1]])
        C = torch.stack([torch.stack([1 - then, 0 * then]), torch.stack([0 * then, C[1, 1]])])
    assert torch.allclose(x[0], mean)
    assert torch.allclose(((x[1:, 1] - x[0, 1]) ** 2).sum(), C[1, 1])


def test_two_jumps_have_the_law_of_one():
    renoise, one = oracle("renoise"), torch.ones(1, 1).double()
    s, m, t = torch.tensor([1]), torch.tensor([3]), torch.tensor([7])
    keep = renoise(renoise(one, s, m, TABLE, 0 * one), m, t, TABLE, 0 * one)
    old, new = renoise(renoise(0 * one, s, m, TABLE, one), m, t, TABLE, 0 * one), renoise(0 * one, m, t, TABLE, one)
    assert torch.allclose(keep, renoise(one, s, t, TABLE, 0 * one))
    assert torch.allclose(old**2 + new**2, renoise(0 * one, s, t, TABLE, one) ** 2)
