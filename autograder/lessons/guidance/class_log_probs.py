"""The exact classifier of noisy data: `class_log_probs`."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal, Normal

from ...exercise import exercise
from ..diffusion import EARLY, ONE_TIME, edges, first_of, schedule
from .shared import away, mixture, places, silenced, spread


@exercise("class_log_probs", points=2)
def class_log_probs(student, case):
    """log p(y = k given x_t) of a labelled mixture of diagonal Gaussians, (B, K)."""
    truth, steps = class_log_probs.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)
    dims, classes, count = case.sizes(3, low=3, high=6)
    count += 4  # still another than the other two, since those are below
    if count in (dims, classes):
        count += 3
    given = mixture(case, classes, dims)
    x, t = places(case, steps, count, dims)
    x = outwards(case, x, t, given, alpha_bar)
    near = x, t, *given, alpha_bar
    case.expect(student(*near), truth(*near), "three sizes, unequal weights and variances", points=0.5, dtype=True)
    direction = case.normal(3, dims)
    far = 300 * direction / direction.norm(dim=1, keepdim=True)
    remote = far, torch.tensor([1, 2, steps]), *given, alpha_bar
    case.expect(
        student(*remote),
        truth(*remote),
        "300 away from all classes",
        points=0.5,
        hint="log-probabilities there are as low as -1e5, and true ones: nothing may be lost on the way to them",
    )
    gone = case.integer(0, classes - 1)
    missing = x, t, *silenced(given, gone), alpha_bar
    pull = case.normal(count, classes)
    pull[:, gone] = 0
    case.expect(
        [student(*missing), student.gradient(*missing, weights=[pull], wrt=[0])],
        [truth(*missing), [slope(missing, pull)]],
        "a class of weight 0: -inf, and gradients without NaN",
        points=0.5,
    )
    pointlike = given[0], given[1], 0 * given[2]
    single = x[:, :1].contiguous(), t, torch.ones(1, dtype=x.dtype), given[1][:1, :1], given[2][:1, :1], alpha_bar

    def extreme(times, table):
        return x[:3], times, *given, table

    also = [(x, t, *pointlike, alpha_bar), single, (x[:1], t[:1], *given, alpha_bar), *edges(case, extreme)]
    case.conventions(student, near, truth, points=0.5, also=also, gradient=[0])


@class_log_probs.truth
def truth(xt, t, weights, means, variances, alpha_bar):
    """Bayes' rule, one multivariate normal for each class and example; classes of weight 0 stay out of the sum."""
    rows = []
    for x, level in zip(xt.double(), alpha_bar.double()[t], strict=True):
        row = torch.full((len(weights),), -torch.inf, dtype=torch.float64)
        for k in (weights > 0).nonzero()[:, 0].tolist():
            at = MultivariateNormal(level.sqrt() * means[k].double(), torch.diag(level * variances[k] + 1 - level))
            row[k] = at.log_prob(x) + weights[k].double().log()
        rows.append(row - row.logsumexp(0))
    return torch.stack(rows).to(xt.dtype)


def outwards(case, x, t, given, alpha_bar):
    """x with the examples at t = 1 so far out that one class has less than e^-60 there, and none as little as exp can
    no longer say.
    """
    early, direction = (t == 1)[:, None], case.normal(x.shape[1])
    for size in 3 * 1.3 ** torch.arange(12):
        x = torch.where(early, size * direction / direction.norm(), x)
        if truth(x[t == 1], t[t == 1], *given, alpha_bar).min() < -60:
            break
    return x


def slope(given, pull):
    """d/dx of sum pull log p, from the classes' scores and their average."""
    xt, t, _, means, variances, alpha_bar = given
    scores = -away(xt, t, alpha_bar, means) / spread(t, alpha_bar, variances)
    own = truth(*given).exp()[..., None]
    return (pull[..., None] * (scores - (own * scores).sum(1, keepdim=True))).sum(1)


def joint(xt, t, weights, means, variances, alpha_bar):
    """log w_k + log N(x_t; sqrt(a) mu_k, a v_k + 1 - a), (B, K)."""
    a = alpha_bar[t][:, None, None]
    return weights.log() + Normal(a.sqrt() * means, (a * variances + 1 - a).sqrt()).log_prob(xt[:, None]).sum(-1)


@class_log_probs.alternative("log_softmax of the joint")
def softmax_of_joint(xt, t, weights, means, variances, alpha_bar):
    return torch.log_softmax(joint(xt, t, weights, means, variances, alpha_bar), dim=1)


@class_log_probs.alternative("exponents by hand, less their logsumexp")
def by_hand(xt, t, weights, means, variances, alpha_bar):
    v = spread(t, alpha_bar, variances)
    exponent = -0.5 * (away(xt, t, alpha_bar, means) ** 2 / v + v.log()).sum(2) + torch.log(weights)
    return exponent - torch.logsumexp(exponent, dim=1, keepdim=True)


@class_log_probs.alternative("class by class")
def class_by_class(xt, t, weights, means, variances, alpha_bar):
    a = alpha_bar[t].unsqueeze(1)
    columns = []
    for w, mu, v in zip(weights, means, variances, strict=True):
        normal = Normal(a.sqrt() * mu, torch.sqrt(a * v + (1 - a)))
        columns.append(normal.log_prob(xt).sum(1) + w.log())
    return torch.stack(columns, 1).log_softmax(-1)


@class_log_probs.misconception(
    "the weights are left out",
    hint="Bayes' rule multiplies each class's density by how frequent the class is, w_k: add its logarithm.",
)
def no_weights(xt, t, weights, means, variances, alpha_bar):
    return softmax_of_joint(xt, t, torch.ones_like(weights), means, variances, alpha_bar)


