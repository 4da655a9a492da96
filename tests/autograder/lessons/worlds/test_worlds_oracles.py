"""The oracles of 11-worlds against closed forms, enumeration and models in which everything is known exactly."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from numpy.polynomial.hermite_e import hermegauss
from torch.distributions import MultivariateNormal, kl_divergence

from autograder.exercise import find_exercise
from course_lib.exact import MIXTURE_1D, GaussianData

TABLE = torch.cat([torch.ones(1), torch.cumprod(1 - torch.linspace(0.05, 0.5, 7), 0)]).double()
WEIGHT = torch.linspace(0.4, 1.8, 8, dtype=torch.float64)


def oracle(name):
    return find_exercise(name).oracle


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(dims, seed):
    root = normal(dims, dims, seed=seed)
    return root @ root.T + 0.2 * torch.eye(dims).double()


# ---- score distillation


def bent(theta):
    """Four views of three numbers, in pictures of two pixels."""
    return (normal(4, 2, 3, seed=9) @ theta + theta.sin().sum() / 3).tanh()


def test_the_mean_over_the_noise_is_the_slope_of_a_weighted_divergence():
    """The views' mean of w sqrt((1 - a)/a) KL(N(sqrt(a) x, (1 - a) I) || p_t): torch's own divergence, by autograd."""
    data, theta, t = GaussianData(normal(2), covariance(2, 1)), normal(3, seed=2), torch.tensor([1, 3, 4, 7])
    eps = normal(4, 2, seed=3)
    step = [oracle("sds_gradient")(bent, data.eps_model(TABLE), theta, t, e, TABLE, WEIGHT) for e in (eps, -eps)]
    leaf, one = theta.clone().requires_grad_(), torch.eye(2).double()
    total = 0
    for x, time in zip(bent(leaf), t.tolist(), strict=True):
        a = TABLE[time]
        q, p = (
            MultivariateNormal(a.sqrt() * m, c)
            for m, c in ((x, (1 - a) * one), (data.mean, a * data.cov + (1 - a) * one))
        )
        total = total + WEIGHT[time] * ((1 - a) / a).sqrt() * kl_divergence(q, p) / 4
    (slope,) = torch.autograd.grad(total, leaf)
    assert torch.allclose((step[0] + step[1]) / 2, slope)


def test_where_the_predictor_says_the_noise_itself_nothing_moves():
    theta, t, eps = normal(3), torch.tensor([1, 3, 4, 7]), normal(4, 2, seed=1)
    still = oracle("sds_gradient")(bent, lambda x, t: eps, theta, t, eps, TABLE, WEIGHT)
    assert torch.equal(still, torch.zeros(3).double())


def test_on_a_mixture_the_mean_step_is_the_smoothed_score():
    """One number that is its own picture; the noise by Gauss-Hermite nodes, against the mixture's score."""
    t, x = torch.tensor([4]), torch.tensor([0.3]).double()
    nodes, shares = map(torch.tensor, hermegauss(30))
    shares = shares / shares.sum()
    model = MIXTURE_1D.eps_model(TABLE)
    steps = torch.cat(
        [oracle("sds_gradient")(lambda x: x[None], model, x, t, n.reshape(1, 1), TABLE, WEIGHT) for n in nodes]
    )
    places = (TABLE[4].sqrt() * x + (1 - TABLE[4]).sqrt() * nodes)[:, None]
    said = -(1 - TABLE[4]).sqrt() * MIXTURE_1D.score(places, TABLE[4].expand(30))[:, 0]
    assert torch.isclose((shares * steps).sum(), WEIGHT[4] * (shares * said).sum())


def test_it_is_no_gradient_of_the_plain_loss():
    """On Gaussian data the plain loss has C_t^-2 where score distillation has C_t^-1: the condition number squared."""
    cov = torch.diag(torch.tensor([1.8, 0.2, 0.01])).double()
    data, a, t = GaussianData(torch.zeros(3), cov), TABLE[1], torch.tensor([1])
    eps = normal(1, 3)
    slopes, plain = [], []
    for row in torch.eye(3).double():
        pair = [
            oracle("sds_gradient")(lambda x: x[None], data.eps_model(TABLE), row, t, e, TABLE, WEIGHT)
            for e in (eps, -eps)
        ]
        slopes.append(sum(pair) @ row / 2)
        leaf = row.clone().requires_grad_()
        loss = sum(((data.best_eps(a.sqrt() * leaf + (1 - a).sqrt() * e, a) - e) ** 2).sum() / 4 for e in (eps, -eps))
        plain.append(torch.autograd.grad(loss, leaf)[0] @ row)
    dropped, kept = (max(values) / min(values) for values in (slopes, plain))
    assert torch.isclose(kept, dropped**2) and dropped > 10


