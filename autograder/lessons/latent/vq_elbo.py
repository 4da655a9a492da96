"""The evidence lower bound of a deterministic encoder: `vq_elbo`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise


@exercise("vq_elbo", points=2)
def vq_elbo(student, case):
    """log p(x given c) + sum_i log p_i(c_i), (B,); -inf where the prior forbids the code."""
    truth = vq_elbo.oracle
    batch, places, count = case.sizes(3, low=3, high=8)

    def given(batch, places, count, holes=()):
        logits = case.normal(places, count)
        for place, code in holes:
            logits[place, code] = -math.inf
        log_px = case.normal(batch) * 5 - 20
        indices = torch.randint(count, (batch, places), generator=case.generator)
        return log_px, indices, logits.log_softmax(1)

    whole, square = given(batch, places, count), given(5, 5, 5)
    case.expect(student(*whole), truth(*whole), "a table for each position", points=0.75, dtype=True)
    case.expect(student(*square), truth(*square), "as many images as positions and codes", points=0.25)
    log_px, indices, log_prior = given(6, 3, 4, holes=[(0, 1), (2, 3)])
    indices[:, 0] = torch.tensor([1, 0, 2, 3, 1, 0])
    indices[:, 2] = torch.tensor([0, 1, 3, 2, 3, 0])
    impossible = log_px, indices, log_prior
    case.expect(
        student(*impossible),
        truth(*impossible),
        "codes that the prior forbids, among others",
        points=0.5,
        hint="look the entry up; a sum over all codes meets 0 times -inf",
    )
    uniform = torch.full((places, count), -math.log(count), dtype=torch.float64)
    one = [(*whole[:2], uniform), given(1, places, count), given(batch, 1, count), given(batch, places, 1)]
    case.conventions(student, whole, truth, points=0.5, also=one, gradient=[0, 2])


@vq_elbo.truth
def truth(log_px_given_codes, indices, log_prior):
    """The logarithm of the probability itself, p(x given c) times the product of the tables' entries."""
    result = []
    for log_px, code in zip(log_px_given_codes, indices.tolist(), strict=True):
        chosen = torch.stack([log_prior[place].exp()[k] for place, k in enumerate(code)])
        result.append(log_px + chosen.prod().log())
    return torch.stack(result)


@vq_elbo.alternative("gather along the codes")
def gather_along_codes(log_px_given_codes, indices, log_prior):
    picked = log_prior.expand(len(indices), -1, -1).gather(2, indices[..., None]).squeeze(-1)
    return log_px_given_codes + picked.sum(-1)


@vq_elbo.alternative("position by position")
def position_by_position(log_px_given_codes, indices, log_prior):
    total = log_px_given_codes
    for place, row in enumerate(log_prior):
        total = total + row[indices[:, place]]
    return total


@vq_elbo.alternative("cross entropy of the logits")
def cross_entropy_of_logits(log_px_given_codes, indices, log_prior):
    rows = log_prior.T.expand(len(indices), -1, -1)
    return log_px_given_codes - torch.nn.functional.nll_loss(rows, indices, reduction="none").sum(1)


def _picked(indices, log_prior):
    return log_prior[torch.arange(indices.shape[1]), indices]


@vq_elbo.misconception(
    "the mean over positions",
    hint="The prior of a code is a product over its positions, so its logarithm is a sum, not a mean.",
)
def mean_over_positions(log_px_given_codes, indices, log_prior):
    return log_px_given_codes + _picked(indices, log_prior).mean(1)


@vq_elbo.misconception(
    "the prior enters with the wrong sign",
    hint="The KL is -log p(c), and it is taken away: log p(c) itself, a negative number, is added.",
)
def prior_with_wrong_sign(log_px_given_codes, indices, log_prior):
    return log_px_given_codes - _picked(indices, log_prior).sum(1)


@vq_elbo.misconception(
    "one table for all positions",
    hint="Each position has a row of its own in log_prior: the first position's row is not everybody's.",
)
def one_table_for_all(log_px_given_codes, indices, log_prior):
    return log_px_given_codes + log_prior[0][indices].sum(1)


@vq_elbo.misconception(
    "0 times -inf is NaN",
    hint="One-hot times log p multiplies 0 by -inf wherever a code that was not chosen is impossible. Look the entry "
    "up by its index instead.",
)
def zero_times_infinity(log_px_given_codes, indices, log_prior):
    chosen = torch.nn.functional.one_hot(indices, log_prior.shape[1]).to(log_prior.dtype)
    return log_px_given_codes + (chosen * log_prior).sum((1, 2))


@vq_elbo.misconception(
    "a uniform prior whatever is given",
    hint="P log K is the KL for a uniform prior. Here the prior is an argument: look its entries up.",
)
def uniform_whatever_given(log_px_given_codes, indices, log_prior):
    places, count = log_prior.shape
    return log_px_given_codes - places * math.log(count) + 0 * indices.sum(1)


@vq_elbo.misconception(
    "probabilities in place of their logarithms",
    hint="log_prior holds logarithms already, and logarithms are what is added.",
)
def probabilities_added(log_px_given_codes, indices, log_prior):
    return log_px_given_codes + _picked(indices, log_prior).exp().sum(1)


@vq_elbo.misconception(
    "the prior is left out",
    hint="log p(x given c) alone is the reconstruction. A code has to be paid for: log p(c) is missing.",
)
def prior_left_out(log_px_given_codes, indices, log_prior):
    return log_px_given_codes + 0 * indices.sum(1)


@vq_elbo.misconception(
    "every image pays for all codes",
    hint="Only the codes of this very image are looked up, one a position, not those of the whole batch.",
)
def pays_for_whole_batch(log_px_given_codes, indices, log_prior):
    return log_px_given_codes + _picked(indices, log_prior).sum()


@vq_elbo.misconception("one number for the batch", hint="Each image has a bound of its own: (B,), not their mean.")
def one_number_for_batch(log_px_given_codes, indices, log_prior):
    return (log_px_given_codes + _picked(indices, log_prior).sum(1)).mean()