@class_log_probs.misconception(
    "the clean classifier, asked at x_t",
    hint="x_t is no x_0. Given the class it is a Gaussian whose mean has shrunk and whose variance the noise has "
    "changed: which ones?",
)
def clean(xt, t, weights, means, variances, alpha_bar):
    floor = variances.clamp(min=1e-12)
    return torch.log_softmax(weights.log() + Normal(means, floor.sqrt()).log_prob(xt[:, None]).sum(-1), 1)


@class_log_probs.misconception(
    "the means are not shrunk",
    hint="x_t holds sqrt(alpha_bar_t) x_0, so the centre of class k has moved to sqrt(alpha_bar_t) mu_k.",
)
def means_not_shrunk(xt, t, weights, means, variances, alpha_bar):
    v = spread(t, alpha_bar, variances)
    return torch.log_softmax(weights.log() + Normal(means, v.sqrt()).log_prob(xt[:, None]).sum(-1), 1)


@class_log_probs.misconception(
    "alpha_bar_t in place of its root in the mean",
    hint="alpha_bar_t is a share of variance. The mean is multiplied by its root.",
)
def mean_without_root(xt, t, weights, means, variances, alpha_bar):
    a = alpha_bar[t][:, None, None]
    at = Normal(a * means, spread(t, alpha_bar, variances).sqrt())
    return torch.log_softmax(weights.log() + at.log_prob(xt[:, None]).sum(-1), 1)


@class_log_probs.misconception(
    "the data's variance is not shrunk",
    hint="Of the variance v_k only the share alpha_bar_t is left in x_t, and 1 - alpha_bar_t of noise comes in.",
)
def variance_not_shrunk(xt, t, weights, means, variances, alpha_bar):
    a = alpha_bar[t][:, None, None]
    at = Normal(a.sqrt() * means, (variances + 1 - a).sqrt())
    return torch.log_softmax(weights.log() + at.log_prob(xt[:, None]).sum(-1), 1)


@class_log_probs.misconception(
    "a variance stands where a standard deviation belongs",
    hint="torch.distributions.Normal takes the standard deviation; alpha_bar_t v_k + 1 - alpha_bar_t is a variance.",
)
def variance_for_deviation(xt, t, weights, means, variances, alpha_bar):
    a = alpha_bar[t][:, None, None]
    at = Normal(a.sqrt() * means, spread(t, alpha_bar, variances))
    return torch.log_softmax(weights.log() + at.log_prob(xt[:, None]).sum(-1), 1)


@class_log_probs.misconception(
    "the Gaussians' normalisers are left out",
    hint="The classes have different variances, so -1/2 log of the variance does not cancel between them.",
)
def no_normalisers(xt, t, weights, means, variances, alpha_bar):
    exponent = -0.5 * away(xt, t, alpha_bar, means) ** 2 / spread(t, alpha_bar, variances)
    return torch.log_softmax(weights.log() + exponent.sum(-1), 1)


@class_log_probs.misconception(
    "not normalised",
    hint="What you return is log p(y, x_t). Divide by p(x_t), the sum over the classes: in logarithms, subtract "
    "their logsumexp.",
)
def not_normalised(xt, t, weights, means, variances, alpha_bar):
    return joint(xt, t, weights, means, variances, alpha_bar)


@class_log_probs.misconception(
    "normalised over the batch",
    hint="The probabilities of the K classes sum to 1 for each example: softmax along the axis of the classes.",
)
def over_batch(xt, t, weights, means, variances, alpha_bar):
    return torch.log_softmax(joint(xt, t, weights, means, variances, alpha_bar), 0)


@class_log_probs.misconception(
    "probabilities in place of their logarithms",
    hint="Asked for is log p(y given x_t): stay in logarithms to the end.",
)
def probabilities(xt, t, weights, means, variances, alpha_bar):
    return torch.softmax(joint(xt, t, weights, means, variances, alpha_bar), 1)


@class_log_probs.misconception(
    "the logarithm of a probability that has become 0",
    hint="Far away exp gives 0 and log of it -inf, where the true value is -1e5: log_softmax subtracts before it "
    "takes an exponential.",
)
def log_of_softmax(xt, t, weights, means, variances, alpha_bar):
    return torch.softmax(joint(xt, t, weights, means, variances, alpha_bar), 1).log()


@class_log_probs.misconception(
    "a floor under the probabilities",
    hint="log(p + 1e-12) cannot fall below -28, but log-probabilities of -1e5 are right far away, and their gradient "
    "is what guides there.",
)
def floored(xt, t, weights, means, variances, alpha_bar):
    return (torch.softmax(joint(xt, t, weights, means, variances, alpha_bar), 1) + 1e-12).log()


@class_log_probs.misconception(
    "the mean over the dimensions",
    hint="The coordinates are independent given the class, so their log-densities add up: a sum, not a mean.",
)
def mean_over_dimensions(xt, t, weights, means, variances, alpha_bar):
    a = alpha_bar[t][:, None, None]
    at = Normal(a.sqrt() * means, spread(t, alpha_bar, variances).sqrt())
    return torch.log_softmax(weights.log() + at.log_prob(xt[:, None]).mean(-1), 1)


@class_log_probs.misconception(*EARLY)
def one_step_early(xt, t, weights, means, variances, alpha_bar):
    v = spread(t - 1, alpha_bar, variances)
    at = Normal(alpha_bar[t - 1][:, None, None].sqrt() * means, v.clamp(min=1e-12).sqrt())
    return torch.log_softmax(weights.log() + at.log_prob(xt[:, None]).sum(-1), 1)


@class_log_probs.misconception(*ONE_TIME)
def one_time(xt, t, weights, means, variances, alpha_bar):
    return softmax_of_joint(xt, first_of(t), weights, means, variances, alpha_bar)
