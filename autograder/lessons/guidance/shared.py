"""What the checks of several exercises of 08-guidance share: labelled mixtures, places and times, and mistakes."""

from __future__ import annotations

import torch

from ..diffusion import along, times_among

FRESH = (
    "new noise is drawn inside",
    "The noise is an argument: use the one you are given, and the same call always gives the same answer.",
)
LABELS_OVERWRITTEN = (
    "the labels are overwritten",
    "The value is right, but y was written into, and whoever called you still needs it. Make a new tensor.",
)


def mixture(case, classes, dims):
    """weights (K,) summing to 1, means and variances (K, D) of a labelled mixture, all different."""
    shares = case.uniform(classes, low=0.3, high=1.5)
    return shares / shares.sum(), 1.5 * case.normal(classes, dims), case.uniform(classes, dims, low=0.2, high=1.5)


def silenced(given, gone):
    """(weights, means, variances) with class `gone` at weight 0 and the others summing to 1 again."""
    weights, means, variances = given
    left = torch.where(torch.arange(len(weights)) == gone, torch.zeros_like(weights), weights)
    return left / left.sum(), means, variances


def places(case, steps, count, dims):
    """x_t (B, D), and t with 1, 2 and T among them (B >= 4)."""
    return 2 * case.normal(count, dims), times_among(case, steps, count, 1, 2)


def spread(t, alpha_bar, variances):
    """The variance of every class at every example's time, (B, K, D)."""
    level = alpha_bar[t].reshape(-1, 1, 1)
    return level * variances + 1 - level


def away(xt, t, alpha_bar, means):
    """x_t - sqrt(alpha_bar_t) mu_k, (B, K, D)."""
    return xt[:, None] - alpha_bar[t].reshape(-1, 1, 1).sqrt() * means


def noise_size(t, alpha_bar, like):
    """sqrt(1 - alpha_bar_t), with the axes of `like`."""
    return along((1 - alpha_bar[t]).sqrt(), like)
