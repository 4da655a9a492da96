"""The bound by sampling: `elbo_monte_carlo`."""

from __future__ import annotations

import math

import torch

from ...conventions import ones
from ...exercise import exercise


@exercise("elbo_monte_carlo", points=2)
def elbo_monte_carlo(student, case):
    """(1/K) sum_k [log p(x given z_k) + log p(z_k) - log q(z_k)], (K, B) each -> (B,)."""
    truth = elbo_monte_carlo.oracle
    count, batch = case.sizes(2, low=3)
    terms = case.normal(count, batch) - 9, 2 * case.normal(count, batch) - 4, case.normal(count, batch) - 2
    case.expect(student(*terms), truth(*terms), "value on random log-densities", points=1.0)
    single = tuple(term[:1] for term in terms)
    case.expect(student(*single), truth(*single), "one sample", points=0.25)
    impossible = terms[0].clone()
    impossible[1, 0] = -math.inf
    case.expect(
        student(impossible, *terms[1:]), truth(impossible, *terms[1:]), "a sample that cannot have made x", points=0.35
    )
    case.conventions(student, terms, truth, points=0.4, also=[ones(terms)], gradient=(0, 1, 2))


@elbo_monte_carlo.truth
def truth(log_px_given_z, log_pz, log_qz):
    columns = zip(log_px_given_z.T.tolist(), log_pz.T.tolist(), log_qz.T.tolist(), strict=True)
    means = [sum(a + b - c for a, b, c in zip(*column, strict=True)) / len(column[0]) for column in columns]
    return torch.tensor(means, dtype=log_px_given_z.dtype)


@elbo_monte_carlo.misconception(
    "sign of log q turned", hint="The entropy of q is -E log q: the term log q(z) is subtracted, not added."
)
def sign_of_log_q_turned(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz + log_qz).mean(0)


@elbo_monte_carlo.misconception(
    "log p(z) forgotten", hint="The ELBO needs the joint: log p(x, z) = log p(x given z) + log p(z)."
)
def log_p_z_forgotten(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z - log_qz).mean(0)


@elbo_monte_carlo.misconception(
    "log q(z) forgotten", hint="Without -log q(z) this is the mean log joint alone; the entropy of q is missing."
)
def log_q_z_forgotten(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz).mean(0)


@elbo_monte_carlo.misconception(
    "log of the mean ratio",
    hint="The ELBO is the mean of the logarithms. The log of the mean ratio is another, tighter bound (lesson 2).",
)
def log_of_mean_ratio(log_px_given_z, log_pz, log_qz):
    ratio = log_px_given_z + log_pz - log_qz
    return ratio.logsumexp(0) - math.log(len(ratio))


@elbo_monte_carlo.misconception("sum over the samples", hint="An expectation is a mean over the K samples, not a sum.")
def sum_over_samples(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).sum(0)


@elbo_monte_carlo.misconception(
    "averaged over the examples", hint="Average over the samples, axis 0; every example has an ELBO of its own."
)
def averaged_over_examples(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).mean(1)


@elbo_monte_carlo.misconception(
    "one number for the whole batch", hint="The result has one entry for each example, (B,): average over axis 0 alone."
)
def one_number_for_whole_batch(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).mean()


@elbo_monte_carlo.misconception(
    "KL with its sign turned", hint="The KL from q to the prior is E[log q - log p(z)], and it is subtracted."
)
def kl_with_its_sign_turned(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z - log_pz + log_qz).mean(0)


@elbo_monte_carlo.misconception(
    "weighted by q once more", hint="The samples were drawn from q already: average them plainly, without weights q(z)."
)
def weighted_by_q_once_more(log_px_given_z, log_pz, log_qz):
    return (log_qz.exp() * (log_px_given_z + log_pz - log_qz)).mean(0)


@elbo_monte_carlo.alternative("reconstruction minus KL")
def reconstruction_minus_kl(log_px_given_z, log_pz, log_qz):
    reconstruction = log_px_given_z.mean(dim=0)
    kl = torch.mean(log_qz - log_pz, dim=0)
    return reconstruction - kl


@elbo_monte_carlo.alternative("sum and count")
def sum_and_count(log_px_given_z, log_pz, log_qz):
    return torch.stack([log_px_given_z, log_pz, -log_qz]).sum(dim=(0, 1)) / log_qz.size(0)


@elbo_monte_carlo.alternative("a loop over the samples")
def loop_over_samples(log_px_given_z, log_pz, log_qz):
    total = torch.zeros_like(log_px_given_z[0])
    for a, b, c in zip(log_px_given_z, log_pz, log_qz, strict=True):
        total = total + (a + b - c) / len(log_qz)
    return total
