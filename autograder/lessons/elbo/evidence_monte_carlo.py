"""The evidence by sampling the prior: `evidence_monte_carlo`."""

from __future__ import annotations

import math

import torch

from ...conventions import ones
from ...exercise import exercise
from .log_mean_exp import log_mean_exp


@exercise("evidence_monte_carlo", points=1, after=("log_mean_exp",))
def evidence_monte_carlo(student, case):
    """log (1/K) sum_k p(x given z_k) from (K, B) -> (B,)."""
    mean = case.upstream("log_mean_exp")

    def truth(values):
        return mean(values, 0)

    count, batch = case.sizes(2, low=3)
    values = 2 * case.normal(count, batch)
    case.expect(student(values), truth(values), "value on random log-likelihoods", points=0.5)
    low = values - case.uniform(1, batch, low=2e3, high=9e3)
    case.expect(student(low), truth(low), "where exp underflows", points=0.3)
    never = values.clone()
    never[:, 0] = -math.inf  # no sample can have made the first x
    case.conventions(student, (values,), truth, points=0.2, also=[(never,), ones((values,))])


@evidence_monte_carlo.truth
def truth(log_px_given_z):
    return log_mean_exp.oracle(log_px_given_z, 0)


@evidence_monte_carlo.misconception(
    "mean of the logarithms",
    hint="The estimate averages the densities and takes the log afterwards; the mean of the logs is far smaller.",
)
def mean_of_logarithms(log_px_given_z):
    return log_px_given_z.mean(0)


@evidence_monte_carlo.misconception(
    "sum over the samples", hint="The expectation is a mean over the K samples: log K is missing."
)
def sum_over_samples(log_px_given_z):
    return log_px_given_z.logsumexp(0)


@evidence_monte_carlo.misconception(
    "averaged over the images", hint="Average over the samples of z, axis 0. Every image has an evidence of its own."
)
def averaged_over_images(log_px_given_z):
    return log_px_given_z.logsumexp(1) - math.log(log_px_given_z.shape[1])


@evidence_monte_carlo.misconception(
    "exp underflows", hint="exp(-1000) is 0: use log_mean_exp, which never leaves the logarithm."
)
def exp_underflows(log_px_given_z):
    return log_px_given_z.exp().mean(0).log()


@evidence_monte_carlo.misconception(
    "divided by the batch size", hint="Divide by the number of samples K, the length of axis 0, not by the batch size."
)
def divided_by_batch_size(log_px_given_z):
    return log_px_given_z.logsumexp(0) - math.log(log_px_given_z.shape[1])


@evidence_monte_carlo.misconception(
    "the best sample alone", hint="All samples count, not only the one that explains x best: average over them."
)
def best_sample_alone(log_px_given_z):
    return log_px_given_z.max(0).values


@evidence_monte_carlo.misconception(
    "one number for the whole batch",
    hint="The result has one entry for each image, (B,): do not average over the batch.",
)
def one_number_for_whole_batch(log_px_given_z):
    return (log_px_given_z.logsumexp(0) - math.log(log_px_given_z.shape[0])).mean()


@evidence_monte_carlo.misconception(
    "logarithm forgotten", hint="This is the estimate of p(x) itself, 0 for an image in the tail: return its logarithm."
)
def logarithm_forgotten(log_px_given_z):
    return log_px_given_z.exp().mean(0)


@evidence_monte_carlo.alternative("logsumexp")
def logsumexp(log_px_given_z):
    return torch.logsumexp(log_px_given_z, dim=0) - math.log(len(log_px_given_z))


@evidence_monte_carlo.alternative("relative to the best sample")
def relative_to_best_sample(log_px_given_z):
    best = log_px_given_z.max(dim=0).values.nan_to_num(neginf=0.0)  # where nothing is possible: log 0
    return best + torch.log(torch.mean(torch.exp(log_px_given_z - best), dim=0))


@evidence_monte_carlo.alternative("one image after the other")
def one_image_after_other(log_px_given_z):
    K = log_px_given_z.shape[0]
    return torch.stack([column.logsumexp(0) - math.log(K) for column in log_px_given_z.T])
