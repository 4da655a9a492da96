"""The exactly solvable models against integration, Monte Carlo, autograd and other closed forms."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from course_lib import exact
from course_lib.exact import CORRELATED_GAUSSIAN, MIXTURE_1D, GaussianData, GaussianMixture, LinearVAE

LEVELS = [0.95, 0.5, 0.1]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_gaussian(dim=4, seed=0):
    g = generator(seed)
    root = torch.randn(dim, dim, generator=g, dtype=torch.float64)
    return GaussianData(torch.randn(dim, generator=g, dtype=torch.float64), root @ root.T / dim)


def random_mixture():
    parts = [random_gaussian(2, seed) for seed in (1, 2, 3)]
    means, covs = torch.stack([p.mean for p in parts]), torch.stack([p.cov for p in parts])
    return GaussianMixture(torch.tensor([0.5, 0.2, 0.3]), 2 * means, covs)


MODELS = [random_gaussian(), random_mixture(), MIXTURE_1D]


def within(estimates, truth, errors=4.5):
    """Does the mean of independent estimates agree with the truth to within that many standard errors?"""
    mean, error = estimates.mean(0), estimates.std(0) / math.sqrt(len(estimates))
    return ((mean - truth).abs() <= errors * error + 1e-12).all()


def grid_2d(low, high, n=700):
    axis = torch.linspace(low, high, n, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return points, (axis[1] - axis[0]).item() ** 2


@pytest.mark.parametrize("model", [CORRELATED_GAUSSIAN, random_mixture()], ids=["gaussian", "mixture"])
def test_density_integrates_to_one(model):
    points, cell = grid_2d(-14, 14)
    assert model.log_prob(points).exp().sum().item() * cell == pytest.approx(1, abs=1e-6)


def test_entropy_is_minus_the_mean_log_density():
    points, cell = grid_2d(-8, 8)
    log_p = CORRELATED_GAUSSIAN.log_prob(points)
    assert -(log_p.exp() * log_p).sum().item() * cell == pytest.approx(CORRELATED_GAUSSIAN.entropy, abs=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=["gaussian", "mixture", "1-D"])
def test_samples_have_the_moments(model):
    x = model.sample(20000, generator())
    if isinstance(model, GaussianData):
        mean, cov = model.mean, model.cov
    else:
        mean = (model.weights[:, None] * model.means).sum(0)
        spread = model.means - mean
        cov = torch.einsum("k,kij->ij", model.weights, model.covs + spread[:, :, None] * spread[:, None])
    assert within(x, mean)
    centred = x - mean
    assert within(centred[:, :, None] * centred[:, None], cov)


@pytest.mark.parametrize("a", LEVELS)
@pytest.mark.parametrize("model", [random_gaussian(2), random_mixture()], ids=["gaussian", "mixture"])
def test_noised_is_the_law_of_the_noised_sample(model, a):
    """Compared as characteristic functions of random directions, E exp(i w x_t)."""
    x0 = model.sample(20000, generator())
    eps = torch.randn(x0.shape, dtype=torch.float64, generator=generator(1))
    xt = math.sqrt(a) * x0 + math.sqrt(1 - a) * eps
    other = model.noised(a).sample(20000, generator(2))
    w = torch.randn(5, 2, dtype=torch.float64, generator=generator(3))
    assert within(torch.cos(xt @ w.T) - torch.cos(other @ w.T), torch.zeros(5))
    assert within(torch.sin(xt @ w.T) - torch.sin(other @ w.T), torch.zeros(5))


@pytest.mark.parametrize("sigma", [0.3, 2.0])
@pytest.mark.parametrize("model", [random_gaussian(2), random_mixture()], ids=["gaussian", "mixture"])
def test_blurred_is_the_law_of_the_blurred_sample(model, sigma):
    """y = x_0 + sigma eps is x_t / sqrt(a) with a = 1 / (1 + sigma^2)."""
    a, y = 1 / (1 + sigma**2), 2 * torch.randn(50, 2, generator=generator(), dtype=torch.float64)
    by_change_of_variables = model.noised(a).log_prob(a**0.5 * y) + math.log(a)  # two dimensions
    assert torch.allclose(model.blurred(sigma).log_prob(y), by_change_of_variables)


@pytest.mark.parametrize("a", [1.0, *LEVELS])
def test_the_share_below_is_the_integral_of_the_density(a):
    line = torch.linspace(-14, 3, 20001, dtype=torch.float64)[:, None]
    density = MIXTURE_1D.noised(a).log_prob(line).exp()
    shares = torch.cumulative_trapezoid(density, line[:, 0])
    assert torch.allclose(MIXTURE_1D.cdf(line[1:], a), shares, atol=1e-6)
    with pytest.raises(ValueError, match="on the line"):
        random_mixture().cdf(line)


@pytest.mark.parametrize("a", LEVELS)
@pytest.mark.parametrize("model", MODELS, ids=["gaussian", "mixture", "1-D"])
def test_score_is_the_gradient_of_the_noised_log_density(model, a):
    xt = model.noised(a).sample(50, generator()).requires_grad_()
    (gradient,) = torch.autograd.grad(model.noised(a).log_prob(xt).sum(), xt)
    assert torch.allclose(model.score(xt, a), gradient, atol=1e-9)


@pytest.mark.parametrize("a", LEVELS)
def test_best_x0_and_eps_are_bayes_on_a_grid(a):
    x0 = torch.linspace(-8, 8, 20001, dtype=torch.float64)
    prior = MIXTURE_1D.log_prob(x0[:, None]).exp()
    xt = torch.tensor([-2.5, -0.4, 0.0, 1.3, 3.0], dtype=torch.float64)
    likelihood = torch.exp(-((xt[:, None] - math.sqrt(a) * x0) ** 2) / (2 * (1 - a)))
    posterior = prior * likelihood
    posterior /= posterior.sum(1, keepdim=True)
    eps = (xt[:, None] - math.sqrt(a) * x0) / math.sqrt(1 - a)
    assert torch.allclose(MIXTURE_1D.best_x0(xt[:, None], a)[:, 0], posterior @ x0, atol=1e-6)
    assert torch.allclose(MIXTURE_1D.best_eps(xt[:, None], a)[:, 0], (posterior * eps).sum(1), atol=1e-6)


def test_fit_divides_by_n():
    x = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
    g = GaussianData.fit(x)
    assert g.mean.tolist() == [1, 2] and g.cov.tolist() == [[1, 2], [2, 4]]
    assert exact.data_eigenvalues(x).tolist() == pytest.approx([5, 0])
    assert GaussianData.fit(torch.tensor([[1.0], [3.0]])).cov.tolist() == [[1]]


@pytest.mark.parametrize("nats", [0.0, 0.05, 0.7, 3.0, 40.0])
def test_distortion_is_the_dual_of_shannons_rate(nats):
    """Minimise sum_i d_i over all ways of sharing the nats: the rate of d_i is 1/2 log(lambda_i / d_i)."""
    g = random_gaussian(5)
    values = torch.cat([g.eigenvalues, torch.zeros(1)])
    flat = GaussianData(torch.zeros(6), values.diag())  # a direction without variance costs nothing
    levels = torch.logspace(-30, 2, 400_001, dtype=torch.float64)
    rates = (0.5 * (g.eigenvalues / levels[:, None]).log()).clamp(min=0).sum(1)  # falls with the level
    level = levels[int((rates >= nats).nonzero()[-1])] if nats else g.eigenvalues[0]
    assert flat.distortion(nats) == pytest.approx(g.distortion(nats), rel=1e-12)
    assert g.distortion(nats) == pytest.approx(g.eigenvalues.clamp(max=level).sum().item(), rel=2e-4)
    assert GaussianData(torch.zeros(1), torch.eye(1)).distortion(nats) == pytest.approx(math.exp(-2 * nats))


def test_distortion_refuses_a_rate_that_is_none():
    with pytest.raises(ValueError, match="distortion: nats=-1"):
        random_gaussian().distortion(-1)


def test_a_mixture_of_one_is_the_gaussian():
    g = random_gaussian()
    one = GaussianMixture(torch.ones(1), g.mean[None], g.cov[None])
    x = g.sample(20, generator())
    assert torch.allclose(one.log_prob(x), g.log_prob(x))
    for name in ("score", "best_x0", "best_eps"):
        assert torch.allclose(getattr(one, name)(x, 0.3), getattr(g, name)(x, 0.3))


@pytest.mark.parametrize("model", [random_gaussian(2), random_mixture()], ids=["gaussian", "mixture"])
def test_a_level_per_row_and_the_network_form(model):
    table = torch.tensor([1.0, 0.9, 0.5, 0.2])
    t = torch.tensor([3, 1, 2, 2, 1])
    xt = torch.randn(5, 2, generator=generator())
    rows = torch.cat([model.best_eps(xt[i : i + 1], float(table[t[i]])) for i in range(5)])
    assert torch.allclose(model.best_eps(xt, table[t]), rows, atol=1e-5)
    assert torch.allclose(model.eps_model(table)(xt, t), rows, atol=1e-5)
    assert torch.allclose(model.best_x0(xt, 1.0), xt)  # nothing to denoise


@pytest.mark.parametrize("a", LEVELS)
def test_floors_are_the_errors_of_the_best_predictions(a):
    g = random_gaussian()
    x0 = g.sample(20000, generator())
    eps = torch.randn(x0.shape, dtype=torch.float64, generator=generator(1))
    xt = math.sqrt(a) * x0 + math.sqrt(1 - a) * eps
    assert within((eps - g.best_eps(xt, a)).square().mean(1), g.eps_floor(a))
    assert within((x0 - g.best_x0(xt, a)).square().mean(1), g.x0_floor(a))
    assert torch.allclose(g.eps_floor(torch.tensor(LEVELS))[LEVELS.index(a)], g.eps_floor(a))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answers_have_the_dtype_of_the_question(dtype):
    x = torch.randn(3, 1, dtype=dtype)
    assert {
        MIXTURE_1D.log_prob(x).dtype,
        MIXTURE_1D.score(x, 0.5).dtype,
        MIXTURE_1D.best_x0(x, 0.5).dtype,
    } == {dtype}


def test_evidence_is_the_integral_over_the_latent():
    g = generator()
    W, b = (
        torch.randn(3, 1, generator=g, dtype=torch.float64),
        torch.randn(3, generator=g, dtype=torch.float64),
    )
    model, x = LinearVAE(W, b, 0.3), torch.randn(4, 3, generator=g, dtype=torch.float64)
    z = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    squares = (x[:, None] - z[:, None] * W[:, 0] - b).square().sum(-1)  # (4, Z)
    log_joint = -(z**2) / 2 - math.log(2 * math.pi) / 2 - squares / 0.6 - 1.5 * math.log(2 * math.pi * 0.3)
    integral = log_joint.logsumexp(1) + math.log(z[1] - z[0])
    assert torch.allclose(model.log_evidence(x), integral, atol=1e-9)


def test_fit_reaches_the_maximum_likelihood():
    x = random_gaussian(6).sample(500, generator())
    model = LinearVAE.fit(x, 2)
    best = model.log_evidence(x).mean()
    lam = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    s2 = lam[2:].mean()  # the closed form of the maximum, Tipping and Bishop
    closed = -0.5 * (6 * math.log(2 * math.pi) + lam[:2].log().sum() + 4 * s2.log() + 6)
    assert torch.allclose(best, closed, atol=1e-10)
    for seed in range(20):
        nudge = 0.05 * torch.randn(6, 2, generator=generator(seed), dtype=torch.float64)
        for other in (
            LinearVAE(model.W + nudge, model.b, model.sigma2),
            LinearVAE(model.W, model.b + nudge[:, 0], model.sigma2),
        ):
            assert other.log_evidence(x).mean() < best
    for factor in (0.95, 1.05):
        assert LinearVAE(model.W, model.b, factor * model.sigma2).log_evidence(x).mean() < best


@pytest.mark.parametrize("beta", [1.0, 2.0, 4.0])
def test_with_fixed_variance_the_fit_maximises_the_beta_elbo(beta):
    """One direction at a time: the best gain of the decoder on a grid, with the encoder at its optimum."""
    x = random_gaussian(5).sample(400, generator())
    sigma2 = 0.15
    model = LinearVAE.fit(x, 5, sigma2, beta)
    gains = torch.linspace(0, 4, 40001, dtype=torch.float64)
    for lam, column in zip(exact.data_eigenvalues(x), model.W.T, strict=True):
        q = 1 / (1 + gains**2 / (beta * sigma2))  # variance of the best encoder
        e = q * gains / (beta * sigma2)  # its slope
        rec = ((1 - gains * e) ** 2 * lam + gains**2 * q) / (2 * sigma2)
        kl = (e**2 * lam + q - 1 - q.log()) / 2
        found = gains[(rec + beta * kl).argmin()]
        assert column.norm().item() == pytest.approx(found.item(), abs=2e-3)
    used = int((model.W.norm(dim=0) > 0).sum())
    assert used == exact.active_latents(x, 5, sigma2, beta)


def test_beta_leaves_fewer_latents():
    x = random_gaussian(5).sample(400, generator())
    counts = [exact.active_latents(x, 5, 0.15, beta) for beta in (0.1, 1, 4, 100)]
    assert counts == sorted(counts, reverse=True) and counts[0] == 5 and counts[-1] == 0


def test_the_gap_of_a_diagonal_encoder():
    x = random_gaussian(6).sample(500, generator())
    model = LinearVAE.fit(x, 2)
    assert model.diagonal_gap == pytest.approx(0, abs=1e-10)  # the fit has orthogonal columns
    angle = torch.tensor(0.7, dtype=torch.float64)
    R = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    turned = model.rotated(R)
    assert torch.allclose(turned.log_evidence(x), model.log_evidence(x))  # the same model of x
    precision = turned.W.T @ turned.W / turned.sigma2 + torch.eye(2, dtype=torch.float64)
    posterior = MultivariateNormal(torch.zeros(2, dtype=torch.float64), precision_matrix=precision)
    diagonal = MultivariateNormal(posterior.mean, (1 / precision.diagonal()).diag())
    assert turned.diagonal_gap == pytest.approx(kl_divergence(diagonal, posterior).item(), rel=1e-9)
    assert turned.diagonal_gap > 0.01


def test_frechet_distance():
    p, q = random_gaussian(3, 1), random_gaussian(3, 2)
    assert exact.frechet_distance(p, p) == pytest.approx(0, abs=1e-9)
    assert exact.frechet_distance(p, q) == pytest.approx(exact.frechet_distance(q, p))
    one = GaussianData(torch.tensor([1.0]), torch.tensor([[4.0]]))
    two = GaussianData(torch.tensor([-2.0]), torch.tensor([[0.25]]))
    assert exact.frechet_distance(one, two) == pytest.approx(3**2 + 1.5**2)
    # The optimal transport map x -> A x of Gaussians has cost E|x - A x|^2.
    root = torch.linalg.cholesky(p.cov)
    values, vectors = torch.linalg.eigh(root.T @ q.cov @ root)
    A = torch.linalg.inv(root.T) @ (vectors * values.sqrt()) @ vectors.T @ torch.linalg.inv(root)
    assert torch.allclose(A @ p.cov @ A.T, q.cov) and torch.allclose(A, A.T)
    residual = torch.eye(3, dtype=torch.float64) - A
    cost = (residual @ p.cov @ residual.T).trace() + (p.mean - q.mean).square().sum()
    assert exact.frechet_distance(p, q) == pytest.approx(cost.item())


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: GaussianData(torch.zeros(2), torch.eye(3)),
            r"expected mean \(D,\) and cov \(D, D\), got \(2,\)",
        ),
        (lambda: GaussianData(torch.zeros(2), torch.tensor([[1.0, 1], [0, 1]])), "not symmetric"),
        (lambda: GaussianMixture(torch.ones(2), torch.zeros(2, 1), torch.ones(2, 1, 1)), "sum to 1"),
        (
            lambda: GaussianMixture(torch.ones(1), torch.zeros(2, 1), torch.ones(2, 1, 1)),
            r"expected weights \(K,\)",
        ),
        (lambda: LinearVAE(torch.ones(3, 1), torch.zeros(3), 0.0), "sigma2 > 0"),
        (lambda: LinearVAE.fit(torch.randn(9, 3), 3), "expected 1 to 2 for points in 3-D"),
        (lambda: LinearVAE.fit(torch.randn(9, 3), 1, beta=2.0), "beta needs a fixed sigma2"),
        (lambda: MIXTURE_1D.score(torch.zeros(1, 1), 1.5), r"expected alpha_bar in \(0, 1\]"),
        (
            lambda: LinearVAE(torch.ones(3, 1), torch.zeros(3), 1.0).rotated(torch.tensor([[2.0]])),
            "not orthogonal",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("rho", [0.0, 0.7, -0.4])
def test_ar1_is_the_law_of_its_recursion(rho):
    """x_{f+1} = rho x_f + sqrt(1 - rho^2) noise from x_1 ~ N(0, 1), as a linear map of five noises."""
    rows = [torch.eye(5, dtype=torch.float64)[0]]
    for f in range(1, 5):
        rows.append(rho * rows[-1] + (1 - rho**2) ** 0.5 * torch.eye(5, dtype=torch.float64)[f])
    film = exact.ar1(5, rho)
    torch.testing.assert_close(film.cov, torch.stack(rows) @ torch.stack(rows).T)
    assert film.mean.abs().max() == 0


@pytest.mark.parametrize("index", [[1], [3, 0], [0, 1, 2]])
def test_a_gaussian_given_entries_is_the_joint_over_their_marginal(index):
    """log p(rest given some) = log p(all) - log p(some), at every place."""
    model = random_gaussian()
    rest = [i for i in range(4) if i not in index]
    x = torch.randn(6, 4, generator=generator(5), dtype=torch.float64)
    x[:, index] = x[0, index]
    some = GaussianData(model.mean[index], model.cov[index][:, index])
    given = model.given(index, x[0, index])
    assert torch.allclose(given.log_prob(x[:, rest]), model.log_prob(x) - some.log_prob(x[:, index]))


def test_a_mixture_given_entries_is_the_joint_over_their_marginal():
    model = random_mixture()
    x = torch.randn(6, 2, generator=generator(5), dtype=torch.float64)
    x[:, 1] = 0.3
    some = GaussianMixture(model.weights, model.means[:, 1:], model.covs[:, 1:, 1:])
    given = model.given([1], [0.3])
    assert torch.allclose(given.log_prob(x[:, :1]), model.log_prob(x) - some.log_prob(x[:, 1:]))


def test_a_component_may_lose_all_its_weight():
    far = MIXTURE_1D_PAIR.given([1], [80.0])
    assert far.weights.tolist() == [0.0, 1.0]
    x = torch.linspace(-3, 3, 5, dtype=torch.float64)[:, None]
    alone = GaussianData(far.means[1], far.covs[1])
    assert torch.allclose(far.log_prob(x), alone.log_prob(x))
    assert torch.allclose(far.best_eps(x, 0.4), alone.best_eps(x, 0.4))
    assert far.sample(10, generator()).isfinite().all()


MIXTURE_1D_PAIR = GaussianMixture([0.3, 0.7], [[-2.0, -2.0], [1.5, 1.5]], torch.eye(2).expand(2, 2, 2) / 4)


def test_given_with_a_singular_covariance():
    """x_1 = 2 x_0 without noise: given x_0, x_1 is known; given both, what is asked for is not defined."""
    model = GaussianData([0.0, 0.0], [[1.0, 2.0], [2.0, 4.0]])
    known = model.given([0], [0.5])
    assert known.mean.tolist() == pytest.approx([1.0]) and known.cov.item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="not definite"):
        model.given([0, 1], [0.5, 1.0])


@pytest.mark.parametrize("index", [[0, 0], [4], [-1], [[0]]])
def test_given_refuses_what_is_no_set_of_entries(index):
    with pytest.raises(ValueError, match="given"):
        random_gaussian().given(index, torch.zeros(len(index)))


def test_the_law_of_a_sampler_against_drawn_walks():
    model, table = random_gaussian(2), torch.tensor([1.0, 0.8, 0.5, 0.2, 0.05], dtype=torch.float64)
    K = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)  # overwrites the second entry
    k, V = torch.tensor([0.0, 0.7]).double(), torch.diag(torch.tensor([0.0, 0.04]).double())

    def affine(t):
        at = model.noised(table[t].item())
        E = (1 - table[t]).sqrt() * torch.linalg.inv(at.cov)
        return E, -E @ at.mean

    law = exact.sampled_law(affine, table, 2, after=lambda t: (K, k, V))
    n, eps_hat = 40000, model.eps_model(table)
    x = torch.randn(n, 2, generator=generator(), dtype=torch.float64)
    for t in range(4, -1, -1):
        x = x @ K.T + k + torch.randn(n, 2, generator=generator(9 + t), dtype=torch.float64) @ V.sqrt()
        if t:
            alpha = table[t] / table[t - 1]
            best = eps_hat(x, torch.full((n,), t))
            mean = (x - (1 - alpha) / (1 - table[t]).sqrt() * best) / alpha.sqrt()
            spread = ((1 - alpha) * (1 - table[t - 1]) / (1 - table[t])).sqrt()
            x = mean + spread * torch.randn(n, 2, generator=generator(90 + t), dtype=torch.float64)
    error = (law.cov.diagonal() / n).sqrt()
    assert ((x.mean(0) - law.mean).abs() < 4.5 * error).all()
    assert torch.allclose(torch.cov(x.T), law.cov, atol=4.5 * 2**0.5 * error.max().item() * law.cov.max().item() ** 0.5)
