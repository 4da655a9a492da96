"""The oracles of 07-score against models in which everything is known exactly."""

import math

import pytest
import torch

from autograder.exercise import find_exercise
from course_lib.exact import MIXTURE_1D, GaussianData

LAMBDA = 0.2
AXIS = GaussianData(torch.zeros(1), torch.tensor([[LAMBDA]], dtype=torch.float64))


def oracle(name):
    return find_exercise(name).oracle


def rate(tau):
    return 0.1 + 19.9 * tau


def level(tau):
    return torch.exp(-(0.1 * tau + 19.9 * tau**2 / 2))


def variance(tau):
    return level(tau) * LAMBDA + 1 - level(tau)


def test_divergence_by_differences():
    g = torch.Generator().manual_seed(0)
    matrix, x = (torch.randn(n, 3, generator=g, dtype=torch.float64) for n in (3, 4))

    def field(x):
        return (x @ matrix).tanh() + x.roll(1, -1) ** 2 * x

    h, total = 1e-4, torch.zeros(4, dtype=torch.float64)
    for i, axis in enumerate(torch.eye(3, dtype=torch.float64)):
        total += (field(x + h * axis) - field(x - h * axis))[:, i] / (2 * h)
    assert torch.allclose(oracle("divergence")(field, x), total, rtol=1e-6)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)[:, None].expand(8, 4, 3)
    assert torch.allclose(oracle("divergence")(field, x, signs), total, rtol=1e-6)


def test_tweedie_is_the_regression():
    table = torch.tensor([1.0, 0.7, 0.3], dtype=torch.float64)
    x, t = torch.linspace(-3, 3, 6, dtype=torch.float64)[:, None], torch.tensor([1, 2, 1, 2, 1, 2])
    truth = oracle("tweedie")(x, MIXTURE_1D.score(x, table[t]), t, table)
    assert torch.allclose(truth, MIXTURE_1D.best_x0(x, table[t]))


def test_langevin_settles_where_many_steps_end():
    v, a = torch.tensor([0.3, 0.27, 1.0, 6.0], dtype=torch.float64), 1.0
    one, zero, V = torch.ones(4).double(), torch.zeros(4).double(), torch.full((4,), 3.0).double()
    step = oracle("langevin_step")
    gain, push = step(one, -one / v, a, zero), step(zero, zero, a, one)
    for _ in range(5000):
        V = gain**2 * V + push**2
    assert torch.allclose(oracle("langevin_variance")(v, a), V)
    assert oracle("langevin_variance")(torch.tensor([0.25, 0.1]), a).isinf().all()


@pytest.mark.parametrize("rates", [(0.1, 20.0), (3.0, 3.0)])
def test_what_is_left_is_the_exponential_of_the_integral(rates):
    low, high = rates
    tau = torch.linspace(0, 1, 5, dtype=torch.float64)
    share = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    spent = (low + (high - low) * share * tau[:, None]).mean(1) * tau
    assert torch.allclose(oracle("vp_alpha_bar")(tau, low, high), torch.exp(-spent), rtol=1e-7)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_family_ends_at_the_datas_variance(eta):
    """Euler-Maruyama with the drift, exactly: the error of the variance halves with the step."""

    def end(steps):
        taus = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        one, V = torch.ones(1, 1).double(), variance(taus[0]).reshape(1, 1)
        for two in taus.unfold(0, 2, 1):

            def drift(x, tau):
                return oracle("reverse_drift")(x + 1e-12, -(x + 1e-12) / variance(tau)[:, None], rate(tau), eta)

            def moved(x, z, two=two, drift=drift):
                return oracle("euler_maruyama")(drift, lambda tau: eta * rate(tau).sqrt(), x, two, z[None])

            V = moved(one, 0 * one) ** 2 * V + moved(0 * one, one) ** 2
        return abs(V.item() - LAMBDA)

    coarse, fine = end(150), end(300)
    assert fine < 0.02 and 1.7 < coarse / fine < 2.4


def test_heun_is_of_second_order_on_the_flow():
    table = torch.cat([torch.ones(1).double(), level(torch.linspace(0, 1, 401, dtype=torch.float64)[1:])])
    model, exact = AXIS.eps_model(table), (variance(torch.tensor(0.2)) / variance(torch.tensor(1.0))).sqrt().item()
    errors = []
    for stride in (16, 8, 4):
        x = torch.ones(1, 1, dtype=torch.float64)
        for t in range(400, 80, -stride):
            x = oracle("heun_step")(model, x, t, t - stride, table)
        errors.append(abs(x.item() - exact))
    assert 3.3 < errors[0] / errors[1] < 5 and 3.3 < errors[1] / errors[2] < 5


def test_the_likelihood_is_the_exact_one():
    x = torch.tensor([[-0.9], [0.1], [0.6]], dtype=torch.float64)

    def field(x, tau):
        slope = -rate(tau) / 2 * (1 - 1 / variance(tau))
        return slope[:, None] * x, slope

    errors = []
    for steps in (100, 200, 400):
        taus = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        value, end = oracle("ode_log_likelihood")(field, x, taus)
        errors.append((value - AXIS.log_prob(x)).abs().max().item())
    assert errors[1] < 5e-3 and 3.5 < errors[0] / errors[1] < 4.6
    kept = (variance(torch.tensor(1.0)) / LAMBDA).sqrt().item()
    assert torch.allclose(end, kept * x, rtol=1e-3)


def test_denoising_costs_what_the_spread_of_the_target_costs():
    """On Gaussian data the exact score pays D / sigma^2 less the information of the blurred law, halved."""
    sigma, count = 0.7, 200_000
    g = torch.Generator().manual_seed(1)
    x0, eps = AXIS.sample(count, g), torch.randn(count, 1, generator=g, dtype=torch.float64)
    blurred = LAMBDA + sigma**2
    levels, y = torch.full((count,), sigma).double(), x0 + sigma * eps
    losses = ((-y / blurred + eps / sigma) ** 2 / 2)[:, 0]
    exact = (1 / sigma**2 - 1 / blurred) / 2
    assert abs(losses.mean() - exact) < 4.5 * losses.std() / math.sqrt(count)
    few = slice(0, 500)

    def score(y, sigma):
        return -y / blurred

    loss = oracle("dsm_loss")(score, x0[few], levels[few], eps[few], torch.ones(500).double())
    assert torch.allclose(loss, losses[few].mean())