@pytest.mark.parametrize(("level", "w"), [(0.4, 0.5), (0.9, 3.0), (0.5, 7.0), (0.05, 1.0)])
def test_the_guided_expectation_vanishes_at_the_fixed_point(level, w):
    told, free = GaussianData(normal(3), covariance(3, 1)), GaussianData(normal(3, seed=2), covariance(3, 3))
    x = oracle("sds_fixed_point")(told.mean, told.cov, free.mean, free.cov, level, w)
    eps = torch.cat([normal(4, 3, seed=4), -normal(4, 3, seed=4)])
    xt = level**0.5 * x + (1 - level) ** 0.5 * eps
    mean = ((1 + w) * told.best_eps(xt, level) - w * free.best_eps(xt, level) - eps).mean(0)
    assert mean.abs().max() < 1e-9 * (1 + x.abs().max())


def test_fixed_points_that_are_known():
    mean_c, mean_u, cov = normal(3), normal(3, seed=1), covariance(3, 2)
    fixed = oracle("sds_fixed_point")
    assert torch.allclose(fixed(mean_c, cov, mean_u, covariance(3, 3), 0.3, 0.0), mean_c)
    assert torch.allclose(fixed(mean_c, cov, mean_u, cov, 0.3, 7.0), mean_c + 7 * (mean_c - mean_u))
    one, nothing = torch.eye(3).double(), torch.zeros(3, 3).double()
    single = fixed(mean_c, nothing, mean_u, one, 0.5, 0.5)  # a single picture: its precision at this level is 2
    assert torch.allclose(1.5 * 2 * (single - mean_c), 0.5 * (single - mean_u))


# ---- sets


def test_one_layer_is_the_best_denoiser_of_exchangeable_points():
    """x_i = z + sigma xi_i: the inverse of the covariance of all points, and a `SetLinear` with two numbers."""
    tau2, sigma2, count, a = 0.8, 0.3, 5, 0.6
    cov = sigma2 * torch.eye(count) + tau2 * torch.ones(count, count)
    x = normal(4, count)
    layer, s = oracle("SetLinear")(1, 1).double(), a * sigma2 + 1 - a
    own = math.sqrt(1 - a) / s
    values = {"own.weight": own, "own.bias": 0.0, "pooled.weight": -own * count * a * tau2 / (s + count * a * tau2)}
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.fill_(values[name])
        got = layer(x[..., None])[..., 0]
    assert torch.allclose(got, GaussianData(torch.zeros(count), cov.double()).best_eps(x, a))


def test_a_set_layer_knows_no_order_and_nothing_more_general_is_as_blind():
    layer, x = oracle("SetLinear")(3, 2).double(), normal(2, 4, 3)
    orders = [list(order) for order in itertools.permutations(range(4))]
    assert all(torch.allclose(layer(x[:, order]), layer(x)[:, order]) for order in orders)
    one = torch.eye(4).double()
    rows = [torch.kron(one[order], one) - torch.kron(one, one[order].T.contiguous()) for order in orders]
    assert 16 - torch.linalg.matrix_rank(torch.cat(rows)) == 2  # a I + b 11'


def test_sets_of_equal_places_and_other_multiplicities():
    x = torch.tensor([0.0] * 9 + [2.5]).double()[None, :, None]
    y = torch.tensor([0.0] + [2.5] * 9).double()[None, :, None]
    assert oracle("chamfer_distance")(x, y).item() == 0
    assert oracle("earth_movers_distance")(x, y).item() == pytest.approx(0.8 * 2.5)


