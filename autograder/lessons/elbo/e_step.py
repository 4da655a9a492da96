"""EM for mixtures of diagonal Gaussians, who made which point: `e_step`."""

from __future__ import annotations

import math

import torch
from torch.distributions import Normal

from ...exercise import exercise
from .shared import distribution, with_zeros


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

    batch, count, dim = case.sizes(3, low=3, high=6)
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
    # A point that only an impossible component explains; spreads of 1e-5; a single component of a single coordinate.
    apart = 40.0 * torch.arange(count)[:, None] + means
    impossible = apart[:1] + 0.1 * case.normal(1, dim), with_zeros(weights, 0), apart, equal
    narrow = 1e-5 * x, weights, 1e-5 * means, 1e-10 * model[2]
    alone = x[:1, :1], torch.ones(1, dtype=x.dtype), means[:1, :1], equal[:1, :1]
    case.conventions(student, (x, *model), truth, points=0.3, also=[impossible, narrow, alone])


@e_step.truth
def truth(x, weights, means, variances):
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
def weights_forgotten(x, weights, means, variances):
    return _log_density(x, means, variances).softmax(-1)


@e_step.misconception(
    "exp underflows",
    hint="Far from every mean all densities are 0 and 0 / 0 is nan. Normalise the logarithms (softmax).",
)
def exp_underflows(x, weights, means, variances):
    joint = weights * _log_density(x, means, variances).exp()
    return joint / joint.sum(-1, keepdim=True)


@e_step.misconception(
    "a small number in the denominator",
    hint="Adding 1e-8 to the sum avoids nan, but far from every mean the rows then sum to 0. Normalise the logarithms.",
)
def small_number_in_denominator(x, weights, means, variances):
    joint = weights * _log_density(x, means, variances).exp()
    return joint / (joint.sum(-1, keepdim=True) + 1e-8)


@e_step.misconception(
    "variances taken for standard deviations",
    hint="The argument holds variances; the standard deviation is their root.",
)
def variances_taken_for_standard_deviations(x, weights, means, variances):
    return (weights.log() + Normal(means, variances).log_prob(x[:, None]).sum(-1)).softmax(-1)


@e_step.misconception(
    "normalised over the data", hint="Each point's responsibilities sum to 1 over the components, the last axis."
)
def normalised_over_data(x, weights, means, variances):
    return (weights.log() + _log_density(x, means, variances)).softmax(0)


@e_step.misconception(
    "normaliser of the Gaussian forgotten",
    hint="The components have different variances, so -1/2 sum log v does not cancel: a wide component is lower.",
)
def normaliser_of_gaussian_forgotten(x, weights, means, variances):
    return (weights.log() - 0.5 * ((x[:, None] - means) ** 2 / variances).sum(-1)).softmax(-1)


@e_step.misconception(
    "logarithms returned", hint="Responsibilities are probabilities: return them, not their logarithms."
)
def logarithms_returned(x, weights, means, variances):
    return (weights.log() + _log_density(x, means, variances)).log_softmax(-1)


@e_step.misconception(
    "hard assignment",
    hint="The posterior shares each point among the components: all of it goes to one in k-means alone.",
)
def hard_assignment(x, weights, means, variances):
    best = (weights.log() + _log_density(x, means, variances)).argmax(-1)
    return torch.nn.functional.one_hot(best, len(weights)).to(x.dtype)


@e_step.misconception(
    "weight times log-density",
    hint="The weight multiplies the density, so in the logarithm it is added as log weights[k].",
)
def weight_times_log_density(x, weights, means, variances):
    return (weights * _log_density(x, means, variances)).softmax(-1)


@e_step.misconception(
    "weights added without their logarithm",
    hint="A factor becomes a summand under the logarithm: add log weights[k], not weights[k].",
)
def weights_added_without_their_logarithm(x, weights, means, variances):
    return (weights + _log_density(x, means, variances)).softmax(-1)


@e_step.misconception(
    "variances taken for log-variances",
    hint="log_normal takes the logarithm of the variances: pass variances.log().",
)
def variances_taken_for_log_variances(x, weights, means, variances):
    return (weights.log() + Normal(means, (variances / 2).exp()).log_prob(x[:, None]).sum(-1)).softmax(-1)


@e_step.misconception("joint not normalised", hint="Divide by the sum over the components: every row sums to 1.")
def joint_not_normalised(x, weights, means, variances):
    return weights * _log_density(x, means, variances).exp()


@e_step.alternative("torch.distributions and logsumexp")
def torch_distributions_and_logsumexp(x, weights, means, variances):
    components = torch.distributions.Independent(Normal(means, variances.sqrt()), 1)
    log_joint = components.log_prob(x.unsqueeze(1)) + weights.log()
    return torch.exp(log_joint - log_joint.logsumexp(dim=1, keepdim=True))


@e_step.alternative("one component after the other, largest taken out")
def one_component_after_other_largest_taken_out(x, weights, means, variances):
    columns = []
    for k in range(len(weights)):
        squares = (x - means[k]).square() / variances[k]
        columns.append(torch.log(weights[k]) - 0.5 * (squares + torch.log(2 * math.pi * variances[k])).sum(1))
    logs = torch.stack(columns, dim=1)
    shares = torch.exp(logs - logs.max(dim=1, keepdim=True).values)
    return shares / shares.sum(dim=1, keepdim=True)


@e_step.alternative("the square multiplied out")
def square_multiplied_out(x, weights, means, variances):
    quadratic = x.square() @ (1 / variances).T - 2 * x @ (means / variances).T + (means.square() / variances).sum(1)
    return torch.softmax(weights.log() - 0.5 * (quadratic + variances.log().sum(1)), dim=1)


@e_step.alternative("softmax of the exponents")
def softmax_of_exponents(x, weights, means, variances):
    exponents = (x[:, None] - means) ** 2 / (2 * variances)
    return torch.softmax(weights.log() - 0.5 * variances.log().sum(1) - exponents.sum(2), dim=1)
