#!/usr/bin/env bash
# diffusers 0.42.1: with FlowMatchEulerDiscreteScheduler two steps are one.
#
# Guess, written down first: `set_timesteps(2)` takes Euler steps from sigma 1 to 1/2 and from there to 0.
# Seen: the n sigmas are spread evenly from 1 to 0.001 and a 0 is set behind them, so the last step goes from 0.001 to 0: n
# calls of the network buy n - 1 steps. With the exact velocity from N(0, 1) to N(2, 0.25), of deviation 0.5, two steps end
# with 0.001 (two real ones with 0.2, one with 0), four with 0.294 (0.341). Pipelines hand over sigmas of their own, 1, 1 -
# 1/n, ..., 1/n; who calls the scheduler by itself, with a distilled model of two or four steps, does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 diffusers==0.42.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

MEAN, DEVIATION = 2.0, 0.5


def velocity(x, sigma):
    """The exact E[noise - data given x] where x is (1 - sigma) data + sigma noise."""
    share = 1 - sigma
    gain = (sigma - share * DEVIATION**2) / (sigma**2 + (share * DEVIATION) ** 2)
    return gain * (x - share * MEAN) - MEAN


def ends(steps, sigmas=None):
    """Deviation of what noise becomes, by the gain of a walk that is linear in x."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(None if sigmas else steps, sigmas=sigmas)
    x = torch.tensor([[-1.0], [1.0]])
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas.tolist()):
        x = scheduler.step(velocity(x, sigma), t, x).prev_sample
    return ((x[1] - x[0]) / 2).item()


for steps in (2, 3, 4, 5):
    shipped, even = ends(steps), ends(steps, [1 - i / steps for i in range(steps)])
    fewer = ends(steps - 1, [1 - i / (steps - 1) for i in range(steps - 1)])
    print(f"{steps} steps: {shipped:.3f}; even steps {even:.3f}; one step fewer {fewer:.3f}")
    assert abs(shipped - fewer) < 0.002 < 0.02 < even - shipped, "the behaviour has changed"
PYTHON