def test_the_nearest_points_by_hand():
    x, y = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]]).double(), torch.tensor([[[0.0, 1.0]]]).double()
    assert oracle("chamfer_distance")(x, y).item() == pytest.approx((1 + 18) / 2 + 1)
    assert torch.allclose(oracle("chamfer_distance")(x, y), oracle("chamfer_distance")(y, x))


def test_the_cheapest_matching_of_all():
    x, y = normal(3, 5, 2), normal(3, 5, 2, seed=1)
    every = torch.stack([(x - y[:, list(order)]).norm(dim=2).mean(1) for order in itertools.permutations(range(5))])
    assert torch.allclose(oracle("earth_movers_distance")(x, y), every.amin(0))
    line = (x[..., :1], y[..., :1])
    apart = (line[0].sort(1).values - line[1].sort(1).values).abs().mean((1, 2))
    assert torch.allclose(oracle("earth_movers_distance")(*line), apart)


# ---- meshes


def continuations(corners, count):
    return oracle("next_corner_mask")(torch.tensor(corners, dtype=torch.long), count).nonzero()[:, 0].tolist()


@pytest.mark.parametrize("count", [3, 4, 5])
def test_the_next_corner_is_one_of_a_listed_triangle(count):
    triangles = [face for face in itertools.permutations(range(count), 3) if face[0] == min(face)]
    for last, length in itertools.product([(), *triangles], range(3)):
        behind = [face for face in triangles if face > last]
        for begun in {face[:length] for face in behind}:
            right = sorted({face[length] for face in behind if face[:length] == begun})
            assert continuations([*last, *begun], count) == right
    assert continuations(triangles[-1], count) == []


def test_the_grammar_writes_each_set_of_triangles_once():
    def lists(corners):
        return (len(corners) % 3 == 0) + sum(lists([*corners, v]) for v in continuations(corners, 4))

    assert lists([]) == 2**8  # eight triangles over four vertices, each in the list or not

    def triangles(corners):
        return 1 if len(corners) == 3 else sum(triangles([*corners, v]) for v in continuations(corners, 8))

    assert triangles([]) == 112


def test_the_pointer_is_a_distribution_over_what_is_valid():
    query, vertices = normal(3, 4), normal(3, 6, 4, seed=1)
    valid = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 0, 0, 1, 1], [0, 0, 0, 1, 0, 0]]).bool()
    logs = oracle("pointer_log_probs")(query, vertices, valid)
    assert torch.equal(logs.isneginf(), ~valid) and torch.allclose(logs.exp().sum(1), torch.ones(3).double())
    ahead = (vertices[1, 4] - vertices[1, 1]) @ query[1]
    assert torch.isclose(logs[1, 4] - logs[1, 1], ahead)
    far = oracle("pointer_log_probs")(1e4 * query, vertices, valid)
    assert torch.isclose(far[1, 4] - far[1, 1], 1e4 * ahead) and far[1, valid[1]].max() > -1e-6


# ---- films


@pytest.mark.parametrize("size", [1, 3, 5])
def test_both_kernels_are_one_in_three_dimensions(size):
    layer, x = oracle("Pseudo3DConv")(2, 3, size).double(), normal(2, 2, 6, 4, 5)
    layer.load_state_dict({name: normal(*value.shape) for name, value in layer.state_dict().items()})
    names = dict(layer.named_parameters())
    kernel = torch.einsum("omt,mihw->oithw", names["temporal.weight"], names["spatial.weight"])
    reach, bias = size // 2, names["spatial.bias"].detach().clone()
    carried = names["temporal.bias"] + names["temporal.weight"].sum(2) @ bias
    inside = slice(
        reach, 6 - reach
    )  # zeros stand around the film after the bias: at its ends that does not come through
    assert torch.allclose(layer(x)[:, :, inside], F.conv3d(x, kernel, carried, padding=reach)[:, :, inside])
    with torch.no_grad():
        names["spatial.bias"].zero_()
    assert torch.allclose(layer(x), F.conv3d(x, kernel, names["temporal.bias"], padding=reach))


def test_a_new_layer_changes_no_frame():
    layer, x = oracle("Pseudo3DConv")(2, 3).double(), normal(2, 2, 4, 5, 6)
    frames = torch.stack([layer.spatial(x[:, :, f]) for f in range(4)], 2)
    assert torch.allclose(layer(x), frames)
