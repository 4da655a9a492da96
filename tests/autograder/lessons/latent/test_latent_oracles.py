"""The oracles of 09-latent against identities, enumeration and models in which everything is known exactly."""

import itertools
import math

import pytest
import torch

from autograder.exercise import find_exercise
from course_lib.exact import GaussianData


def oracle(name):
    return find_exercise(name).oracle


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_nearest_code_one_comparison_at_a_time():
    z, book = normal(5, 4, 3), normal(7, 3, seed=1)
    book = torch.cat([book, book.flip(0)])
    indices, codes = oracle("quantize")(z, book)
    for place in itertools.product(range(5), range(4)):
        squares = [sum((z[place] - code).tolist()[i] ** 2 for i in range(3)) for code in book]
        assert indices[place] == squares.index(min(squares))
    assert torch.equal(codes, book[indices])
    tie = torch.tensor([[0.5, 0.0]], dtype=torch.float64)
    assert oracle("quantize")(tie, torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64))[0].item() == 0


def test_the_bound_is_the_evidence_where_one_word_is_possible_and_sums_to_it_otherwise():
    table, log_px = normal(3, 4).log_softmax(1), normal(64, seed=1)
    words = torch.cartesian_prod(*[torch.arange(4)] * 3)
    elbo = oracle("vq_elbo")(log_px, words, table)
    assert elbo.logsumexp(0) > elbo.max()
    assert torch.isclose(oracle("vq_elbo")(torch.zeros(64), words, table).exp().sum(), torch.ones(()).double())
    assert torch.allclose(oracle("vq_elbo")(log_px, words, table) - log_px, table[range(3), words].sum(1))


def test_the_jump_hands_back_the_slope_at_the_code():
    z, codes = normal(4, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    made = oracle("straight_through")(z, codes)
    slopes = torch.autograd.grad(made.sin().sum(), [z, codes], allow_unused=True)
    assert torch.equal(made, codes) and torch.allclose(slopes[0], codes.cos()) and slopes[1] is None


def test_the_loss_is_one_and_a_quarter_distortions():
    z, codes = normal(4, 5, 3), normal(4, 5, 3, seed=1)
    assert torch.isclose(oracle("vq_loss")(z, codes), 1.25 * (z - codes).square().sum() / 20)


def test_a_dead_code_falls_to_the_origin_as_the_formula_says():
    counts, sums, eps, decay = torch.tensor([30.0, 1.0]).double(), normal(2, 2), 1e-3, 0.9
    z, indices = normal(30, 2, seed=1), torch.zeros(30, dtype=torch.long)
    n, s = counts, sums
    for _ in range(80):
        n, s, book = oracle("ema_codebook")(n, s, z, indices, decay, eps)
    total, left = 30 + decay**80, decay**80
    fallen = sums[1] * left * (total + 2 * eps) / ((left + eps) * total)
    assert torch.allclose(book[1], fallen) and fallen.norm() < 0.3 * sums[1].norm()
    assert torch.allclose(book[0], z.mean(0) * 30 * (total + 2 * eps) / ((30 + eps) * total), rtol=1e-2)


def test_the_number_of_codes_is_the_entropys_exponential():
    shares = torch.tensor([0.5, 0.3, 0.2])
    indices = torch.arange(3).repeat_interleave(torch.tensor([50, 30, 20])).reshape(4, 25)
    assert torch.isclose(oracle("perplexity")(indices, 9), torch.distributions.Categorical(shares).entropy().exp())


def test_the_best_critic_reaches_the_divergence():
    p, q = torch.tensor([0.5, 0.3, 0.2, 0, 0]).double(), torch.tensor([0.1, 0.2, 0, 0.7, 0]).double()
    best, jsd = oracle("optimal_discriminator")(p, q), oracle("jensen_shannon")(p, q)

    def value(d):
        return (torch.special.xlogy(p, d) + torch.special.xlogy(q, 1 - d)).sum()

    assert torch.isclose(value(best), 2 * jsd - math.log(4))
    for seed in range(50):
        assert value(normal(5, seed=seed).sigmoid()) <= value(best) + 1e-12
    apart = torch.eye(3).double()
    assert oracle("jensen_shannon")(apart[0], apart[1]) == pytest.approx(math.log(2))
    assert oracle("jensen_shannon")(p, p) == pytest.approx(0)


def test_the_losses_at_the_best_critic_are_minus_its_value():
    """Samples that repeat a table's places in its shares; the critic's logit is log p - log q."""
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.2, 0.7]).double()
    real, fake = (torch.arange(3).repeat_interleave((10 * t).round().long()).double()[:, None] for t in (p, q))

    def best(x):
        return (p.log() - q.log())[x[:, 0].long()]

    d_loss, g_loss = oracle("gan_losses")(best, real, fake)
    assert torch.isclose(d_loss, math.log(4) - 2 * oracle("jensen_shannon")(p, q))
    assert torch.isclose(g_loss, -(q * (p / (p + q)).log()).sum())


def test_the_weight_makes_both_gradients_equally_long():
    first, second = normal(3, 4), 5 * normal(3, 4, seed=1)
    weight = oracle("adaptive_weight")(first, second, 0.0)
    assert torch.isclose((weight * second).square().sum(), first.square().sum())


def test_the_scale_makes_the_variance_one():
    z = 3 + 2 * normal(6, 4)
    assert (oracle("latent_scale")(z) * z).var(correction=0).item() == pytest.approx(1)


def test_a_diffusion_among_latents_with_the_exact_model():
    """The loss reaches its floor, and the walk ends with the law's own variances."""
    beta = torch.linspace(5e-4, 0.1, 200, dtype=torch.float64)
    table = torch.cat([torch.ones(1).double(), torch.cumprod(1 - beta, 0)])
    variances, scale = torch.tensor([4.0, 0.25]).double(), 0.5
    law = GaussianData(torch.zeros(2), (scale**2 * variances).diag())
    model, count = law.eps_model(table), 40_000
    mu = normal(count, 2, seed=1) * (variances - 0.04).sqrt()
    t = torch.full((count,), 60)

    def encode(x):
        return x, torch.full_like(x, math.log(0.04))

    noise, eps = normal(count, 2, seed=2), normal(count, 2, seed=3)
    z0 = scale * (mu + 0.2 * noise)
    loss = (eps - model(table[60].sqrt() * z0 + (1 - table[60]).sqrt() * eps, t)).square()
    assert abs(loss.mean() - law.eps_floor(table[60])) < 4.5 * loss.std() / math.sqrt(2 * count)
    few = slice(0, 300)
    got = oracle("latent_diffusion_loss")(encode, model, mu[few], t[few], noise[few], eps[few], table, scale)
    assert torch.isclose(got, loss[few].mean())
    errors = []
    for steps in (50, 100, 200):
        times = (200 * torch.arange(steps, -1, -1) / steps).round().long()
        gains = oracle("latent_sample")(lambda z: z, model, torch.eye(2).double(), times, table, scale).diagonal()
        errors.append((gains - variances.sqrt()).abs().max().item())
    assert errors[2] < 0.06 and errors[0] > 1.6 * errors[1] > 2.5 * errors[2] / 1.6
