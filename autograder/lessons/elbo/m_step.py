"""EM for mixtures of diagonal Gaussians, the best mixture for given responsibilities: `m_step`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import distribution

f64 = torch.float64


@exercise("m_step", points=2)
def m_step(student, case):
    """weights (K,), means (K, D) and variances (K, D) that maximise the ELBO for fixed responsibilities."""
    truth = m_step.oracle
    batch = case.integer(12, 18)
    count, dim = case.sizes(2, high=5)
    x, r = case.normal(batch, dim) + 2 * case.normal(dim), distribution(case, batch, count)
    wanted = truth(x, r)
    answers = case.unpack(student(x, r), "weights", "means", "variances")
    for what, got, right in zip(("weights", "means", "variances"), answers, wanted, strict=True):
        case.expect(got, right, what, points=0.5)
    small = 1e-5 * case.normal(batch, dim)
    case.expect(
        student(small, r),
        truth(small, r),
        "data on a scale of 1e-5",
        points=0.25,
        hint="there is no floor under the variances",
    )
    rare = torch.cat([1e-13 * r[:, :1], r[:, 1:] * (1 - 1e-13 * r[:, :1]) / r[:, 1:].sum(1, keepdim=True)], 1)
    also = [
        (x, rare),
        (x[:, :1], torch.ones(batch, 1, dtype=x.dtype)),
    ]  # a total of 1e-12; one component, one coordinate
    case.conventions(student, (x, r), truth, points=0.25, also=also)


@m_step.truth
def truth(x, responsibilities):
    """By torch.cov with fractional weights, a component and a coordinate at a time, in float64."""
    r, data = responsibilities.double(), x.double()
    totals = r.sum(0)
    means = [[float((r[:, k] / totals[k]) @ column) for column in data.T] for k in range(len(totals))]
    variances = [[float(torch.cov(column, correction=0, aweights=weight)) for column in data.T] for weight in r.T]
    parts = totals / totals.sum(), torch.tensor(means, dtype=f64), torch.tensor(variances, dtype=f64)
    return tuple(part.to(x.dtype) for part in parts)


def _moments(x, r):
    totals = r.sum(0)
    means = r.T @ x / totals[:, None]
    return totals, means, torch.einsum("nk,nkd->kd", r, (x[:, None] - means) ** 2) / totals[:, None]


@m_step.misconception(
    "standard deviations for variances",
    hint="The third result is the variance: the weighted mean of squares, without a root.",
)
def standard_deviations_for_variances(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances.sqrt()


@m_step.misconception(
    "weights not normalised", hint="The totals N_k sum to the number of examples; the weights sum to 1: divide by it."
)
def weights_not_normalised(x, responsibilities):
    return _moments(x, responsibilities)


@m_step.misconception(
    "all divided by the number of examples",
    hint="A component's mean and variance are divided by its own total N_k, not by N.",
)
def all_divided_by_number_of_examples(x, responsibilities):
    r = responsibilities
    means = r.T @ x / len(x)
    variances = torch.einsum("nk,nkd->kd", r, (x[:, None] - means) ** 2) / len(x)
    return r.mean(0), means, variances


@m_step.misconception(
    "variances divided by the number of examples",
    hint="The weighted sum of squares is divided by the component's own total N_k, not by N.",
)
def variances_divided_by_number_of_examples(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances * (totals / len(x))[:, None]


@m_step.misconception(
    "variances about the overall mean",
    hint="Measure the squared distances from the component's own new mean, not from the mean of all data.",
)
def variances_about_overall_mean(x, responsibilities):
    totals, means, _ = _moments(x, responsibilities)
    squares = (x - x.mean(0)) ** 2
    return totals / len(x), means, responsibilities.T @ squares / totals[:, None]


@m_step.misconception(
    "second moment instead of variance", hint="The mean of x^2 is not the variance: subtract the mean before squaring."
)
def second_moment_instead_of_variance(x, responsibilities):
    totals, means, _ = _moments(x, responsibilities)
    return totals / len(x), means, responsibilities.T @ x**2 / totals[:, None]


@m_step.misconception(
    "one degree of freedom taken off",
    hint="N_k - 1 belongs to the unbiased estimate. The maximum of the ELBO divides by N_k.",
)
def one_degree_of_freedom_taken_off(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances * (totals / (totals - 1))[:, None]


@m_step.misconception(
    "a floor under the variances",
    hint="Nothing is added to the variances here: return the exact maximiser, however small.",
)
def floor_under_variances(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances.clamp(min=1e-6)


@m_step.misconception(
    "hard assignment", hint="Every example counts for every component, with its responsibility: do not take the argmax."
)
def hard_assignment(x, responsibilities):
    hard = torch.nn.functional.one_hot(responsibilities.argmax(1), responsibilities.shape[1]).to(x.dtype)
    totals, means, variances = _moments(x, hard)
    return totals / len(x), means, variances


@m_step.misconception(
    "responsibilities squared", hint="Each squared distance is weighted by r once: weigh after squaring, not before."
)
def responsibilities_squared(x, responsibilities):
    totals, means, _ = _moments(x, responsibilities)
    weighted = responsibilities[..., None] * (x[:, None] - means)
    return totals / len(x), means, (weighted**2).sum(0) / totals[:, None]


@m_step.misconception(
    "one variance for all coordinates",
    hint="Each coordinate d has a variance of its own: average over the examples alone, not over d.",
)
def one_variance_for_all_coordinates(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances.mean(1, keepdim=True).expand_as(variances).clone()


@m_step.alternative("normalised columns")
def normalised_columns(x, responsibilities):
    share = responsibilities / responsibilities.sum(dim=0, keepdim=True)
    means = torch.einsum("nk,nd->kd", share, x)
    variances = torch.einsum("nk,nkd->kd", share, (x.unsqueeze(1) - means.unsqueeze(0)).square())
    return responsibilities.mean(dim=0), means, variances


@m_step.alternative("one component after the other")
def one_component_after_other(x, responsibilities):
    weights, means, variances = [], [], []
    for r in responsibilities.T:
        mean = (r[:, None] * x).sum(0) / r.sum()
        weights.append(r.sum() / len(x))
        means.append(mean)
        variances.append((r[:, None] * (x - mean) ** 2).sum(0) / r.sum())
    return torch.stack(weights), torch.stack(means), torch.stack(variances)


@m_step.alternative("shifted second moment")
def shifted_second_moment(x, responsibilities):
    totals = responsibilities.sum(0)[:, None]
    centre = x.mean(0)
    first = responsibilities.T @ (x - centre) / totals
    second = responsibilities.T @ (x - centre).square() / totals
    return totals.squeeze(1) / len(x), centre + first, second - first.square()


@m_step.alternative("sums over counts")
def sums_over_counts(x, responsibilities):
    counts = responsibilities.sum(0)
    means = responsibilities.T @ x / counts[:, None]
    off = x[:, None] - means
    variances = (responsibilities[..., None] * off**2).sum(0) / counts[:, None]
    return counts / len(x), means, variances
