"""The decoder's log-likelihoods: `bernoulli_log_likelihood` and `gaussian_log_likelihood`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, ContinuousBernoulli, MultivariateNormal, Normal

from ...exercise import exercise

LESSON = "02-vae"


# ---- bernoulli_log_likelihood


@exercise("bernoulli_log_likelihood", points=2)
def bernoulli_log_likelihood(student, case):
    """sum_d x_d log p_d + (1 - x_d) log(1 - p_d), p = sigmoid(logits), x in [0, 1]: (B, D) twice -> (B,), in nats."""
    truth = bernoulli_log_likelihood.oracle
    batch, pixels = case.sizes(2, low=3)
    grey, logits = case.uniform(batch, pixels), 2 * case.normal(batch, pixels)
    binary = (grey > 0.4).to(grey.dtype)
    case.expect(student(binary, logits), truth(binary, logits), "binary pixels", points=0.5)
    case.expect(student(grey, logits), truth(grey, logits), "grey pixels", points=0.5)

    far = torch.stack([case.uniform(pixels, low=80, high=90), case.uniform(pixels, low=700, high=900)])
    case.expect(
        [student(grey[:1], sign * row[None]) for row in far for sign in (-1, 1)],
        [truth(grey[:1], sign * row[None]) for row in far for sign in (-1, 1)],
        "logits far from 0, one example",
        points=0.5,
        hint="log(sigmoid(...)) loses everything far out. Work from the logits: torch.nn.functional has a loss 'with "
        "logits', and a logsigmoid",
    )
    case.conventions(student, (grey, logits), truth, points=0.5)


@bernoulli_log_likelihood.truth
def _(x, logits):
    zero = torch.zeros_like(logits)
    return -(x * torch.logaddexp(zero, -logits) + (1 - x) * torch.logaddexp(zero, logits)).sum(-1)


@bernoulli_log_likelihood.misconception(
    "the mean over the pixels",
    hint="The pixels are independent given z, so their log-probabilities add up. With the mean the KL weighs D times "
    "too much, and the code goes unused.",
)
def _(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(-1)


@bernoulli_log_likelihood.misconception(
    "the sign is reversed",
    hint="You computed the cross-entropy, a loss. A log-probability is never positive.",
)
def _(x, logits):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "the sigmoid is applied twice",
    hint="The function that you call takes logits and applies the sigmoid itself; you gave it probabilities. All "
    "results lie between sigmoid(0) and sigmoid(1).",
)
def _(x, logits):
    return -F.binary_cross_entropy_with_logits(torch.sigmoid(logits), x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "dark pixels do not count",
    hint="A pixel that is off has log-probability log(1 - p): the second term, (1 - x) log(1 - p), is missing.",
)
def _(x, logits):
    return (x * F.logsigmoid(logits)).sum(-1)


@bernoulli_log_likelihood.misconception(
    "the logarithm of the sigmoid without care",
    hint="sigmoid(-800) is 0 in floating point, and its logarithm -inf. Use logsigmoid, softplus or a loss 'with "
    "logits', which never form the probability.",
)
def _(x, logits):
    p = torch.sigmoid(logits)
    return (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)


@bernoulli_log_likelihood.misconception(
    "a small constant inside the logarithm",
    hint="log(p + 1e-8) never falls below log(1e-8), so confident mistakes look cheap and get no gradient. Work from "
    "the logits instead.",
)
def _(x, logits):
    p = torch.sigmoid(logits)
    return (x * torch.log(p + 1e-8) + (1 - x) * torch.log(1 - p + 1e-8)).sum(-1)


@bernoulli_log_likelihood.misconception(
    "the probabilities are clamped",
    hint="A clamp puts a floor under the log-likelihood: confident mistakes look cheap and get no gradient. Work from "
    "the logits instead.",
)
def _(x, logits):
    p = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    return -F.binary_cross_entropy(p, x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "binary_cross_entropy, which stops at -100",
    hint="torch's binary_cross_entropy cuts every logarithm off at -100. The version 'with logits' does not.",
)
def _(x, logits):
    return -F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "grey pixels are rounded",
    hint="x may lie anywhere in [0, 1]: the formula is linear in x, so a grey pixel counts as the average over its two "
    "binarised versions. Do not threshold it.",
)
def _(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, (x > 0.5).to(x.dtype), reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "the continuous Bernoulli",
    hint="You added the constant that makes it a density on [0, 1]. Asked for is the expectation over binarised "
    "images: no such constant.",
)
def _(x, logits):
    return ContinuousBernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)


@bernoulli_log_likelihood.misconception(
    "summed over the batch as well",
    hint="One number per example, shape (B,): sum over the last axis alone.",
)
def _(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="sum")


@bernoulli_log_likelihood.misconception(
    "everything is averaged",
    hint="A loss of torch takes the mean over pixels and images unless you tell it reduction='none'. Asked for is one "
    "number per image, summed over its pixels.",
)
def _(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x)


@bernoulli_log_likelihood.alternative("loss with logits")
def _(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)


@bernoulli_log_likelihood.alternative("logsigmoid")
def _(x, logits):
    return (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(-1)


@bernoulli_log_likelihood.alternative("softplus")
def _(x, logits):
    return torch.einsum("bd,bd->b", x, logits) - F.softplus(logits).sum(-1)


@bernoulli_log_likelihood.alternative("torch.distributions")
def _(x, logits):
    return Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)


@bernoulli_log_likelihood.alternative("the larger of 0 and the logit first, pixel by pixel")
def _(x, logits):
    total = torch.zeros(len(x), dtype=x.dtype)
    for d in range(x.shape[1]):
        a = logits[:, d]
        total = total + x[:, d] * a - a.clamp(min=0) - torch.log1p(torch.exp(-a.abs()))
    return total


# ---- gaussian_log_likelihood


@exercise("gaussian_log_likelihood", points=1)
def gaussian_log_likelihood(student, case):
    """log N(x; mean, sigma2 I) with every constant: (B, D) twice, sigma2 a float -> (B,), in nats."""
    truth = gaussian_log_likelihood.oracle
    batch, pixels = case.sizes(2, low=3)
    x, mean, sigma2 = case.normal(batch, pixels), case.normal(batch, pixels), case.number(0.3, 0.7)
    case.expect(student(x, mean, sigma2), truth(x, mean, sigma2), "value", points=0.5)
    case.expect(
        [student(x[:1], mean[:1] + 60, 0.02 * sigma2), student(x[:1], mean[:1], 1000 * sigma2)],
        [truth(x[:1], mean[:1] + 60, 0.02 * sigma2), truth(x[:1], mean[:1], 1000 * sigma2)],
        "far from the mean, small and large variance, one example",
        points=0.25,
        hint="stay with logarithms: the density itself underflows to 0",
    )
    case.conventions(student, (x, mean, sigma2), truth, points=0.25)


@gaussian_log_likelihood.truth
def _(x, mean, sigma2):
    return Normal(mean, math.sqrt(sigma2)).log_prob(x).sum(-1)


@gaussian_log_likelihood.misconception(
    "the variance sigma2 taken for the standard deviation",
    hint="sigma2 is sigma^2, the variance. torch's Normal wants the standard deviation; the formula divides by the "
    "variance, once.",
)
def _(x, mean, sigma2):
    return Normal(mean, sigma2).log_prob(x).sum(-1)


@gaussian_log_likelihood.misconception(
    "the constants are dropped",
    hint="-(D/2) log(2 pi sigma2) belongs to the value in nats. It does not move the mean's optimum, but without it "
    "likelihoods cannot be compared, and sigma2 not be learned.",
)
def _(x, mean, sigma2):
    return -((x - mean) ** 2).sum(-1) / (2 * sigma2)


@gaussian_log_likelihood.misconception(
    "log(2 pi) is missing",
    hint="Each dimension contributes -1/2 log(2 pi sigma2): mind the 2 pi.",
)
def _(x, mean, sigma2):
    return (-((x - mean) ** 2) / (2 * sigma2) - 0.5 * math.log(sigma2)).sum(-1)


@gaussian_log_likelihood.misconception(
    "the constant counts once instead of D times",
    hint="The density is a product over D dimensions, so its constant appears D times in the logarithm.",
)
def _(x, mean, sigma2):
    return -((x - mean) ** 2).sum(-1) / (2 * sigma2) - 0.5 * math.log(2 * math.pi * sigma2)


@gaussian_log_likelihood.misconception(
    "the factor 1/2 before the squares is missing",
    hint="The exponent of the Gaussian is -(x - mean)^2 / (2 sigma2).",
)
def _(x, mean, sigma2):
    return (-((x - mean) ** 2) / sigma2 - 0.5 * math.log(2 * math.pi * sigma2)).sum(-1)


@gaussian_log_likelihood.misconception(
    "the factor 1/2 before the constant is missing",
    hint="The 1/2 stands before the whole bracket: each pixel adds -1/2 log(2 pi sigma2), the logarithm of a root.",
)
def _(x, mean, sigma2):
    return (-((x - mean) ** 2) / (2 * sigma2) - math.log(2 * math.pi * sigma2)).sum(-1)


@gaussian_log_likelihood.misconception(
    "the mean over the pixels",
    hint="The log-likelihoods of the D pixels add up; nothing is divided by D.",
)
def _(x, mean, sigma2):
    return Normal(mean, math.sqrt(sigma2)).log_prob(x).mean(-1)


@gaussian_log_likelihood.misconception(
    "the logarithm of the density",
    hint="exp(-1000) is 0 in floating point, and log(0) is -inf. Take the logarithm on paper, before you compute.",
)
def _(x, mean, sigma2):
    density = torch.exp(-((x - mean) ** 2) / (2 * sigma2)) / math.sqrt(2 * math.pi * sigma2)
    return density.log().sum(-1)


@gaussian_log_likelihood.misconception(
    "the sign is reversed",
    hint="You computed the negative log-likelihood: a point far from the mean must get a smaller value, not a larger "
    "one.",
)
def _(x, mean, sigma2):
    return -Normal(mean, math.sqrt(sigma2)).log_prob(x).sum(-1)


@gaussian_log_likelihood.alternative("closed form")
def _(x, mean, sigma2):
    return -0.5 * (((x - mean) ** 2) / sigma2 + math.log(2 * math.pi * sigma2)).sum(-1)


@gaussian_log_likelihood.alternative("multivariate normal")
def _(x, mean, sigma2):
    return MultivariateNormal(mean, sigma2 * torch.eye(x.shape[-1], dtype=x.dtype)).log_prob(x)


@gaussian_log_likelihood.alternative("gaussian_nll_loss")
def _(x, mean, sigma2):
    variance = torch.full_like(x, sigma2)
    return -F.gaussian_nll_loss(mean, x, variance, full=True, eps=0.0, reduction="none").sum(-1)


@gaussian_log_likelihood.alternative("one example at a time")
def _(x, mean, sigma2):
    rows = []
    for a, b in zip(x, mean, strict=True):
        deviation = a - b
        rows.append(-torch.dot(deviation, deviation) / (2 * sigma2) - len(a) / 2 * math.log(2 * math.pi * sigma2))
    return torch.stack(rows)
