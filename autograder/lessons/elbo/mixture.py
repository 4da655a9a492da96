"""EM for mixtures of diagonal Gaussians: e_step and m_step."""

from __future__ import annotations

import math

import torch
from torch.distributions import Normal

from ...exercise import exercise
from .draws import distribution, with_zeros

LESSON = "01-elbo"
f64 = torch.float64


def _mixture(case, count, dim):
    """weights (K,), means (K, D), variances (K, D), with components that overlap."""
    return distribution(case, count), case.normal(count, dim), case.uniform(count, dim, low=0.4, high=2.5)


@exercise("e_step", points=2, after=("log_normal",))
def e_step(student, case):
    """Responsibilities p(z = k given x_n), (B, K)."""
    log_density = case.upstream("log_normal")

    def truth(x, weights, means, variances):
        log_joint = weights.log() + log_density(x[:, None], means, variances.log())
        relative = (log_joint - log_joint.max(-1, keepdim=True).values).exp()
        return relative / relative.sum(-1, keepdim=True)

    batch, count, dim = case.sizes(3, low=2, high=6)
    x, model = case.normal(batch, dim), _mixture(case, count, dim)
    case.expect(student(x, *model), truth(x, *model), "value on random points", points=1.0)
    # Further out along the line between two means than exp can follow, with equal variances: the nearer one has all.
    weights, means, _ = model
    nearer = torch.arange(batch) % count
    away = 3e3 * (means[nearer] - means[(nearer + 1) % count]) + case.normal(batch, dim)
    equal = torch.full_like(means, case.number(0.5, 2.0))
    shared = truth(x, weights, means, equal)  # so that a recorded answer for far points alone earns nothing
    case.expect(
        [student(away, weights, means, equal), student(x, weights, means, equal)],
        [truth(away, weights, means, equal), shared],
        "stable far from every mean",
        points=0.4,
    )
    absent = with_zeros(weights, 0), means, model[2]
    case.expect(student(x, *absent), truth(x, *absent), "a component of weight 0", points=0.3)
    case.conventions(student, (x, *model), truth, points=0.3)


@e_step.truth
def _(x, weights, means, variances):
    rows = []
    for point in x.double().tolist():
        logs = []
        for w, mean, variance in zip(weights.tolist(), means.tolist(), variances.tolist(), strict=True):
            terms = (
                math.log(2 * math.pi * v) + (a - m) ** 2 / v for a, m, v in zip(point, mean, variance, strict=True)
            )
            logs.append(-0.5 * sum(terms) + math.log(w) if w > 0 else -math.inf)
        top = max(logs)
        total = math.fsum(math.exp(value - top) for value in logs)
        rows.append([math.exp(value - top) / total for value in logs])
    return torch.tensor(rows, dtype=x.dtype)


def _log_density(x, means, variances):
    return Normal(means, variances.sqrt()).log_prob(x[:, None]).sum(-1)


@e_step.misconception("weights forgotten", hint="Bayes' rule needs the prior: add log weights[k] before you normalise.")
def _(x, weights, means, variances):
    return _log_density(x, means, variances).softmax(-1)


@e_step.misconception(
    "exp underflows",
    hint="Far from every mean all densities are 0 and 0 / 0 is nan. Normalise the logarithms (softmax).",
)
def _(x, weights, means, variances):
    joint = weights * _log_density(x, means, variances).exp()
    return joint / joint.sum(-1, keepdim=True)


@e_step.misconception(
    "a small number in the denominator",
    hint="Adding 1e-8 to the sum avoids nan, but far from every mean the rows then sum to 0. Normalise the logarithms.",
)
def _(x, weights, means, variances):
    joint = weights * _log_density(x, means, variances).exp()
    return joint / (joint.sum(-1, keepdim=True) + 1e-8)


@e_step.misconception(
    "variances taken for standard deviations",
    hint="The argument holds variances; the standard deviation is their root.",
)
def _(x, weights, means, variances):
    return (weights.log() + Normal(means, variances).log_prob(x[:, None]).sum(-1)).softmax(-1)


@e_step.misconception(
    "normalised over the data", hint="Each point's responsibilities sum to 1 over the components, the last axis."
)
def _(x, weights, means, variances):
    return (weights.log() + _log_density(x, means, variances)).softmax(0)


@e_step.misconception(
    "normaliser of the Gaussian forgotten",
    hint="The components have different variances, so -1/2 sum log v does not cancel: a wide component is lower.",
)
def _(x, weights, means, variances):
    return (weights.log() - 0.5 * ((x[:, None] - means) ** 2 / variances).sum(-1)).softmax(-1)


@e_step.misconception(
    "logarithms returned", hint="Responsibilities are probabilities: return them, not their logarithms."
)
def _(x, weights, means, variances):
    return (weights.log() + _log_density(x, means, variances)).log_softmax(-1)


@e_step.misconception(
    "hard assignment",
    hint="The posterior shares each point among the components: all of it goes to one in k-means alone.",
)
def _(x, weights, means, variances):
    best = (weights.log() + _log_density(x, means, variances)).argmax(-1)
    return torch.nn.functional.one_hot(best, len(weights)).to(x.dtype)


@e_step.misconception(
    "weight times log-density",
    hint="The weight multiplies the density, so in the logarithm it is added as log weights[k].",
)
def _(x, weights, means, variances):
    return (weights * _log_density(x, means, variances)).softmax(-1)


@e_step.misconception(
    "weights added without their logarithm",
    hint="A factor becomes a summand under the logarithm: add log weights[k], not weights[k].",
)
def _(x, weights, means, variances):
    return (weights + _log_density(x, means, variances)).softmax(-1)


