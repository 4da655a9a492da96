"""A tighter bound from several samples: `iwae_bound`."""

from __future__ import annotations

import math

import torch

from ...conventions import ones
from ...exercise import exercise


@exercise("iwae_bound", points=2)
def iwae_bound(student, case):
    """log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x), (K, B) three times -> (B,), stable."""
    truth = iwae_bound.oracle
    samples, batch = case.sizes(2, low=3)
    given = [case.normal(samples, batch) * scale + shift for scale, shift in ((2, -6), (1, -3), (1, -2))]
    case.expect(student(*given), truth(*given), "value", points=0.75)
    low = [given[0] - 1.2e4, given[1], given[2]]
    high = [given[0], given[1], given[2] - 2e3]
    case.expect(
        [student(*low), student(*high)],
        [truth(*low), truth(*high)],
        "weights that exp cannot hold, too small and too large",
        points=0.5,
        rtol=1e-10,
        hint="stay with logarithms: torch.logsumexp takes the largest weight out before the exponential",
    )
    single = [tensor[:1] for tensor in given]
    column = [tensor[:, :1] for tensor in given]
    case.expect(
        [student(*single), student(*column)],
        [single[0][0] + single[1][0] - single[2][0], truth(*column)],
        "one sample gives the one-sample ELBO; one example",
        points=0.25,
    )
    never = given[0].clone()
    never[:, 0] = -math.inf  # no sample can have made the first image
    also = [[never, *given[1:]], ones(given)]
    case.conventions(student, given, truth, points=0.5, also=also, gradient=(0, 1, 2))


@iwae_bound.truth
def truth(log_px_given_z, log_pz, log_qz):
    bounds = []
    for column in (log_px_given_z + log_pz - log_qz).T.tolist():
        largest = max(column)
        if math.isinf(largest):
            bounds.append(largest)
        else:
            bounds.append(largest + math.log(math.fsum(math.exp(w - largest) for w in column) / len(column)))
    return torch.tensor(bounds, dtype=log_pz.dtype)


@iwae_bound.misconception(
    "the mean of the logarithms",
    hint="That is the ELBO. IWAE takes the logarithm last: first the mean of the weights, then the logarithm.",
)
def mean_of_logarithms(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).mean(0)


@iwae_bound.misconception(
    "log K is missing",
    hint="logsumexp gives the logarithm of a sum; a mean also divides by K. Without - log K the 'bound' exceeds log "
    "p(x).",
)
def log_k_is_missing(log_px_given_z, log_pz, log_qz):
    return torch.logsumexp(log_px_given_z + log_pz - log_qz, dim=0)


@iwae_bound.misconception(
    "divided by K after the logarithm",
    hint="The mean of the weights is inside the logarithm: log (S / K) = log S - log K, not (log S) / K.",
)
def divided_by_k_after_logarithm(log_px_given_z, log_pz, log_qz):
    return torch.logsumexp(log_px_given_z + log_pz - log_qz, dim=0) / len(log_pz)


@iwae_bound.misconception(
    "the logarithm of the batch size is subtracted",
    hint="K counts the samples, along the first axis; the second axis holds the B images.",
)
def logarithm_of_batch_size_is_subtracted(log_px_given_z, log_pz, log_qz):
    return torch.logsumexp(log_px_given_z + log_pz - log_qz, dim=0) - math.log(log_pz.shape[1])


@iwae_bound.misconception(
    "averaged over the batch instead of the samples",
    hint="The samples z_k stand along the first axis. Average there and return one bound per example.",
)
def averaged_over_batch_instead_of_samples(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return torch.logsumexp(log_w, dim=1) - math.log(log_w.shape[1])


@iwae_bound.misconception(
    "the exponential without care",
    hint="exp(-12000) is 0 in floating point, and its logarithm -inf. torch.logsumexp does the same sum safely.",
)
def exponential_without_care(log_px_given_z, log_pz, log_qz):
    return torch.exp(log_px_given_z + log_pz - log_qz).mean(0).log()


@iwae_bound.misconception(
    "log q is added",
    hint="The weight is p(x|z) p(z) / q(z|x): the density that z was drawn from divides.",
)
def log_q_is_added(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz + log_qz
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@iwae_bound.misconception(
    "the prior is missing",
    hint="The weight is p(x, z) / q(z|x), and p(x, z) = p(x|z) p(z).",
)
def prior_is_missing(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z - log_qz
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@iwae_bound.misconception(
    "prior and posterior change places",
    hint="The weight is p(x|z) p(z) / q(z|x): the prior multiplies, q divides.",
)
def prior_and_posterior_change_places(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_qz - log_pz
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@iwae_bound.misconception(
    "only the likelihood is averaged",
    hint="You took the KL out of the logarithm. Each sample carries its own whole weight, log p(x|z_k) + log p(z_k) - "
    "log q(z_k|x), and the mean runs over those.",
)
def only_likelihood_is_averaged(log_px_given_z, log_pz, log_qz):
    likelihood = torch.logsumexp(log_px_given_z, dim=0) - math.log(len(log_pz))
    return likelihood + (log_pz - log_qz).mean(0)


@iwae_bound.misconception(
    "averaged over the batch as well",
    hint="Return one bound per example, shape (B,): average over the samples z_k alone.",
)
def averaged_over_batch_as_well(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return (torch.logsumexp(log_w, dim=0) - math.log(len(log_w))).mean()


@iwae_bound.misconception(
    "the sign is reversed",
    hint="Return the bound itself, a lower bound of log p(x), not the loss.",
)
def sign_is_reversed(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return math.log(len(log_w)) - torch.logsumexp(log_w, dim=0)


@iwae_bound.alternative("logsumexp")
def logsumexp(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return torch.logsumexp(log_w, dim=0) - math.log(log_w.shape[0])


@iwae_bound.alternative("the largest weight taken out by hand")
def largest_weight_taken_out_by_hand(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    top = log_w.max(dim=0).values.nan_to_num(neginf=0.0)  # where nothing is possible: log 0
    return top + torch.log(torch.mean(torch.exp(log_w - top), dim=0))


@iwae_bound.alternative("logaddexp, sample by sample")
def logaddexp_sample_by_sample(log_px_given_z, log_pz, log_qz):
    total = torch.full_like(log_pz[0], -torch.inf)
    for k in range(log_pz.shape[0]):
        total = torch.logaddexp(total, log_px_given_z[k] + log_pz[k] - log_qz[k])
    return total - torch.tensor(float(log_pz.shape[0]), dtype=total.dtype).log()
