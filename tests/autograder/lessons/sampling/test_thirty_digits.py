"""The oracle of `discretized_log_likelihood`, in tails of any thinness, beside arithmetic of 30 digits."""

import math

import mpmath
import pytest
import torch

from autograder.exercise import find_exercise


def log_mass(low, high):
    if low + high > 0:  # the same mass on the other side, where Phi is small
        low, high = -high, -low
    with mpmath.workdps(30):
        below = [mpmath.erfc(-mpmath.mpf(end) / mpmath.sqrt(2)) / 2 for end in (low, high)]
        return float(mpmath.log(below[1] - below[0]))


@pytest.mark.parametrize("sigma", [0.012, 0.1, 1.0])
@pytest.mark.parametrize("levels", [2, 6, 33])
def test_the_oracle_holds_in_every_bin(levels, sigma):
    generator, half = torch.Generator().manual_seed(levels), 1 / (levels - 1)
    x = 2 * torch.randint(0, levels, (12, 1), generator=generator).double() * half - 1
    mean = 1.5 * torch.randn(12, 1, generator=generator, dtype=torch.float64)
    truths = [
        log_mass(
            -math.inf if at < -1 + half else (at - half - m) / sigma,
            math.inf if at > 1 - half else (at + half - m) / sigma,
        )
        for at, m in zip(x.flatten().tolist(), mean.flatten().tolist(), strict=True)
    ]
    found = find_exercise("discretized_log_likelihood").oracle(x, mean, sigma, levels)
    assert torch.allclose(found, torch.tensor(truths, dtype=torch.float64), rtol=1e-12, atol=1e-12)
