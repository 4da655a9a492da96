"""One number that brings latents to unit size: `latent_scale`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from ..diffusion import ranks


@exercise("latent_scale", points=1)
def latent_scale(student, case):
    """1 / standard deviation over all entries, about their common mean, with 1/N; a float."""
    truth = latent_scale.oracle

    def latents(*shape):
        size = case.uniform(*shape[1:], low=0.5, high=3.0)
        return 1.5 + case.normal(*shape[1:]) + size * case.normal(*shape)

    rows, maps, line = latents(*case.sizes(2, low=3)), latents(*case.sizes(4, low=2, high=6)), latents(3)
    case.expect(student(rows), truth(rows), "rows whose entries differ in mean and size", points=0.5)
    case.expect(
        [student(maps), student(line), student(line[:2])],
        [truth(maps), truth(line), truth(line[:2])],
        "maps of latents, and few numbers",
        points=0.25,
    )
    faint, lone = 1e-10 * (rows - rows.mean()), latents(5, 1)
    also = [(faint,), (1e6 * faint,), (lone,), *((latents(*shape),) for shape in ranks(2))]
    case.conventions(student, (rows,), truth, points=0.25, also=also)


@latent_scale.truth
def truth(z):
    """From the differences of all pairs: their mean square is twice the variance, and no mean is needed."""
    entries = z.double().flatten()
    pairs = entries[:, None] - entries
    return 1 / math.sqrt(pairs.square().mean() / 2)


@latent_scale.alternative("std without correction")
def std_without_correction(z):
    return 1 / z.std(correction=0).item()


@latent_scale.alternative("mean square less squared mean")
def mean_square_less_squared_mean(z):
    z = z.double()
    return ((z**2).mean() - z.mean() ** 2).rsqrt().item()


@latent_scale.alternative("the length of what is left of the mean")
def length_of_rest(z):
    rest = (z - z.mean()).reshape(-1)
    return float(rest.numel() ** 0.5 / torch.linalg.vector_norm(rest))


@latent_scale.misconception(
    "the standard deviation itself", hint="The latents are MULTIPLIED by the scale: one over their standard deviation."
)
def standard_deviation_itself(z):
    return z.std(correction=0).item()


@latent_scale.misconception(
    "one over the variance", hint="One over the standard deviation: scaling by s multiplies the variance by s^2."
)
def one_over_variance(z):
    return 1 / z.var(correction=0).item()


@latent_scale.misconception(
    "divided by one less than the number",
    hint="The variance is taken with 1/N. torch's std divides by N - 1 unless told otherwise: correction=0.",
)
def divided_by_one_less(z):
    return 1 / z.std().item()


@latent_scale.misconception(
    "the root mean square", hint="About the common mean: subtract it first. These latents are not centred."
)
def root_mean_square(z):
    return 1 / z.square().mean().sqrt().item()


@latent_scale.misconception(
    "the mean of the latents' own deviations",
    hint="One deviation over all entries together, about one mean; the spread between latents counts as well.",
)
def mean_of_own_deviations(z):
    return 1 / z.std(0, correction=0).mean().item()


@latent_scale.misconception("a mean for each latent", hint="One common mean for all entries, not one for each latent.")
def mean_for_each_latent(z):
    return 1 / (z - z.mean(0)).square().mean().sqrt().item()


@latent_scale.misconception("a tensor in place of a float", hint="A plain number: .item() at the end, or math.sqrt.")
def tensor_in_place_of_float(z):
    return 1 / z.std(correction=0)


@latent_scale.misconception(
    "one over the largest entry", hint="Not the largest entry but the standard deviation shall become 1."
)
def one_over_largest(z):
    return 1 / z.abs().max().item()
