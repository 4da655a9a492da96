#!/usr/bin/env bash
# diffusers 0.42.1: DDIM with eta=1 and the default clipping is not DDPM.
#
# Guess, written down first: with all times and eta=1 a step of `DDIMScheduler` is one of `DDPMScheduler`, as the paper of
# DDIM says, both with `clip_sample=True`, their default.
# Seen: only where nothing is clipped. DDIM clips its guess of x_0 and goes on with the noise as predicted, which no longer
# belongs to that guess; DDPM computes with the clipped x_0 alone. With the exact predictor of N(0, 1) data, from the same x
# and with the same noise, the two steps differ by more than a step's own noise, in the worst of 1,000 points many times.
# `use_clipped_model_output=True`, off by default, makes them equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 diffusers==0.42.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import DDIMScheduler, DDPMScheduler

SCHEDULE = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


def apart(t, clip, **options):
    """The largest difference of one step among 1,000 points, in units of the step's own noise."""
    x = torch.randn(1000, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    eps = (1 - DDPMScheduler(**SCHEDULE).alphas_cumprod[t].double()).sqrt() * x  # E[eps given x] on N(0, 1)
    steps = []
    for kind, given in ((DDIMScheduler, {"eta": 1.0, **options}), (DDPMScheduler, {})):
        scheduler = kind(**SCHEDULE, clip_sample=clip)
        scheduler.set_timesteps(1000)
        noise = torch.Generator().manual_seed(1)
        steps.append(scheduler.step(eps, t, x, generator=noise, **given).prev_sample)
    deviation = DDIMScheduler(**SCHEDULE)._get_variance(t, t - 1).sqrt()
    return ((steps[0] - steps[1]).abs().max() / deviation).item()


for t in (200, 100, 10):
    seen = apart(t, False), apart(t, True), apart(t, True, use_clipped_model_output=True)
    print(t, "without clipping, as shipped, use_clipped_model_output:", [f"{value:.2g}" for value in seen])
    assert seen[0] < 1e-2 and seen[2] < 1e-2 and seen[1] > 1, "the behaviour has changed"
PYTHON
