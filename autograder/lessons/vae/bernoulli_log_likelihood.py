"""The decoder's log-likelihood of pixels: `bernoulli_log_likelihood`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, ContinuousBernoulli

from ...conventions import ones
from ...exercise import exercise


@exercise("bernoulli_log_likelihood", points=2)
def bernoulli_log_likelihood(student, case):
    """sum_d x_d log p_d + (1 - x_d) log(1 - p_d), p = sigmoid(logits), x in [0, 1]: (B, D) twice -> (B,), in nats."""
    truth = bernoulli_log_likelihood.oracle
    batch, pixels = case.sizes(2, low=3)
    grey, logits = case.uniform(batch, pixels), 2 * case.normal(batch, pixels)
    # In each row a pixel that is taken for unlikely: there a small constant in a logarithm always shows.
    grey[:, 1], logits[:, 1] = case.uniform(batch, low=0.5), -case.uniform(batch, low=10, high=12)
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
    case.conventions(student, (grey, logits), truth, points=0.5, also=[ones((grey, logits))], gradient=(1,))


@bernoulli_log_likelihood.truth
def truth(x, logits):
    zero = torch.zeros_like(logits)
    return -(x * torch.logaddexp(zero, -logits) + (1 - x) * torch.logaddexp(zero, logits)).sum(-1)


@bernoulli_log_likelihood.misconception(
    "the mean over the pixels",
    hint="The pixels are independent given z, so their log-probabilities add up. With the mean the KL weighs D times "
    "too much, and the code goes unused.",
)
def mean_over_pixels(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(-1)


@bernoulli_log_likelihood.misconception(
    "the sign is reversed",
    hint="You computed the cross-entropy, a loss. A log-probability is never positive.",
)
def sign_is_reversed(x, logits):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "the sigmoid is applied twice",
    hint="The function that you call takes logits and applies the sigmoid itself; you gave it probabilities. All "
    "results lie between sigmoid(0) and sigmoid(1).",
)
def sigmoid_is_applied_twice(x, logits):
    return -F.binary_cross_entropy_with_logits(torch.sigmoid(logits), x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "dark pixels do not count",
    hint="A pixel that is off has log-probability log(1 - p): the second term, (1 - x) log(1 - p), is missing.",
)
def dark_pixels_do_not_count(x, logits):
    return (x * F.logsigmoid(logits)).sum(-1)


@bernoulli_log_likelihood.misconception(
    "the logarithm of the sigmoid without care",
    hint="sigmoid(-800) is 0 in floating point, and its logarithm -inf. Use logsigmoid, softplus or a loss 'with "
    "logits', which never form the probability.",
)
def logarithm_of_sigmoid_without_care(x, logits):
    p = torch.sigmoid(logits)
    return (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)


@bernoulli_log_likelihood.misconception(
    "a small constant inside the logarithm",
    hint="log(p + 1e-8) never falls below log(1e-8), so confident mistakes look cheap and get no gradient. Work from "
    "the logits instead.",
)
def small_constant_inside_logarithm(x, logits):
    p = torch.sigmoid(logits)
    return (x * torch.log(p + 1e-8) + (1 - x) * torch.log(1 - p + 1e-8)).sum(-1)


@bernoulli_log_likelihood.misconception(
    "the probabilities are clamped",
    hint="A clamp puts a floor under the log-likelihood: confident mistakes look cheap and get no gradient. Work from "
    "the logits instead.",
)
def probabilities_are_clamped(x, logits):
    p = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    return -F.binary_cross_entropy(p, x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "binary_cross_entropy, which stops at -100",
    hint="torch's binary_cross_entropy cuts every logarithm off at -100. The version 'with logits' does not.",
)
def binary_cross_entropy_which_stops_at_minus_100(x, logits):
    return -F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "grey pixels are rounded",
    hint="x may lie anywhere in [0, 1]: the formula is linear in x, so a grey pixel counts as the average over its two "
    "binarised versions. Do not threshold it.",
)
def grey_pixels_are_rounded(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, (x > 0.5).to(x.dtype), reduction="none").sum(-1)


@bernoulli_log_likelihood.misconception(
    "the continuous Bernoulli",
    hint="You added the constant that makes it a density on [0, 1]. Asked for is the expectation over binarised "
    "images: no such constant.",
)
def continuous_bernoulli(x, logits):
    return ContinuousBernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)


@bernoulli_log_likelihood.misconception(
    "summed over the batch as well",
    hint="One number per example, shape (B,): sum over the last axis alone.",
)
def summed_over_batch_as_well(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="sum")


@bernoulli_log_likelihood.misconception(
    "everything is averaged",
    hint="A loss of torch takes the mean over pixels and images unless you tell it reduction='none'. Asked for is one "
    "number per image, summed over its pixels.",
)
def everything_is_averaged(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x)


@bernoulli_log_likelihood.alternative("loss with logits")
def loss_with_logits(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)


@bernoulli_log_likelihood.alternative("logsigmoid")
def logsigmoid(x, logits):
    return (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(-1)


@bernoulli_log_likelihood.alternative("softplus")
def softplus(x, logits):
    return torch.einsum("bd,bd->b", x, logits) - F.softplus(logits).sum(-1)


@bernoulli_log_likelihood.alternative("torch.distributions")
def torch_distributions(x, logits):
    return Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)


@bernoulli_log_likelihood.alternative("the larger of 0 and the logit first, pixel by pixel")
def larger_of_0_and_logit_first_pixel_by_pixel(x, logits):
    total = x.new_zeros(len(x))
    for d in range(x.shape[1]):
        a = logits[:, d]
        total = total + x[:, d] * a - a.clamp(min=0) - torch.log1p(torch.exp(-a.abs()))
    return total