@e_step.misconception(
    "variances taken for log-variances",
    hint="log_normal takes the logarithm of the variances: pass variances.log().",
)
def _(x, weights, means, variances):
    return (weights.log() + Normal(means, (variances / 2).exp()).log_prob(x[:, None]).sum(-1)).softmax(-1)


@e_step.misconception("joint not normalised", hint="Divide by the sum over the components: every row sums to 1.")
def _(x, weights, means, variances):
    return weights * _log_density(x, means, variances).exp()


@e_step.alternative("torch.distributions and logsumexp")
def _(x, weights, means, variances):
    components = torch.distributions.Independent(Normal(means, variances.sqrt()), 1)
    log_joint = components.log_prob(x.unsqueeze(1)) + weights.log()
    return torch.exp(log_joint - log_joint.logsumexp(dim=1, keepdim=True))


@e_step.alternative("one component after the other, largest taken out")
def _(x, weights, means, variances):
    columns = []
    for k in range(len(weights)):
        squares = (x - means[k]).square() / variances[k]
        columns.append(torch.log(weights[k]) - 0.5 * (squares + torch.log(2 * math.pi * variances[k])).sum(1))
    logs = torch.stack(columns, dim=1)
    shares = torch.exp(logs - logs.max(dim=1, keepdim=True).values)
    return shares / shares.sum(dim=1, keepdim=True)


@e_step.alternative("the square multiplied out")
def _(x, weights, means, variances):
    quadratic = x.square() @ (1 / variances).T - 2 * x @ (means / variances).T + (means.square() / variances).sum(1)
    return torch.softmax(weights.log() - 0.5 * (quadratic + variances.log().sum(1)), dim=1)


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
    case.conventions(student, (x, r), truth, points=0.25)


@m_step.truth
def _(x, responsibilities):
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
def _(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances.sqrt()


@m_step.misconception(
    "weights not normalised", hint="The totals N_k sum to the number of examples; the weights sum to 1: divide by it."
)
def _(x, responsibilities):
    return _moments(x, responsibilities)


@m_step.misconception(
    "all divided by the number of examples",
    hint="A component's mean and variance are divided by its own total N_k, not by N.",
)
def _(x, responsibilities):
    r = responsibilities
    means = r.T @ x / len(x)
    variances = torch.einsum("nk,nkd->kd", r, (x[:, None] - means) ** 2) / len(x)
    return r.mean(0), means, variances


@m_step.misconception(
    "variances divided by the number of examples",
    hint="The weighted sum of squares is divided by the component's own total N_k, not by N.",
)
def _(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances * (totals / len(x))[:, None]


@m_step.misconception(
    "variances about the overall mean",
    hint="Measure the squared distances from the component's own new mean, not from the mean of all data.",
)
def _(x, responsibilities):
    totals, means, _ = _moments(x, responsibilities)
    squares = (x - x.mean(0)) ** 2
    return totals / len(x), means, responsibilities.T @ squares / totals[:, None]


@m_step.misconception(
    "second moment instead of variance", hint="The mean of x^2 is not the variance: subtract the mean before squaring."
)
def _(x, responsibilities):
    totals, means, _ = _moments(x, responsibilities)
    return totals / len(x), means, responsibilities.T @ x**2 / totals[:, None]


@m_step.misconception(
    "one degree of freedom taken off",
    hint="N_k - 1 belongs to the unbiased estimate. The maximum of the ELBO divides by N_k.",
)
def _(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances * (totals / (totals - 1))[:, None]


@m_step.misconception(
    "a floor under the variances",
    hint="Nothing is added to the variances here: return the exact maximiser, however small.",
)
def _(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances.clamp(min=1e-6)


@m_step.misconception(
    "hard assignment", hint="Every example counts for every component, with its responsibility: do not take the argmax."
)
def _(x, responsibilities):
    hard = torch.nn.functional.one_hot(responsibilities.argmax(1), responsibilities.shape[1]).to(x.dtype)
    totals, means, variances = _moments(x, hard)
    return totals / len(x), means, variances


@m_step.misconception(
    "responsibilities squared", hint="Each squared distance is weighted by r once: weigh after squaring, not before."
)
def _(x, responsibilities):
    totals, means, _ = _moments(x, responsibilities)
    weighted = responsibilities[..., None] * (x[:, None] - means)
    return totals / len(x), means, (weighted**2).sum(0) / totals[:, None]


@m_step.misconception(
    "one variance for all coordinates",
    hint="Each coordinate d has a variance of its own: average over the examples alone, not over d.",
)
def _(x, responsibilities):
    totals, means, variances = _moments(x, responsibilities)
    return totals / len(x), means, variances.mean(1, keepdim=True).expand_as(variances).clone()


@m_step.alternative("normalised columns")
def _(x, responsibilities):
    share = responsibilities / responsibilities.sum(dim=0, keepdim=True)
    means = torch.einsum("nk,nd->kd", share, x)
    variances = torch.einsum("nk,nkd->kd", share, (x.unsqueeze(1) - means.unsqueeze(0)).square())
    return responsibilities.mean(dim=0), means, variances


@m_step.alternative("one component after the other")
def _(x, responsibilities):
    weights, means, variances = [], [], []
    for r in responsibilities.T:
        mean = (r[:, None] * x).sum(0) / r.sum()
        weights.append(r.sum() / len(x))
        means.append(mean)
        variances.append((r[:, None] * (x - mean) ** 2).sum(0) / r.sum())
    return torch.stack(weights), torch.stack(means), torch.stack(variances)


@m_step.alternative("shifted second moment")
def _(x, responsibilities):
    totals = responsibilities.sum(0)[:, None]
    centre = x.mean(0)
    first = responsibilities.T @ (x - centre) / totals
    second = responsibilities.T @ (x - centre).square() / totals
    return totals.squeeze(1) / len(x), centre + first, second - first.square()
