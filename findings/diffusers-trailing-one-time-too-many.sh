#!/usr/bin/env bash
# diffusers 0.42.1: with "trailing" timesteps some numbers of steps give one step more, at time -1.
#
# Guess, written down first: `DDIMScheduler(timestep_spacing="trailing").set_timesteps(61)` gives 61 times, from 999 down to
# something above 0.
# Seen: 62 times, the last one -1. `np.arange(1000, 0, -1000 / 61)` meets its end by rounding. A table indexed by -1 is its
# last entry, so the walk ends as if it stood in pure noise: with the exact predictor, which at time -1 says what it says at
# 0, N(0, 1) data come out more than 100 times too wide, where 60 and 62 steps are off by 3%. So do 103, 121, 122, others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 diffusers==0.42.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import DDIMScheduler


def deviation(steps):
    """Of what becomes of N(0, 1) data, by the gain of a walk that is linear in x."""
    scheduler = DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
    scheduler.set_timesteps(steps)
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    for t in scheduler.timesteps:
        a = scheduler.alphas_cumprod[max(t, 0)].double()
        x = scheduler.step((1 - a).sqrt() * x, t, x).prev_sample  # E[eps given x] on N(0, 1)
    return len(scheduler.timesteps), scheduler.timesteps[-1].item(), x.item()


seen = {steps: deviation(steps) for steps in (60, 61, 62)}
for steps, (times, last, wide) in seen.items():
    print(f"{steps} steps asked, {times} taken, the last at {last}: deviation {wide:.3f}, right is 1")
assert [times for times, _, _ in seen.values()] == [60, 62, 62], "the behaviour has changed"
assert seen[61][1] == -1 and abs(seen[60][2] - 1) < 0.1 and seen[61][2] > 100, "the behaviour has changed"
PYTHON
